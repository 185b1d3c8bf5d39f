"""RAY_AUTH_MODE=token ray job submit --working-dir . -- python jobs/import_features.py CONFIG [--set KEY=VALUE …]"""

import sys

from ray_pipeline.cli.main import main

main(["import-features", *sys.argv[1:]])
