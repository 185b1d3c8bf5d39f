"""Every fusion on the shelf: shapes, masks, missing lyrics, constant columns, few rows, and its state."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.fusion import FUSIONS, FusionPart, check_needs
from ray_pipeline.fusion.base import Masks, Views

KINDS = sorted(FUSIONS)
DIMS = {"mfcc": 20, "mfcc_stats": 140, "lyrics": 384}


def make(kind: str, **settings: object) -> FusionPart:
    part: FusionPart = shelf.part("fusion", kind)(shelf.params_of("fusion", kind)(**settings))
    return part


def tracks(n: int = 40, seed: int = 0, share: float = 0.3) -> tuple[Views, Masks]:
    """Random views whose columns differ in size; `share` of the tracks have lyrics, the others hold NaN there."""
    rng = np.random.default_rng(seed)
    views = {
        name: (rng.normal(3, 10, (n, d)) * rng.uniform(0.1, 100, d)).astype(np.float32) for name, d in DIMS.items()
    }
    has = np.arange(n) < round(share * n)
    views["lyrics"][~has] = np.nan
    return views, {"lyrics": has}


def fitted(kind: str, views: Views, masks: Masks, **settings: object) -> tuple[FusionPart, Views, Masks]:
    fusion = make(kind, **settings)
    fusion.fit(views, masks)
    return fusion, *fusion.transform(views, masks)


@pytest.mark.parametrize("kind", KINDS)
def test_params_name_their_part(kind: str) -> None:
    assert shelf.params_of("fusion", kind)().kind == kind


@pytest.mark.parametrize("n", [2, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_output_is_finite_float32_with_a_mask_that_fits(kind: str, n: int) -> None:
    _, out, seen = fitted(kind, *tracks(n, share=0.5))
    assert out and set(out) == set(seen)
    for name, x in out.items():
        assert x.dtype == np.float32 and len(x) == n and np.isfinite(x).all()
        assert seen[name].dtype == np.bool_ and seen[name].shape in {(n,), x.shape}


@pytest.mark.parametrize("kind", KINDS)
def test_missing_is_zero_and_masked_out_and_everything_else_present(kind: str) -> None:
    _, out, seen = fitted(kind, *tracks())
    for name, x in out.items():
        present = np.broadcast_to(seen[name].reshape(len(x), -1), x.shape)
        assert (x[~present] == 0).all()
        assert np.abs(x[present]).min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_state_round_trip_is_equal_to_the_bit(kind: str) -> None:
    views, masks = tracks()
    fusion, out, _ = fitted(kind, views, masks)
    other = make(kind)
    other.load_state(fusion.state())
    again, _ = other.transform(views, masks)
    assert {name: x.tobytes() for name, x in out.items()} == {name: x.tobytes() for name, x in again.items()}
    assert other.notes == fusion.notes


@pytest.mark.parametrize("kind", KINDS)
def test_one_track_is_transformed_as_among_many(kind: str) -> None:
    views, masks = tracks()
    fusion, out, _ = fitted(kind, views, masks)
    alone, _ = fusion.transform({k: v[7:8] for k, v in views.items()}, {k: v[7:8] for k, v in masks.items()})
    for name, x in alone.items():
        np.testing.assert_array_equal(x, out[name][7:8])


@pytest.mark.parametrize("kind", KINDS)
def test_constant_columns_are_dropped_with_a_note(kind: str) -> None:
    views, masks = tracks()
    whole = sum(x.shape[1] for x in fitted(kind, views, masks)[1].values())
    for name in ("mfcc", "mfcc_stats"):
        views[name][:, 3] = 0.1
    fusion, out, _ = fitted(kind, views, masks)
    lost = whole - sum(x.shape[1] for x in out.values())
    assert lost == len(fusion.notes) >= 1
    assert all("never vary" in note and note.endswith(": 3") for note in fusion.notes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("absent", [True, False])
def test_no_lyrics_at_all_leaves_the_text_out(kind: str, absent: bool) -> None:
    views, masks = tracks(share=0)
    if absent:
        views.pop("lyrics"), masks.pop("lyrics")
    fusion, out, seen = fitted(kind, views, masks)
    assert "lyrics" not in out and all(present.all() for present in seen.values())
    assert sum(x.shape[1] for x in out.values()) in {20, 140, 160}
    if kind == "concat":
        assert any("'lyrics'" in note and "left out" in note for note in fusion.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_identical_tracks_are_refused_with_a_reason(kind: str) -> None:
    views, masks = tracks(3, share=0)
    same = {name: np.repeat(x[:1], 3, axis=0) for name, x in views.items()}
    with pytest.raises(TrainingError, match="nothing to cluster"):
        make(kind).fit(same, masks)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_a_present_row_is_refused(kind: str) -> None:
    views, masks = tracks()
    for name in ("mfcc", "mfcc_stats"):
        views[name][5, 2] = np.nan
    with pytest.raises(TrainingError, match="NaN or infinity in 1 tracks"):
        make(kind).fit(views, masks)


@pytest.mark.parametrize("kind", KINDS)
def test_state_that_does_not_fit_is_refused(kind: str) -> None:
    fusion, _, _ = fitted(kind, *tracks())
    state = fusion.state()
    key = next(iter(state))
    with pytest.raises(TrainingError):
        make(kind).load_state({k: v for k, v in state.items() if k != key})
    with pytest.raises(TrainingError):
        make(kind).load_state({**state, key: state[key][None]})
    with pytest.raises(TrainingError):
        make(kind).load_state({**state, "else.thing": state[key]})


def test_concat_of_the_study_has_404_columns_of_unit_variance() -> None:
    _, out, seen = fitted("concat", *tracks(), balance=False)
    assert out["fused"].shape == (40, 404)
    for column, present in zip(out["fused"].T, seen["fused"].T, strict=True):
        assert column[present].std() == pytest.approx(1, abs=1e-4)
    assert seen["fused"].sum() == 40 * 20 + 12 * 384


def test_balance_gives_both_views_the_same_total_variance() -> None:
    _, out, seen = fitted("concat", *tracks())
    with_text = out["fused"][seen["fused"].all(axis=1)]
    assert out["fused"][:, :20].var(axis=0).sum() == pytest.approx(20, rel=1e-4)
    assert with_text[:, 20:].var(axis=0).sum() == pytest.approx(20, rel=1e-4)


def test_none_keeps_an_images_shape() -> None:
    image = np.random.default_rng(0).normal(-40, 12, (6, 8, 16)).astype(np.float16)
    _, out, seen = fitted("none", {"log_mel": image}, {"log_mel": np.arange(6) > 0})
    assert out["log_mel"].shape == (6, 8, 16) and out["log_mel"].dtype == np.float32
    assert out["log_mel"][1:].mean() == pytest.approx(0, abs=0.01) and not out["log_mel"][0].any()
    assert seen["log_mel"].sum() == 5


def test_a_view_that_no_feature_gives_is_a_config_error() -> None:
    fusion = make("spectral")
    with pytest.raises(ConfigError, match=r"fusion\.view: 'mfcc_stats' is not among features: \[mfcc\]"):
        check_needs(fusion.params, fusion.needs, ["mfcc"])
    check_needs(make("concat").params, make("concat").needs, ["mfcc"])
