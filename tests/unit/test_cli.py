"""The command line's borders: exit codes, kind messages, text that can do a terminal no harm. No Ray."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ray_pipeline import errors
from ray_pipeline.cli.console import Voice, exits, safe
from ray_pipeline.cli.main import app

RUN = CliRunner()
COMMANDS = (
    "run",
    "ingest",
    "featurize",
    "transcribe",
    "embed",
    "train",
    "evaluate",
    "import-features",
    "audit",
    "sweep",
    "best",
    "status",
    "export",
    "report",
    "verify",
    "prune",
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(
        f"store: {tmp_path}/store\nsource: {{kind: folder, root: {tmp_path}/music}}\nlyrics: {{backend: none}}\n"
    )
    return path


def code_of(error: BaseException) -> int:
    with pytest.raises(typer.Exit) as raised, exits("ray-pipeline run x.yaml"):
        raise error
    return raised.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.SourceError("x"), 2),
        (errors.WeightsError("x"), 2),
        (errors.ResourceError("x"), 2),
        (errors.TooManyBadTracks("x"), 3),
        (errors.StoreError("x"), 1),
        (errors.LeaseHeld("x"), 1),
        (errors.Damaged("x"), 1),
        (errors.TrainingError("x"), 1),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert code_of(error) == code


def test_every_error_of_ours_has_a_code() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RayPipelineError)
    ]
    assert len(kinds) >= 9
    assert {kind.exit_code for kind in kinds} == {1, 2, 3}


def test_error_is_told_with_its_hint_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code_of(errors.StoreError("first line\nsecond line", hint="do this"))
    told = capsys.readouterr().err
    assert told == "error: first line\nerror: second line\ndo this\n"


def test_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    code_of(KeyboardInterrupt())
    assert "To go on: ray-pipeline run x.yaml" in capsys.readouterr().err


def test_crash_in_a_worker_is_told_by_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    code_of(
        RuntimeError(
            "\x1b[36mray::MapWorker\x1b[39m (pid=1)\n  File x, line 1\nModuleNotFoundError: No module named 'x'\n"
        )
    )
    assert "crashed: RuntimeError: ModuleNotFoundError: No module named 'x'" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError(), RuntimeError("\n \n")], ids=["no text", "blank text"])
def test_crash_without_a_word_is_told_all_the_same(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(error) == 1
    assert "crashed: RuntimeError" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "a\u202eb",
        "bell\x07",
        "line\nbreak",
        "\r",
        "\udcff",
        "\u2028",
        "\x9b31m",
        "\u200b",
        "\ufeff",
    ],
)
def test_safe_text_has_nothing_a_terminal_obeys(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    shown.encode("utf-8")


def test_safe_text_keeps_what_people_write() -> None:
    assert safe("Дорога — 道 (naïve) 100 %") == "Дорога — 道 (naïve) 100 %"
    assert safe("[red]x[/]") == "\\[red]x\\[/]"


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Voice() as voice:
        voice.say("[bold]hello[/]")
        for done in range(0, 1001):
            voice.progress("featurize", done, 1000)
    hello, first, last = capsys.readouterr().out.splitlines()
    assert (hello, first) == ("[bold]hello[/]", "featurize: 0 of 1,000")
    assert re.fullmatch(r"featurize: 1,000 of 1,000, [\d,]+\.\d\d/s", last)


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Voice(quiet=True) as voice:
        voice.say("hello")
        voice.progress("featurize", 1, 2)
    assert capsys.readouterr().out == ""


def test_help_names_every_command() -> None:
    said = RUN.invoke(app, ["--help"]).output
    assert [name for name in COMMANDS if name not in said] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    said = RUN.invoke(app, [command, "--help"])
    assert said.exit_code == 0
    (usage,) = [line for line in said.output.splitlines() if "Usage:" in line]
    assert ("CONFIG" in usage) != ("STORE" in usage)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (["model.kind=betta"], "did you mean 'beta'?"),
        (["training.epoch=3"], "did you mean 'epochs'?"),
        (["training.epochs=0"], "training.epochs"),
        (["nonsense"], "key=value"),
    ],
)
def test_bad_set_ends_with_2_and_a_guess(config: Path, sets: list[str], told: str) -> None:
    said = RUN.invoke(app, ["run", str(config), *(word for one in sets for word in ("--set", one))])
    assert said.exit_code == 2, said.output
    assert told in said.output


def test_missing_config_ends_with_2(tmp_path: Path) -> None:
    said = RUN.invoke(app, ["run", str(tmp_path / "nowhere.yaml")])
    assert said.exit_code == 2
    assert "nowhere.yaml" in said.output


def test_store_that_cannot_be_made_is_told(config: Path) -> None:
    said = RUN.invoke(app, ["run", str(config), "--set", f"store={config}/under/a/file"])
    assert said.exit_code == 1
    assert "choose another folder" in said.output
