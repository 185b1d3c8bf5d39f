"""The study's parameter counts come out exactly but for one; docs of the layouts lie in the models' own files."""

from __future__ import annotations

from typing import Any

import pytest

from ray_pipeline import shelf

NUMBER = {"condition": {"label": "genre", "encoding": "number"}}


def count(kind: str, shapes: dict[str, tuple[int, ...]], **settings: Any) -> int:
    params = shelf.params_of("model", kind)(**settings)
    found: int = shelf.part("model", kind)(params, shapes, 0).n_parameters
    return found


@pytest.mark.parametrize(("kind", "dim", "expected"), [("vae", 404, 759_508), ("beta", 20, 365_908)])
def test_trainable_parameters_are_the_studys(kind: str, dim: int, expected: int) -> None:
    assert count(kind, {"fused": (dim,)}) == expected


def test_cvae_of_one_number_has_the_studys() -> None:
    assert count("cvae", {"fused": (20,), "condition": (1,)}, **NUMBER) == 312_660


def test_conv_is_as_near_to_the_studys_534_849_as_a_natural_layout_comes() -> None:
    found = count("conv", {"fused": (140,)})
    assert found == 533_953
    assert found == pytest.approx(534_849, rel=0.002)
