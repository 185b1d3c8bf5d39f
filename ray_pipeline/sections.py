"""What a config says beside the parts of shelves: the keys of each section, with units, bounds and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from ray_pipeline import shelf
from ray_pipeline.s3_address import is_s3

LABEL = "label"
"""The factor that is the classes of ``scoring.label``."""
FACTORS = {
    "tempo": "tempo_key_loudness",
    "key": "tempo_key_loudness",
    "loudness": "tempo_key_loudness",
    "brightness": "brightness",
}
"""What else latents can be held against, and the feature that each factor is read from."""


def _from_here(model: str) -> str:
    """A path that is there, whole: workers start in other folders."""
    if is_s3(model) or not ("/" in model or model.startswith("~") or model.endswith(".pt")):
        return model
    try:
        path = Path(model).expanduser().absolute()
        return str(path) if path.exists() else model
    except (OSError, RuntimeError, ValueError):
        return model


Weights = Annotated[str, AfterValidator(_from_here)]
"""Of a model: a name, a path, or an address on s3://."""


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

    model: Weights = Field("all-MiniLM-L6-v2", description="a name on the hub, or the weights' folder, also on s3://")


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
