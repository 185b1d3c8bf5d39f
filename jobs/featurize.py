"""RAY_AUTH_MODE=token ray job submit --working-dir . -- python jobs/featurize.py CONFIG [--set KEY=VALUE …]"""

import sys

from ray_pipeline.cli.main import main

main(["featurize", *sys.argv[1:]])
