"""Semi-supervised VAE: the VAE, and a linear classifier on its latents that learns from the labels it is shown.

The classifier pulls tracks of one class together in the latents; tracks without a label train the rest as in any VAE. Unlike
the CVAE, it is not told the class: encoder and decoder never see it, so tracks are encoded without any label, and the class is
in the latents, not taken out of them. Scores against that label are a leak, most of all for the tracks whose label was shown.

The classification term, weighted with alpha, is that of Kingma, Mohamed, Rezende & Welling, "Semi-supervised Learning with Deep
Generative Models" (2014). Simplified: they give the class to the decoder as a variable of its own (M2), so that it leaves the
latents; here it is to be found in them.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from ray_pipeline.errors import TrainingError
from ray_pipeline.models.condition import CONDITION, Condition
from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Params as VaeParams


class Params(VaeParams):
    kind: str = "semi"
    condition: Condition
    label_share: float = Field(0.2, gt=0, le=1, description="share of the labels there are that it is shown, by seed")
    alpha: float = Field(10.0, gt=0, le=1e6, description="weight of the classifier's cross-entropy")

    @field_validator("condition")
    @classmethod
    def _classes_have_no_order(cls, condition: Condition) -> Condition:
        if condition.encoding != "one_hot":
            raise ValueError("a classifier needs encoding: one_hot")
        return condition


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A semi-supervised VAE for tracks of `shapes`; of the view `condition` only its training makes use.

    Raises
    ------
    TrainingError
        No condition among the views.
    """
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.classifier import SemiVae

    if CONDITION not in shapes:
        raise TrainingError(
            f"a semi-supervised VAE needs view '{CONDITION}'; given: {', '.join(sorted(shapes)) or 'none'}"
        )
    p = params
    with drawn_by(seed):
        return SemiVae(p, shapes, latent_dim=p.latent_dim, hidden=p.hidden, dropout=p.dropout, alpha=p.alpha)
