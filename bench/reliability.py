"""What each fault cost: every test that makes one, run, and the lines they leave.

    make reliability

which is ``python bench/reliability.py --fuzz docs/fuzz.json --out docs/reliability.md``, after `make fuzz`. A test tells by
its fixture `cost` (tests/conftest.py) what it saw, before it asserts that nothing was lost. Without ``--only`` all of them
run. Two simulated clusters at once are more than two CPUs start within Ray's limits, so it is a file at a time; one that fails
is run once more after the others, and the page says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILES = (
    "tests/badinput/test_poison.py",
    "tests/badinput/test_row_23_disk.py",
    "tests/unit/test_lease.py",
    "tests/unit/test_store.py",
    "tests/unit/test_s3_store.py",
    "tests/ray/test_loss.py",
    "tests/ray/test_stopped.py",
    "tests/ray/test_two_pools.py",
    "tests/ray/test_train_resume.py",
    "tests/ray/test_sweep_runs.py",
    "tests/ray/test_s3_whole.py",
    "tests/chaos/test_chaos_pools.py",
    "tests/chaos/test_chaos_stages.py",
    "tests/chaos/test_chaos_train.py",
)
HEAD = ("fault", "where", "rows", "lost", "doubled", "done again", "time to recover")


def main() -> None:
    """Run the tests, print the page and write it to ``--out``; the exit code says whether all passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/reliability.md"))
    parser.add_argument("--fuzz", type=Path, help="docs/fuzz.json, of `make fuzz`")
    parser.add_argument("--only", nargs="*", choices=FILES, help="some of the files")
    parser.add_argument("--workers", type=int, default=1, help="files at a time, for a machine with many CPUs")
    options = parser.parse_args()
    fuzz = json.loads(options.fuzz.read_text(encoding="utf-8")) if options.fuzz else None
    files = options.only or FILES
    with ThreadPoolExecutor(options.workers) as pool:
        came = dict(zip(files, pool.map(_tested, files), strict=True))
    for file in [file for file, (_, (code, _)) in came.items() if code]:
        lines, (code, told) = _tested(file)
        came[file] = lines, (code, f"{told} (run again)")
    lines, ends = [line for told, _ in came.values() for line in told], {file: end for file, (_, end) in came.items()}
    text = _page(lines, ends, fuzz)
    print(text)
    options.out.write_text(text, encoding="utf-8")
    sys.exit(any(code for code, _ in ends.values()))


def _tested(file: str) -> tuple[list[dict[str, Any]], tuple[int, str]]:
    """The lines that the tests of `file` left; its exit code and pytest's last words."""
    print(f"{file} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "lines"
        command = [sys.executable, "-m", "pytest", file, "--tb=short"]
        environment = os.environ | {"RAY_PIPELINE_RELIABILITY": str(noted)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
        lines = noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-200:]
    return [json.loads(line) for line in lines], (done.returncode, last.rpartition(" in ")[0] or last)


def _page(lines: list[dict[str, Any]], ends: dict[str, tuple[int, str]], fuzz: dict[str, Any] | None) -> str:
    page = [
        "# What faults cost",
        "",
        "Made by `make reliability`; each line is what one test saw. Rows are compared, keys and values, with those",
        "of an undisturbed run. `lost` and `doubled` are rows; `done again` is what was worked on twice (in training: epochs);",
        "`time to recover` runs from the fault until all rows are there, as a multiple of the whole work undisturbed, with the",
        "start of processes; where a test does not measure it, a dash. Nodes are simulated on one machine",
        "(`ray.cluster_utils.Cluster`), and the GPU of the two pools is pretended.",
        "",
        f"| {' | '.join(HEAD)} |",
        "|" + "---|" * len(HEAD),
        *(_row(line) for line in lines),
        "",
        "## The tests",
        "",
        *(f"- `{file}`: {told}" for file, (_, told) in ends.items()),
    ]
    if fuzz:
        page += ["", "## Damaged audio", "", "`make fuzz`:", "", "| | |", "|---|---|"]
        page += [f"| {name.replace('_', ' ')} | {_told(value)} |" for name, value in fuzz.items()]
    return "\n".join(page) + "\n"


def _row(line: dict[str, Any]) -> str:
    time = line["time"]
    cells = [line[name] for name in ("fault", "where", "rows", "lost", "doubled", "again")]
    return f"| {' | '.join(map(str, cells))} | {'–' if time is None else f'{time:.1f} ×'} |"


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
    return f"{value:,}" if isinstance(value, int) else str(value) or "none"


if __name__ == "__main__":
    main()
