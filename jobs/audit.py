"""RAY_AUTH_MODE=token ray job submit --working-dir . -- python jobs/audit.py CONFIG [--set KEY=VALUE …]"""

import sys

from ray_pipeline.cli.main import main

main(["audit", *sys.argv[1:]])
