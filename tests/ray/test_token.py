"""A head that asks for a token, as in cluster.yaml and deploy/: who has another one, or none, is not let in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from head import ENV, Head, started
from small_job import config_file, finish
from sounds import write

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

RIGHT, WRONG = "a" * 64, "b" * 64
SUBMIT = """
import sys
from ray.job_submission import JobSubmissionClient
print(JobSubmissionClient(sys.argv[1]).submit_job(entrypoint="true"))
"""


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started(env=with_token(RIGHT)) as head:
        yield head


def with_token(token: str | None) -> dict[str, str]:
    if token is None:
        return ENV | {"RAY_AUTH_MODE": "disabled"}
    return ENV | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def submit(head: Head, token: str | None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SUBMIT, head.dashboard]
    return subprocess.run(command, env=with_token(token), capture_output=True, text=True, timeout=120, check=False)


def test_the_right_token_may_submit(head: Head) -> None:
    done = submit(head, RIGHT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


@pytest.mark.parametrize("token", [WRONG, None], ids=["wrong", "none"])
def test_another_token_may_not_submit(head: Head, token: str | None) -> None:
    done = submit(head, token)
    assert done.returncode != 0
    assert any(word in done.stderr for word in ("401", "403", "uthenticat", "nauthorized")), done.stderr[-2000:]


def test_the_right_token_may_work(head: Head, tmp_path: Path) -> None:
    write(tmp_path / "music/a.wav")
    code, said = finish("ingest", config_file(tmp_path, resources={}), "--address", head.address, env=with_token(RIGHT))
    assert code == 0, said


@pytest.mark.parametrize("token", [WRONG, None], ids=["wrong", "none"])
def test_another_token_may_not_work(head: Head, token: str | None, tmp_path: Path) -> None:
    write(tmp_path / "music/a.wav")
    job = config_file(tmp_path, resources={})
    code, said = finish("ingest", job, "--address", head.address, seconds=200, env=with_token(token))
    assert code == 2, said
    assert "Traceback" not in said
    assert f"--address {head.address}: " in said and "token" in said
    assert not (tmp_path / "store/tracks").exists()
