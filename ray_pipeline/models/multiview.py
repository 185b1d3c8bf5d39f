"""What models of several views share: an encoder and a decoder for each, so that a missing view leaves the others alone.

Layers are normalised track by track (Ba, Kiros & Hinton, "Layer Normalization", 2016), not over the batch, whose mean would
be drawn towards the zeros of the tracks that lack a view.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import BaseVae, LossOutput, Output, Tensors, present, side_by_side, squared_errors
from ray_pipeline.models.contract import Shapes
from ray_pipeline.shelf import Params


class MultiViewVae(BaseVae):
    """Each view -> layers of its own; z -> each view again, by layers of its own. A subclass gives `inference`.

    With `balance`, a view's squared error is scaled as if it had as many values as the smallest view; without, one of many
    values, as an image has, would alone decide what the latents hold.
    """

    def __init__(
        self, params: Params, shapes: Shapes, *, latent_dim: int, hidden: tuple[int, ...], dropout: float, balance: bool
    ) -> None:
        super().__init__(params, shapes, beta=1.0)
        self.names = sorted(shapes)
        sizes = [prod(shapes[name]) for name in self.names]
        # In lists, not by name: a module's name may hold no dot.
        self.encoders = nn.ModuleList(_layers((size, *hidden), dropout) for size in sizes)
        self.decoders = nn.ModuleList(
            nn.Sequential(_layers((latent_dim, *reversed(hidden)), dropout), nn.Linear(hidden[0], size))
            for size in sizes
        )
        if balance:
            self.scales = {name: min(sizes) / size for name, size in zip(self.names, sizes, strict=True)}

    def embedded(self, views: Tensors, masks: Tensors) -> Tensor:
        """What each view's encoder makes of it: [batch, n_views, hidden[-1]], in order of name."""
        rows = [side_by_side(views, masks, [name]) for name in self.names]
        return torch.stack([encoder(x) for encoder, x in zip(self.encoders, rows, strict=True)], dim=1)

    def seen(self, views: Tensors, masks: Tensors) -> Tensor:
        """1 where a track has something of a view, else 0: float32 [batch, n_views]."""
        columns = [present(masks, name, views[name].float()).expand(views[name].shape) for name in self.names]
        return torch.stack([column.flatten(1).amax(dim=1) for column in columns], dim=1)

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        return {
            name: decoder(z).float().unflatten(1, self.shapes[name])
            for name, decoder in zip(self.names, self.decoders, strict=True)
        }

    def loss(self, views: Tensors, masks: Tensors, out: Output) -> LossOutput:
        """As for one view, each view's errors by its scale."""
        everything = torch.ones(len(out.posterior.mu), len(self.names), device=out.posterior.mu.device)
        return self.loss_of(views, masks, out, everything)

    def loss_of(self, views: Tensors, masks: Tensors, out: Output, chosen: Tensor) -> LossOutput:
        """The loss of those views alone that are 1 in `chosen` [batch, n_views]."""
        errors = squared_errors(views, masks, out.reconstruction, self.scales)
        scaled = torch.stack([errors[name] for name in self.names], dim=1)
        reconstruction = (scaled * chosen).sum(dim=1).mean()
        kl_per_dim = self.kl(out.posterior).mean(dim=0)
        kl = kl_per_dim.sum()
        return LossOutput(reconstruction + self.beta * kl, reconstruction, kl, kl_per_dim)


def _layers(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    stack: list[nn.Module] = []
    for before, after in pairwise(sizes):
        stack += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU()]
        stack += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*stack)
