"""What late fusion is told: its members, each with a fusion and a model, and how their latents are combined.

    fusion: {kind: none}
    model:
      kind: late
      of:
        H: {fusion: {kind: concat}, model: {kind: vae}}
        B: {fusion: {kind: audio}, model: {kind: beta}}
      combine: weighted
      weights: {H: 2}

Without `of` it is the study's H + B + C: the hybrid, the beta and the conv model.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator, model_validator

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError
from ray_pipeline.models.combination import Combine
from ray_pipeline.models.condition import CONDITION, Condition
from ray_pipeline.shelf import Params as Base


class Member(BaseModel):
    """One of the experiments whose latents are combined, up to its latents."""

    model_config = Base.model_config

    fusion: SerializeAsAny[Base]
    model: SerializeAsAny[Base]

    @field_validator("fusion", "model", mode="before")
    @classmethod
    def _of_its_shelf(cls, given: Any, info: ValidationInfo) -> Base:
        return given if isinstance(given, Base) else _checked(str(info.field_name), given)

    @field_validator("model")
    @classmethod
    def _is_told_nothing(cls, model: Base) -> Base:
        if "condition" in type(model).model_fields:
            raise ValueError(f"'{model.kind}' takes a label or members of its own, and no member may")
        return model


def _part(fusion: str, model: str) -> Member:
    return Member.model_validate({"fusion": {"kind": fusion}, "model": {"kind": model}})


class Params(Base):
    kind: str = "late"
    of: dict[str, Member] = Field(
        default_factory=lambda: {
            "H": _part("concat", "vae"),
            "B": _part("audio", "beta"),
            "C": _part("spectral", "conv"),
        },
        min_length=1,
        max_length=100,
        description="members by name",
    )
    combine: Combine = Field("concat", description="of their latents; with_genre: also the classes of condition.label")
    weights: dict[str, float] = Field({}, description="by member's name, for weighted; 1 where not named")
    n_components: int = Field(32, ge=1, le=4096, description="for pca, at most")
    condition: Condition | None = Field(None, description="for with_genre")

    @model_validator(mode="after")
    def _fits_together(self) -> Params:
        if strange := [name for name in self.of if not name.isidentifier() or name == CONDITION]:
            raise ValueError(
                f"of: a member's name is of letters, digits and _, and not '{CONDITION}'; {strange[0]!r} is not"
            )
        if strange := [name for name in self.weights if name not in self.of]:
            raise ValueError(f"weights: '{strange[0]}' is no member{shelf.suggest(strange[0], list(self.of))}")
        if any(weight <= 0 for weight in self.weights.values()):
            raise ValueError("weights: must be above 0")
        if (self.combine == "with_genre") != (self.condition is not None):
            raise ValueError("combine: with_genre and condition: {label: …} go together")
        return self


def _checked(section: str, given: Any) -> Base:
    """A member's fusion or model, checked against its own Params; ValueError says what is wrong in one line."""
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        raise ValueError("a mapping with 'kind:' is needed")
    try:
        found = shelf.params_of(section, given["kind"])
        return found.model_validate(given)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(item, found) for item in error.errors())) from None


def _complaint(item: Any, found: type[Base]) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{shelf.suggest(key, list(found.model_fields))}"
    return f"{key}: {item['msg'].removeprefix('Value error, ')}"
