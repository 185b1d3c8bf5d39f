"""What nodes say held against what the driver is and sees; the nodes are only told of, what they see is real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.errors import ConfigError, ResourceError
from ray_pipeline.stages import node_report, nodes, reach, session
from ray_pipeline.stages.node_report import Report, lack, wanted
from ray_pipeline.stages.sweep import check_sweep

HERE = {"python": "3.11.7", "ray": "2.60.0", "ray_pipeline": "0.1.0", "code": "aa", "numpy": "2.4.6"}


@pytest.mark.parametrize(
    ("package", "version", "told"),
    [
        ("python", "3.12.1", r"node 10\.0\.0\.7 runs Python 3\.12\.1, the driver Python 3\.11\.7"),
        ("ray", "2.59.0", r"node 10\.0\.0\.7 runs Ray 2\.59\.0, the driver Ray 2\.60\.0"),
        ("ray_pipeline", "0.0.9", r"node 10\.0\.0\.7 runs ray_pipeline 0\.0\.9, the driver ray_pipeline 0\.1\.0"),
        ("code", "bb", r"node 10\.0\.0\.7 runs ray_pipeline's code bb"),
    ],
)
def test_what_must_be_the_same_is_refused(package: str, version: str, told: str) -> None:
    found = {"10.0.0.6": Report(HERE, {}), "10.0.0.7": Report(HERE | {package: version}, {})}
    with pytest.raises(ResourceError, match=told) as raised:
        nodes.compare(HERE, found, pytest.fail)
    assert "10.0.0.6" not in str(raised.value)


def test_what_may_differ_is_noted() -> None:
    notes: list[str] = []
    nodes.compare(HERE, {"10.0.0.7": Report(HERE | {"numpy": "2.3.0"}, {})}, notes.append)
    assert notes == ["node 10.0.0.7 runs numpy 2.3.0, the driver numpy 2.4.6: numbers may differ in their last digits"]


def test_this_machine_lacks_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"12")
    (tmp_path / "sub").mkdir()
    assert lack(wanted("source.root", str(tmp_path), hashed=True, write=True)) == ""
    assert node_report.report([wanted("a", str(tmp_path))]).lacks == {}
    assert set(node_report.SAME) <= set(node_report.versions())


def test_a_folder_that_is_another_is_told(tmp_path: Path) -> None:
    for name in ("here", "there", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "here/a.wav").write_bytes(b"12")
    (tmp_path / "there/a.wav").write_bytes(b"123")
    seen = wanted("source.root", str(tmp_path / "here"))
    for other in ("there", "empty"):
        assert "'a.wav'" in lack(replace(seen, path=str(tmp_path / other)))
    assert lack(replace(seen, path=str(tmp_path / "none"))) == f"does not see {tmp_path}/none"


def test_weights_that_differ_in_a_byte_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "b.pt").write_bytes(b"weighty")
    seen = wanted("lyrics.model", str(tmp_path / "a.pt"), hashed=True)
    assert "other contents" in lack(replace(seen, path=str(tmp_path / "b.pt")))


def test_what_workers_are_sent_to(context: Any, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "songs.csv").write_text("path\na.wav\n")
    words = {"backend": "openai-whisper", "model": str(tmp_path / "songs.csv")}
    folder = {"kind": "folder", "root": str(tmp_path / "music")}
    manifest = {"kind": "manifest", "root": str(tmp_path / "songs.csv")}
    elsewhere = manifest | {"audio_root": str(tmp_path / "music")}
    silent = {"backend": "none"}
    for source, command, lyrics, expected in (
        (folder, "run", silent, {"source.root": tmp_path / "music"}),
        (manifest, "ingest", silent, {"source.root": tmp_path}),
        (elsewhere, "run", silent, {"source.audio_root": tmp_path / "music"}),
        (folder, "train", words, {}),
        (folder, "transcribe", words, {"source.root": tmp_path / "music", "lyrics.model": tmp_path / "songs.csv"}),
        ({"kind": "synthetic"}, "run", silent, {}),
    ):  # fmt: skip
        ctx = context(command, source=source, lyrics=lyrics)
        with reach.paths(ctx, command) as found:
            assert Path(found[-1].path).is_file() and found[-1].setting == "store"
        assert {one.setting: Path(one.path) for one in found[:-1]} == expected
        assert not Path(found[-1].path).exists()


def test_what_lies_on_s3_is_asked_of_no_node(context: Any) -> None:
    words = {"backend": "openai-whisper", "model": "s3://weights/a.pt"}
    text = {"model": "s3://weights/mini"}
    for source in ({"kind": "folder", "root": "s3://music"}, {"kind": "manifest", "root": "s3://music/songs.csv"}):
        ctx = context("run", source=source, lyrics=words, text=text)
        ctx.config = ctx.config.model_copy(update={"store": "s3://store/here"})
        with reach.paths(ctx, "run") as found:
            assert found == []


def test_every_lack_has_a_way_out(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = dict.fromkeys(nodes._FIX, "does not see it")
    monkeypatch.setattr(nodes, "_others", lambda ctx: {"id": "10.0.0.7"})
    monkeypatch.setattr(nodes, "ask", lambda *_: {"10.0.0.7": Report(node_report.versions(), lacks)})
    ctx = context(source={"kind": "folder", "root": "/"})
    with pytest.raises(ResourceError) as raised:
        nodes.check_nodes(ctx, reach.paths(ctx, "run"))
    for setting in lacks:
        assert f"{setting}: node 10.0.0.7 does not see it" in str(raised.value)
        assert f"{setting}: " in raised.value.hint


def test_the_head_and_the_driver_are_not_asked(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray:
        def get_runtime_context(self) -> Any:
            return self

        def get_node_id(self) -> str:
            return "driver"

        class util:
            class client:
                class ray:
                    is_connected = staticmethod(lambda: False)

    monkeypatch.setattr(session, "connect", lambda ctx: Ray())
    told = [("head", 0, 0), ("driver", 4, 0), ("cpu", 4, 0), ("gpu", 0, 1)]
    found = [{"NodeID": n, "NodeManagerAddress": n, "Resources": {"CPU": c, "GPU": g}} for n, c, g in told]
    monkeypatch.setattr(session, "nodes", lambda ctx: found)
    assert nodes._others(context(source={"kind": "folder", "root": "/"})) == {"cpu": "cpu", "gpu": "gpu"}


def test_a_cluster_of_another_version_is_told_with_both(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    mismatch = "Version mismatch: The cluster was started with:\n    Ray: 2.59.0\nThis process …\n    Ray: 2.60.0"

    def refuse(**_: Any) -> None:
        raise RuntimeError(mismatch)

    ctx = context(source={"kind": "folder", "root": "/"})
    ctx.address = "auto"
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ResourceError, match=r"--address auto: Version mismatch: .*Ray: 2\.59\.0 .* Ray: 2\.60\.0"):
        session._start(ray, ctx)


def test_what_ray_says_of_environments_is_not_shown(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**_: Any) -> None:
        raise ValueError(
            "Failed to merge the Job's runtime env {'env_vars': {'AWS_SECRET_ACCESS_KEY': 'hidden'}} with …"
        )

    ctx = context(source={"kind": "folder", "root": "/"})
    ctx.address = "auto"
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ResourceError) as caught:
        session._start(ray, ctx)
    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_what_a_job_says_of_its_environment_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray refuses a variable that both a job and its driver set."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert session._handed_on().items() >= {"AWS_REGION": "eu-west-1", "OMP_NUM_THREADS": "1"}.items()
    job = {"runtime_env": {"env_vars": {"AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "hidden"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert "AWS_REGION" not in session._handed_on() and session._handed_on()["OMP_NUM_THREADS"] == "1"
    for other in ("{}", '{"runtime_env": {}}', "nonsense"):
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", other)
        assert "AWS_REGION" in session._handed_on()


def test_rays_client_is_refused(context: Any) -> None:
    import ray

    ctx = context(source={"kind": "folder", "root": "/"})
    ctx.address = "ray://head:10001"
    with pytest.raises(ConfigError, match="an address is host:port"):
        session._start(ray, ctx)


def test_a_population_is_refused_where_its_weights_have_no_folder(context: Any) -> None:
    tune = {"model.beta": {"uniform": [0.1, 4]}, "num_samples": 2, "scheduler": "pbt"}
    ctx = context(source={"kind": "folder", "root": "/"}, tune=tune, model={"kind": "beta"})
    ctx = replace(ctx, config=ctx.config.model_copy(update={"store": "s3://bucket/out"}))
    check_sweep(ctx)
    ctx.address = "auto"
    with pytest.raises(ConfigError, match="pbt hands weights on in files"):
        check_sweep(ctx)
