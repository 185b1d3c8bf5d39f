"""A sweep on a simulated node that says it has one GPU; trials run on its CPU. `python pretend_gpus.py FOLDER SHARE`.

Prints a line of JSON: how many trials ran at once at most, and what each was given.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps import OPEN, run_sweep

BETAS = [0.5, 1, 2, 4]


def main(folder: Path, share: float) -> None:
    import ray

    from ray_pipeline.stages import sweep_tune
    from ray_pipeline.stages.sweep_trial import run_trial

    def run(told: dict[str, Any], shared: Any) -> None:
        begun = time.time()
        (folder / f"{told['spec']['name']}.json").write_text(json.dumps({"gpus": ray.get_gpu_ids()}))
        time.sleep(1.0)  # long enough to lie beside another
        run_trial(told, replace(shared, device="cpu"))
        told_of = {"gpus": ray.get_gpu_ids(), "device": shared.device, "begun": begun, "ended": time.time()}
        (folder / f"{told['spec']['name']}.json").write_text(json.dumps(told_of))

    ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
    sweep_tune.run_trial = run
    tune = {"model.beta": {"grid": BETAS}, "gpus_per_trial": share, "cpus_per_trial": 0.5, **OPEN}
    _, found = run_sweep(folder, tune)
    told_of = [json.loads((folder / f"{row['trial_id']}.json").read_text()) for row in found.rows]
    most = max(sum(a["begun"] <= b["begun"] < a["ended"] for a in told_of) for b in told_of)
    print(json.dumps({"at_once": most, "trials": told_of, "statuses": [row["status"] for row in found.rows]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
