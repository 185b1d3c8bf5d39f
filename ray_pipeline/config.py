"""One YAML file → one frozen `Config`.

`load(path, overrides)` reads the file, applies ``--set key=value``, checks every part's settings against that part's own
`Params`, and answers a mistake with ``file:line: key: what is wrong``. No heavy library is imported on the way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, field_validator

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError
from ray_pipeline.shelf import Params
from ray_pipeline.yaml_source import Lines, Origin, parse_value, read_yaml

# Sections that hold one part of a shelf: section -> (shelf, the key that names the part, what is taken if it is left out).
PARTS = {
    "source": ("source", "kind", "folder"),
    "lyrics": ("lyrics", "backend", "faster-whisper"),
    "fusion": ("fusion", "kind", "concat"),
    "model": ("model", "kind", "vae"),
    "clusterer": ("clusterer", "kind", "kmeans"),
}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Audio(Section):
    """How a file becomes samples."""

    sample_rate: int = Field(22050, ge=4000, le=192000, description="Hz, of what features see")
    max_seconds: float = Field(30.0, gt=0, le=3600, description="s, decoded of a track and no more")
    min_seconds: float = Field(1.0, gt=0, description="s; less is too_short")
    position: Literal["auto", "start", "middle"] | float = Field(
        "auto", description="where to decode: start, middle, seconds; auto = middle of what is longer than 60 s"
    )
    min_decoded_ratio: float = Field(
        0.95, ge=0, le=1, description="of the samples its header promises; less is truncated"
    )


class Text(Section):
    """Which Sentence-BERT turns words into a vector."""

    model: str = "all-MiniLM-L6-v2"


class Training(Section):
    """The study's settings are the defaults."""

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(256, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    lr_step: int = Field(20, ge=1, description="epochs between two cuts of the learning rate")
    lr_gamma: float = Field(0.5, gt=0, le=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    num_workers: int = Field(1, ge=0, description="Ray Train workers; 0 trains in the driver")
    use_gpu: bool | Literal["auto"] = "auto"


class Scoring(Section):
    label: str | None = Field(None, description="label to compare clusters with; none: no external scores")
    seeds: int = Field(3, ge=1, le=100, description="trainings, with seed, seed + 1, …; scores show their spread")
    null_draws: int = Field(20, ge=2, le=1000)
    permutations: int = Field(1000, ge=10)


class Resources(Section):
    """Bounds and sizes; none of them changes a result."""

    workers: int | None = Field(None, ge=1, description="worker processes a stage; default: what the cluster has")
    num_cpus: float | None = Field(None, gt=0, description="CPUs of the Ray that is started here; default: all")
    block_size: int | None = Field(None, ge=1, description="tracks a block; default: a few blocks a CPU")
    track_timeout_s: float = Field(300.0, gt=0)
    track_memory_mb: int = Field(2000, ge=64)


class Config(Section):
    """Everything a run is told."""

    store: str = "./out"
    seed: int = Field(0, ge=0, lt=2**31)
    source: SerializeAsAny[Params]
    audio: Audio = Audio()
    features: tuple[str, ...] = ("mfcc", "mfcc_stats")
    lyrics: SerializeAsAny[Params]
    text: Text = Text()
    fusion: SerializeAsAny[Params]
    model: SerializeAsAny[Params]
    training: Training = Training()
    clusterer: SerializeAsAny[Params]
    scoring: Scoring = Scoring()
    resources: Resources = Resources()
    max_bad_fraction: float = Field(0.2, ge=0, le=1)

    @field_validator("features")
    @classmethod
    def _known_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("name at least one feature")
        if len(set(names)) < len(names):
            raise ValueError("a feature is named twice")
        return names

    @field_validator("store")
    @classmethod
    def _expand_store(cls, store: str) -> str:
        if not store.strip():
            raise ValueError("name a folder")
        return store if "://" in store else str(Path(store).expanduser().absolute())

    def plain(self) -> dict[str, Any]:
        """The whole config as JSON-ready values."""
        return self.model_dump(mode="json", by_alias=True)


def load(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read `path`, apply `overrides` (``"model.beta=4"``; values are YAML), check everything.

    Raises
    ------
    ConfigError
        With one line a mistake: ``file:line: key: what is wrong; did you mean …``.
    """
    raw, lines = read_yaml(Path(path))
    for text in overrides:
        _override(raw, lines, text)
    return check(raw, lines)


def check(raw: dict[str, Any], lines: Lines | None = None) -> Config:
    """A `Config` from plain values; `lines` says where each key was written."""
    lines = lines or Lines(Origin("config"))
    mistakes: list[str] = []
    values = dict(raw)
    for section, (name, key, default) in PARTS.items():
        values[section] = _part(values.get(section, {}), section, name, key, default, lines, mistakes)
    for i, feature in enumerate(raw.get("features") or []):
        _known("feature", feature, ("features", i), lines, mistakes)
    try:
        config = Config.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        mistakes += _explain(error, (), lines, Config, skip=set(PARTS))
        raise ConfigError("\n".join(mistakes)) from None
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _part(
    raw: Any, section: str, name: str, key: str, default: str, lines: Lines, mistakes: list[str]
) -> Params | None:
    if not isinstance(raw, dict):
        mistakes.append(f"{lines.where((section,))}: {section}: a mapping with '{key}:' is needed, not {raw!r}")
        return None
    kind = raw.get(key, default)
    if not _known(name, kind, (section, key), lines, mistakes):
        return None
    params = shelf.params_of(name, kind)
    try:
        return params.model_validate({**raw, key: kind})
    except ValidationError as error:
        mistakes += _explain(error, (section,), lines, params)
        return None


def _known(name: str, kind: Any, at: tuple[str | int, ...], lines: Lines, mistakes: list[str]) -> bool:
    try:
        shelf.params_of(name, kind if isinstance(kind, str) else str(kind))
    except ConfigError as error:
        mistakes.append(f"{lines.where(at)}: {_dotted(at)}: {error}")
        return False
    return True


def _override(raw: dict[str, Any], lines: Lines, text: str) -> None:
    """Apply one ``key=value``; another part named by it drops the keys that only the former part knew."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write it as key=value, for example --set model.beta=4")
    path = tuple(key.strip().split("."))
    parsed = parse_value(value, f"--set {key}")
    at: Any = raw
    for step in path[:-1]:
        at = at.setdefault(step, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise ConfigError(f"--set {key}: '{step}' is not a mapping")
    if path[0] in PARTS and path[1:] == (PARTS[path[0]][1],):
        _drop_former(at, path[0], parsed)
    at[path[-1]] = parsed
    lines.replace(path, f"--set {key}")


def _drop_former(raw: dict[str, Any], section: str, kind: Any) -> None:
    name, key, default = PARTS[section]
    try:
        new = shelf.params_of(name, str(kind)).model_fields
        old = shelf.params_of(name, str(raw.get(key, default))).model_fields
    except ConfigError:
        return
    for field in set(raw) & (set(old) - set(new)):
        del raw[field]


def _explain(
    error: ValidationError,
    at: tuple[str | int, ...],
    lines: Lines,
    model: type[BaseModel],
    skip: set[str] | None = None,
) -> list[str]:
    out = []
    for item in error.errors():
        loc = tuple(item["loc"])
        if skip and loc and loc[0] in skip:
            continue
        loc = tuple(step for step in loc if not _is_type_step(step))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown key{shelf.suggest(str(loc[-1]), _fields_at(model, loc[:-1]))}"
        elif "input" in item and not isinstance(item["input"], dict | list) and item["type"] != "missing":
            message = f"{message[0].lower()}{message[1:]}, not {item['input']!r}"
        out.append(f"{lines.where((*at, *loc))}: {_dotted((*at, *loc))}: {message}")
    return out


def _is_type_step(step: str | int) -> bool:
    """Pydantic puts the tried member of a union into the path (``literal[...]``, ``float``); people do not write it."""
    return isinstance(step, str) and (step.startswith("literal[") or step in {"float", "bool", "int", "str"})


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    for step in path:
        found = model.model_fields.get(str(step))
        if found is None or not isinstance(found.annotation, type) or not issubclass(found.annotation, BaseModel):
            return []
        model = found.annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
