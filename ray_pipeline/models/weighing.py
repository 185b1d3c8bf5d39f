"""A VAE whose posterior comes from a weighted mean of the views' embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import Posterior, Tensors, posterior
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.multiview import MultiViewVae
from ray_pipeline.shelf import Params


class AttentionVae(MultiViewVae):
    """Embeddings [batch, n_views, width] → weights [batch, n_views] → their mean [batch, width] → mu and logvar."""

    def __init__(
        self, params: Params, shapes: Shapes, *, latent_dim: int, hidden: tuple[int, ...], dropout: float, balance: bool
    ) -> None:
        super().__init__(params, shapes, latent_dim=latent_dim, hidden=hidden, dropout=dropout, balance=balance)
        width = hidden[-1]
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.mu = nn.Linear(width, latent_dim)
        self.logvar = nn.Linear(width, latent_dim)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        embedded = self.embedded(views, masks)
        weights = self._weights(embedded, self.seen(views, masks))
        pooled = (embedded * weights[:, :, None]).sum(dim=1)
        return posterior(self.mu(pooled), self.logvar(pooled))

    def attention(self, views: Tensors, masks: Tensors) -> Tensor:
        """How much each view counts for each track: [batch, n_views], in order of name; rows add up to 1.

        Of a missing view exactly 0, and all 0 of a track that has none.
        """
        return self._weights(self.embedded(views, masks), self.seen(views, masks))

    def _weights(self, embedded: Tensor, seen: Tensor) -> Tensor:
        scores = self.score(embedded)[:, :, 0].float()
        lowest = torch.finfo(scores.dtype).min
        return torch.softmax(scores.masked_fill(seen == 0, lowest), dim=1) * seen
