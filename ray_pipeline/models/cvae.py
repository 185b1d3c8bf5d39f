"""Conditional VAE (section 4): encoder and decoder are also given each track's class of one label.

With 20 MFCC means and one number for the class it has the study's 312,660 parameters: 21→512→256→32 and 33→256→512→20.
A number puts classes into an order that they do not have; `one_hot` gives each a column. What is known of the class need
not be in the latents, so clusters of them should follow the label less, not more; scores against that label are a leak.

Source: Sohn, Lee & Yan, "Learning Structured Output Representation using Deep Conditional Generative Models" (2015).
"""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.errors import TrainingError
from ray_pipeline.models.condition import CONDITION, Condition
from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Params as VaeParams
from ray_pipeline.models.vae import Width


class Params(VaeParams):
    kind: str = "cvae"
    condition: Condition
    hidden: tuple[Width, ...] = Field((512, 256), min_length=1, max_length=16, description="encoder layers, in order")


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A CVAE for tracks of `shapes`, of which the view `condition` is given to it; its weights are drawn by `seed`.

    Raises
    ------
    TrainingError
        No condition among the views.
    """
    from ray_pipeline.models.mlp import build_mlp

    if CONDITION not in shapes:
        raise TrainingError(f"a CVAE needs view '{CONDITION}'; given: {', '.join(sorted(shapes)) or 'none'}")
    p = params
    return build_mlp(p, shapes, seed, latent_dim=p.latent_dim, hidden=p.hidden, dropout=p.dropout, beta=1.0)
