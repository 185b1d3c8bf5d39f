"""The VAE with a linear classifier on the means of its posterior."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn.functional import log_softmax

from ray_pipeline.models.base import LossOutput, Output, Tensors
from ray_pipeline.models.condition import CONDITION
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.mlp import MlpVae
from ray_pipeline.shelf import Params


class SemiVae(MlpVae):
    """View `condition` [batch, 1 + n_classes], its first column "no label", is compared with what the classifier says."""

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        hidden: tuple[int, ...],
        dropout: float,
        alpha: float,
    ) -> None:
        rebuilt = {name: shape for name, shape in shapes.items() if name != CONDITION}
        super().__init__(params, rebuilt, latent_dim=latent_dim, hidden=hidden, dropout=dropout, beta=1.0, point=False)
        self.shapes = dict(shapes)
        self.alpha = alpha
        self.classifier = nn.Linear(latent_dim, shapes[CONDITION][0] - 1)

    def loss(self, views: Tensors, masks: Tensors, out: Output) -> LossOutput:
        """The VAE's loss, plus alpha times the mean cross-entropy over the tracks whose label is shown."""
        plain = super().loss(views, masks, out)
        classes = views[CONDITION].float()[:, 1:]
        surprise = -(classes * self.log_probabilities(out.posterior.mu)).sum(dim=1)
        classification = self.alpha * surprise.sum() / classes.sum().clamp(min=1.0)
        return replace(plain, loss=plain.loss + classification, extra={"classification": classification})

    def log_probabilities(self, mu: Tensor) -> Tensor:
        """Log of each class's probability by latents [batch, latent_dim]: [batch, n_classes]."""
        return log_softmax(self.classifier(mu).float(), dim=1)
