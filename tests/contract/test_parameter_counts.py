"""The study's parameter counts come out exactly; docs of the layouts lie in the models' own files."""

from __future__ import annotations

import pytest

from ray_pipeline import shelf


@pytest.mark.parametrize(("kind", "dim", "count"), [("vae", 404, 759_508), ("beta", 20, 365_908)])
def test_trainable_parameters_are_the_studys(kind: str, dim: int, count: int) -> None:
    params = shelf.params_of("model", kind)()
    model = shelf.part("model", kind)(params, {"fused": (dim,)}, 0)
    assert model.n_parameters == count
