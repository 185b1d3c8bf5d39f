"""RAY_AUTH_MODE=token ray job submit --working-dir . -- python jobs/evaluate.py CONFIG [--set KEY=VALUE …]"""

import sys

from ray_pipeline.cli.main import main

main(["evaluate", *sys.argv[1:]])
