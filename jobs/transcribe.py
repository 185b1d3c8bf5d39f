"""RAY_AUTH_MODE=token ray job submit --working-dir . -- python jobs/transcribe.py CONFIG [--set KEY=VALUE …]"""

import sys

from ray_pipeline.cli.main import main

main(["transcribe", *sys.argv[1:]])
