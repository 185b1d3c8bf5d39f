"""Which view a model over time takes: one array of frames a track, time first."""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.errors import TrainingError
from ray_pipeline.models.contract import Shapes
from ray_pipeline.shelf import Params as Base


class Params(Base):
    latent_dim: int = Field(default=32, ge=1, le=4096)
    view: str = Field("log_mel", min_length=1, description="feature of frames by bands; needs fusion.kind: none")
    dropout: float = Field(default=0.1, ge=0, lt=1)


def frames_of(params: Params, shapes: Shapes) -> Shapes:
    """The one view that the model takes, {name: (n_frames, n_bands)}; others are left to other models.

    Raises
    ------
    TrainingError
        It is not there, or is no array of frames.
    """
    name = params.view
    if name not in shapes:
        raise TrainingError(
            f"model '{params.kind}' needs view '{name}'; given: {', '.join(sorted(shapes)) or 'none'}",
            hint=f"add '{name}' to features, and set fusion.kind: none, which passes views on",
        )
    if len(shapes[name]) != 2:
        raise TrainingError(
            f"model '{params.kind}' needs frames by bands; view '{name}' is {list(shapes[name])} a track"
        )
    return {name: shapes[name]}
