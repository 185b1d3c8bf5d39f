"""What models over time share: one view of frames, and latents that give all frames at once."""

from __future__ import annotations

from torch import Tensor

from ray_pipeline.models.base import BaseVae, Tensors, present
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.frames import Params, frames_of


class FramesVae(BaseVae):
    """A VAE of the view that `params` name, [batch, n_frames, n_bands]."""

    def __init__(self, params: Params, shapes: Shapes) -> None:
        super().__init__(params, frames_of(params, shapes), beta=1.0)
        self.view = params.view
        self.n_frames, self.n_bands = self.shapes[self.view]

    def frames(self, views: Tensors, masks: Tensors) -> Tensor:
        """float32 [batch, n_frames, n_bands], missing values 0."""
        x = views[self.view].float()
        return x * present(masks, self.view, x)
