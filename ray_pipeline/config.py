"""One YAML file → one frozen `Config`.

`load(path, overrides)` reads the file, applies ``--set key=value``, checks every part's settings against that part's own
`Params`, and answers a mistake with ``file:line: key: what is wrong``. No heavy library is imported on the way.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError
from ray_pipeline.mistakes import dotted, explain, misread, shown
from ray_pipeline.s3_address import check_store, is_s3
from ray_pipeline.shelf import Params
from ray_pipeline.space import NO_MATTER, SEARCHED, Tune
from ray_pipeline.yaml_source import Lines, Origin, parse_value, read_yaml

# Sections that hold one part of a shelf: section -> (shelf, the key that names the part, what is taken if it is left out).
PARTS = {
    "source": ("source", "kind", "folder"),
    "lyrics": ("lyrics", "backend", "openai-whisper"),
    "fusion": ("fusion", "kind", "concat"),
    "model": ("model", "kind", "vae"),
    "clusterer": ("clusterer", "kind", "kmeans"),
}

LABEL = "label"
"""The factor that is the classes of ``scoring.label``."""
FACTORS = {
    "tempo": "tempo_key_loudness",
    "key": "tempo_key_loudness",
    "loudness": "tempo_key_loudness",
    "brightness": "brightness",
}
"""What else latents can be held against, and the feature that each factor is read from."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Audio(Section):
    """How a file becomes samples."""

    sample_rate: int = Field(22050, ge=4000, le=192000, description="Hz, of what features see")
    max_seconds: float = Field(30.0, gt=0, le=3600, description="s, decoded of a track and no more")
    min_seconds: float = Field(1.0, gt=0, description="s; less is too_short")
    position: Literal["auto", "start", "middle"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="where to decode: start, middle, seconds; auto = middle of what is longer than 60 s"
    )
    min_decoded_ratio: float = Field(
        0.95, ge=0, le=1, description="of the samples its header promises; less is truncated"
    )

    @field_validator("min_seconds")
    @classmethod
    def _can_be_had(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds > info.data.get("max_seconds", seconds):
            raise ValueError("more than audio.max_seconds, so every track would be too_short")
        return seconds


class Text(Section):
    """Which Sentence-BERT turns words into a vector."""

    model: str = Field("all-MiniLM-L6-v2", description="a name on the hub, or the weights' folder, also on s3://")


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
    yardstick: tuple[str, ...] = Field(
        (), description="features in whose space clusters of any model are compared; none: those that the fusion reads"
    )
    factors: tuple[str, ...] = Field(
        (),
        description="what single latents are held against: tempo, key, loudness, brightness, label; no model sees them",
    )

    @field_validator("factors")
    @classmethod
    def _known_factors(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            if name not in (*FACTORS, LABEL):
                raise ValueError(f"unknown factor '{name}'{shelf.suggest(name, [*FACTORS, LABEL])}")
        if len(set(names)) < len(names):
            raise ValueError("a factor is named twice")
        if LABEL in names and info.data.get("label") is None:
            raise ValueError(f"'{LABEL}' is the classes of scoring.label, which names none")
        return names


class Resources(Section):
    """Bounds and sizes; none of them changes a result."""

    workers: int | None = Field(
        None,
        ge=1,
        description="worker processes a pool of a stage; default: what the cluster has, and the work pays for",
    )
    num_cpus: float | None = Field(None, gt=0, description="CPUs of the Ray that is started here; default: all")
    block_size: int | None = Field(
        None, ge=1, description="tracks a block, which a crash may cost; default: a few blocks a CPU"
    )
    track_timeout_s: float = Field(300.0, gt=0, le=86_400)
    track_memory_mb: int = Field(2000, ge=64, le=2**20)


class Config(Section):
    """Everything a run is told."""

    store: str = Field("./out", validate_default=True)
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
    tune: Tune | None = Field(None, description="what a sweep searches; other commands take no notice of it")

    @field_validator("features")
    @classmethod
    def _known_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("name at least one feature")
        if len(set(names)) < len(names):
            raise ValueError("a feature is named twice")
        return names

    @field_validator("scoring")
    @classmethod
    def _yardstick_is_of_features(cls, scoring: Scoring, info: ValidationInfo) -> Scoring:
        for name in scoring.yardstick:
            if name not in info.data.get("features", (name,)):
                raise ValueError(f"yardstick: '{name}' is not among features")
        return scoring

    @field_validator("scoring")
    @classmethod
    def _factors_come_of_features(cls, scoring: Scoring, info: ValidationInfo) -> Scoring:
        seen = {
            view
            for _, value in info.data.get("fusion") or ()
            for view in (value if isinstance(value, tuple) else [value])
        }
        for factor in scoring.factors:
            feature = FACTORS.get(factor)
            if feature and feature not in info.data.get("features", (feature,)):
                raise ValueError(f"factor '{factor}' is read from the feature '{feature}', which is not among features")
            if feature and feature in seen:
                raise ValueError(
                    f"factor '{factor}' is read from '{feature}', which the fusion takes: it would be given away"
                )
        return scoring

    @field_validator("store")
    @classmethod
    def _expand_store(cls, store: str) -> str:
        if not store.strip() or "\0" in store:
            raise ValueError("name a folder")
        if is_s3(store):
            return check_store(store)
        if "://" in store:
            raise ValueError("a store is a folder that every node sees, or s3://bucket/prefix")
        try:
            return str(Path(store).expanduser().absolute())
        except RuntimeError:
            raise ValueError("there is no such user here; write the whole path") from None

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
    features = values.get("features")
    for i, feature in enumerate(features if isinstance(features, list | tuple) else []):
        _known("feature", feature, ("features", i), lines, mistakes)
    values["tune"] = _tune(raw, lines, mistakes)
    try:
        config = Config.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        mistakes += explain(error, (), lines, Config, skip=set(PARTS))
        raise ConfigError("\n".join(mistakes)) from None
    mistakes += misread(raw, config, (), lines)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _part(
    raw: Any, section: str, name: str, key: str, default: str, lines: Lines, mistakes: list[str]
) -> Params | None:
    if not isinstance(raw, dict):
        mistakes.append(f"{lines.where((section,))}: {section}: a mapping with '{key}:' is needed, not {shown(raw)}")
        return None
    kind = raw.get(key, default)
    if not _known(name, kind, (section, key), lines, mistakes):
        return None
    params = shelf.params_of(name, kind)
    try:
        return params.model_validate({**raw, key: kind})
    except ValidationError as error:
        mistakes += explain(error, (section,), lines, params)
        return None


def _tune(raw: dict[str, Any], lines: Lines, mistakes: list[str]) -> Tune | None:
    """The ``tune:`` block, every value of its space tried as a config."""
    given = raw.get("tune")
    if given is None:
        return None
    if not isinstance(given, dict):
        mistakes.append(f"{lines.where(('tune',))}: tune: a mapping of keys is needed, not {shown(given)}")
        return None
    try:
        tune = Tune.model_validate(given)
    except ValidationError as error:
        mistakes += explain(error, ("tune",), lines, Tune, passed={"space"})
        return None
    mistakes += _not_searched(tune, lines)
    fixed = {key: value for key, value in raw.items() if key != "tune"}
    for point in tune.examples():
        try:
            check(with_keys(fixed, point), Lines(Origin(lines.where(("tune", list(point)[-1])))))
        except ConfigError as error:
            mistakes += [line for line in str(error).splitlines() if line not in mistakes]
    return tune


def _not_searched(tune: Tune, lines: Lines) -> list[str]:
    """A line for each key of the space that trials must share, or that makes no difference to them."""
    out = []
    for key in tune.searched():
        where = f"{lines.where(('tune', key) if key in tune.space else ('tune', 'together'))}: {key}"
        if key in NO_MATTER:
            out.append(f"{where}: changes no result, so there is nothing to search")
        elif key.split(".")[0] not in SEARCHED:
            out.append(
                f"{where}: a sweep searches {', '.join(SEARCHED[:-1])} and {SEARCHED[-1]}; trials share the rest"
            )
    return out


def with_keys(raw: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `raw` with the dotted keys of `point` set.

    Raises
    ------
    ConfigError
        A key leads through what is no mapping.
    """
    out = copy.deepcopy(dict(raw))
    # Whole sections and kinds first: they decide which other keys there are.
    for key in sorted(point, key=lambda key: (key.count("."), not key.endswith((".kind", ".backend")))):
        _set(out, tuple(key.split(".")), copy.deepcopy(point[key]), f"tune.{key}")
    return out


def _known(name: str, kind: Any, at: tuple[str | int, ...], lines: Lines, mistakes: list[str]) -> bool:
    try:
        shelf.params_of(name, kind if isinstance(kind, str) else str(kind))
    except ConfigError as error:
        mistakes.append(f"{lines.where(at)}: {dotted(at)}: {error}")
        return False
    return True


def _override(raw: dict[str, Any], lines: Lines, text: str) -> None:
    """Apply one ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write it as key=value, for example --set model.beta=4")
    path = tuple(key.strip().split("."))
    if not all(path):
        raise ConfigError(f"--set {text}: a name is missing before or after a dot")
    _set(raw, path, parse_value(value, f"--set {key}"), f"--set {key}")
    lines.replace(path, f"--set {key}")


def _set(raw: dict[str, Any], path: tuple[str, ...], value: Any, what: str) -> None:
    """Set one key; another part named by it drops the keys that only the former part knew."""
    at: Any = raw
    for step in path[:-1]:
        at = at.setdefault(step, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise ConfigError(f"{what}: '{step}' is not a mapping")
    if path[0] in PARTS and path[1:] == (PARTS[path[0]][1],):
        _drop_former(at, path[0], value)
    at[path[-1]] = value


def _drop_former(raw: dict[str, Any], section: str, kind: Any) -> None:
    name, key, default = PARTS[section]
    try:
        new = shelf.params_of(name, str(kind)).model_fields
        old = shelf.params_of(name, str(raw.get(key, default))).model_fields
    except ConfigError:
        return
    for field in set(raw) & (set(old) - set(new)):
        del raw[field]
