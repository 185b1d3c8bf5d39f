"""A VAE of one Gaussian expert a view and one for the prior, multiplied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import LossOutput, Output, Posterior, Tensors, posterior
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.multiview import MultiViewVae
from ray_pipeline.shelf import Params


@dataclass(frozen=True)
class Experts:
    """What each view says of z: mean and precision [batch, n_views, latent_dim]; of a missing view precision 0."""

    mu: Tensor
    precision: Tensor

    def product(self, chosen: Tensor | None = None) -> Posterior:
        """The product of the experts, or of those that are 1 in `chosen` [batch, n_views], with the prior N(0, 1)."""
        precision = self.precision if chosen is None else self.precision * chosen[:, :, None]
        total = 1.0 + precision.sum(dim=1)
        return Posterior((self.mu * precision).sum(dim=1) / total, -torch.log(total))


class PoeVae(MultiViewVae):
    """Views → experts → their product → each view again."""

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        hidden: tuple[int, ...],
        dropout: float,
        balance: bool,
        subsets: int,
    ) -> None:
        super().__init__(params, shapes, latent_dim=latent_dim, hidden=hidden, dropout=dropout, balance=balance)
        # Of two views, each alone and both together are all the choices there are.
        self.subsets = subsets if len(self.names) > 2 else 0
        self.mu = nn.ModuleList(nn.Linear(hidden[-1], latent_dim) for _ in self.names)
        self.logvar = nn.ModuleList(nn.Linear(hidden[-1], latent_dim) for _ in self.names)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        return self.experts(views, masks).product()

    def forward(self, views: Tensors, masks: Tensors) -> LossOutput:
        """The loss of all views, and as `extra` what subsets of them lose that have to do by themselves."""
        experts = self.experts(views, masks)
        together = experts.product()
        whole = self.loss(views, masks, Output(together, self.generative(together.sample(), views)))
        terms = [
            self._alone(views, masks, experts, chosen) for chosen in self._choices(len(together.mu), together.mu.device)
        ]
        if not terms:
            return whole
        extra = torch.stack(terms).sum()
        return replace(whole, loss=whole.loss + extra, extra={"subsets": extra})

    def experts(self, views: Tensors, masks: Tensors) -> Experts:
        """One expert a view, in order of name."""
        embedded = self.embedded(views, masks).unbind(dim=1)
        said = [posterior(mu(h), logvar(h)) for mu, logvar, h in zip(self.mu, self.logvar, embedded, strict=True)]
        precision = torch.stack([torch.exp(-expert.logvar) for expert in said if expert.logvar is not None], dim=1)
        seen = self.seen(views, masks)
        return Experts(torch.stack([expert.mu for expert in said], dim=1), precision * seen[:, :, None])

    def _alone(self, views: Tensors, masks: Tensors, experts: Experts, chosen: Tensor) -> Tensor:
        """The loss of the `chosen` views; a track that has none of them adds 0."""
        found = experts.product(chosen)
        out = Output(found, self.generative(found.sample(), views))
        return self.loss_of(views, masks, out, chosen).loss

    def _choices(self, n: int, device: torch.device) -> list[Tensor]:
        """Each view alone, then random choices by track, where they differ from all views together: [n, n_views]."""
        n_views = len(self.names)
        if n_views == 1:
            return []
        alone = [row.expand(n, n_views) for row in torch.eye(n_views, device=device)]
        return alone + [torch.randint(2, (n, n_views), device=device).float() for _ in range(self.subsets)]
