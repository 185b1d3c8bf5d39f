"""Every fusion on the shelf: shapes, masks, missing lyrics, constant columns, few rows, and its state."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.fusion import FUSIONS, FusionPart, check_needs
from ray_pipeline.fusion.base import Masks, Views

KINDS = sorted(FUSIONS)
# Their columns are mixtures, fewer than the views' own.
REDUCED = ["pca", "weighted"]
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
    _, out, seen = fitted(kind, *tracks(n, share=1 if kind == "lyrics" else 0.5))
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
    for x in views.values():
        x[:, 3] = 0.1
    fusion, out, _ = fitted(kind, views, masks)
    lost = whole - sum(x.shape[1] for x in out.values())
    dropped = [note for note in fusion.notes if "never vary" in note]
    assert dropped and all(note.endswith(": 3") for note in dropped)
    assert lost == (len(dropped) if kind not in REDUCED else 1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lyrics"])
@pytest.mark.parametrize("absent", [True, False])
def test_no_lyrics_at_all_leaves_the_text_out(kind: str, absent: bool) -> None:
    views, masks = tracks(share=0)
    if absent:
        views.pop("lyrics"), masks.pop("lyrics")
    fusion, out, seen = fitted(kind, views, masks)
    assert "lyrics" not in out and all(present.all() for present in seen.values())
    assert sum(x.shape[1] for x in out.values()) in {20, 140, 160}
    if kind in {"concat", *REDUCED}:
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
    for x in views.values():
        x[5, 2] = np.nan
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


def test_a_track_without_words_has_no_place_among_lyrics() -> None:
    fusion, out, seen = fitted("lyrics", *tracks())
    assert fusion.required == ("lyrics",)
    assert out["fused"].shape == (40, 384) and seen["fused"].sum() == 12
    with pytest.raises(TrainingError, match="nothing varies over 0 tracks"):
        make("lyrics").fit(*tracks(share=0))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lyrics"])
def test_others_place_every_track_that_has_what_they_read_alone(kind: str) -> None:
    fusion = make(kind)
    assert fusion.required == (fusion.needs if len(fusion.needs) == 1 else ())


@pytest.mark.parametrize("kind", REDUCED)
def test_components_lie_side_by_side_largest_first_and_have_one_sign(kind: str) -> None:
    views, masks = tracks()
    fusion, out, _ = fitted(kind, views, masks)
    covariance = np.cov(out["fused"].astype(np.float64).T)
    spread = np.diag(covariance)
    assert (np.diff(spread) <= 1e-6 * spread[0]).all()
    np.testing.assert_allclose(covariance - np.diag(spread), 0, atol=1e-5 * spread[0])
    components = fusion.state()["pca.components"]
    assert (np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1) > 0).all()


@pytest.mark.parametrize("kind", REDUCED)
def test_a_gap_filled_with_the_mean_is_told(kind: str) -> None:
    views, masks = tracks()
    fusion, _, seen = fitted(kind, views, masks)
    assert seen["fused"].all()
    assert [note for note in fusion.notes if "28 of 40 tracks lack it and were given its mean" in note]
    assert not fitted(kind, *tracks(share=1))[0].notes


@pytest.mark.parametrize("kind", REDUCED)
@pytest.mark.parametrize(("n", "share", "most"), [(100, 1, 64), (30, 1, 29), (100, 0, 20)])
def test_no_more_components_than_asked_for_or_than_tracks_and_rank_give(
    kind: str, n: int, share: float, most: int
) -> None:
    assert fitted(kind, *tracks(n, share=share))[1]["fused"].shape == (n, most)


def test_pca_keeps_the_share_of_the_variance_that_it_is_asked_for() -> None:
    views, masks = tracks(100, share=1)
    whole = fitted("concat", views, masks)[1]["fused"].var(axis=0).sum()
    for share in (0.5, 0.9):
        kept = fitted("pca", views, masks, variance=share, n_components=404)[1]["fused"].var(axis=0)
        assert kept.sum() >= share * whole > kept[:-1].sum()


def test_weights_are_what_each_view_has_in_the_distances() -> None:
    views, masks = tracks(100, share=1)
    both = fitted("weighted", views, masks, n_components=404)[1]["fused"].var(axis=0).sum()
    assert both == pytest.approx((0.6**2 + 0.4**2) * 20, rel=1e-3)
    audio = fitted("weighted", views, masks, n_components=404, text_weight=1e-6)[1]["fused"].var(axis=0).sum()
    assert audio == pytest.approx(0.6**2 * 20, rel=1e-3)
    plain = fitted("weighted", views, masks, n_components=404, balance=False)[1]["fused"].var(axis=0).sum()
    assert plain == pytest.approx(0.6**2 * 20 + 0.4**2 * 384, rel=1e-3)
