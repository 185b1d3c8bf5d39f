"""Disentanglement: closed forms of MIG, SAP and DCI, and what small samples and turned axes score by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from ray_pipeline.metrics import dci, disentanglement_scores
from ray_pipeline.metrics.disentanglement import (
    Space,
    _rotated,
    dci_disentanglement,
    dci_informativeness,
    gaps,
    mig,
    sap,
)
from ray_pipeline.metrics.factors import FEWEST, binned, n_bins, read_factors

pytestmark = pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
QUICK = {"permutations": 39, "null_draws": 9}


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dci, "TREES", 10)


def grid(size: int = 6, times: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers in every combination, `times` each: knowing one tells nothing of the other, exactly."""
    one, two, _ = np.meshgrid(np.arange(size), np.arange(size), np.arange(times), indexing="ij")
    return one.ravel().astype(float), two.ravel().astype(float)


def named(values: np.ndarray) -> list[str]:
    return [f"class {value:g}" for value in values]


def scored(mu: np.ndarray, factors: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {score.metric: score for score in disentanglement_scores(mu, factors, **(QUICK | settings))}


def test_a_latent_for_each_class_is_1_and_its_duplicate_is_0() -> None:
    one, two = grid()
    factors = {"key": named(one), "genre": named(two)}
    apart = np.column_stack([one, two])
    assert mig(apart, factors).value == pytest.approx(1)
    # Told by the other latent, a class is guessed, 1 of 6; by its own, it is known.
    assert sap(apart, factors).value == pytest.approx(1 - 1 / 6)
    twice = np.column_stack([one, two, one, two])
    assert mig(twice, factors).value == sap(twice, factors).value == 0


def test_a_latent_for_each_number_has_all_of_its_variance() -> None:
    one, two = grid()
    assert sap(np.column_stack([one, two]), {"tempo": one, "loudness": two}).value == pytest.approx(1)
    # Half the variance of the second latent is the other factor's: R² of 1 against 1/2.
    mixed = np.column_stack([one, (one - two) / np.sqrt(2)])
    assert sap(mixed, {"tempo": one}).value == pytest.approx(1 / 2)


def test_latents_turned_by_half_a_right_angle_tell_each_factor_alike() -> None:
    one, two = grid()
    turned = np.column_stack([one + two, one - two])
    for factors in ({"key": named(one), "genre": named(two)}, {"tempo": one, "loudness": two}):
        assert mig(turned, factors).value == pytest.approx(0, abs=1e-12)
        assert sap(turned, factors).value == pytest.approx(0, abs=1e-12)


def test_mig_is_the_gap_that_sklearns_mutual_information_gives() -> None:
    rng = np.random.default_rng(0)
    mu, classes = rng.normal(size=(400, 3)), rng.integers(0, 4, 400)
    mu[:, 0] += classes
    mu[:, 1] += 0.5 * classes
    codes = [binned(column, n_bins(400)) for column in mu.T]
    first, second = sorted((mutual_info_score(classes, code) for code in codes), reverse=True)[:2]
    expected = (first - second) / mutual_info_score(classes, classes)
    assert mig(mu, {"genre": named(classes)}).value == pytest.approx(expected)


def test_order_scale_and_bends_of_latents_change_no_mig() -> None:
    one, two = grid()
    factors = {"tempo": one, "key": named(two)}
    mu = np.column_stack([one + 0.3 * two, two, np.random.default_rng(0).normal(size=len(one))])
    bent = np.column_stack([np.exp(mu[:, 2]), 100 * mu[:, 1], mu[:, 0] ** 3])
    assert mig(bent, factors).value == pytest.approx(mig(mu, factors).value)


@pytest.mark.parametrize(
    ("r", "disentangled", "complete"),
    [
        (np.eye(3), 1.0, [1, 1, 1]),
        (np.full((3, 3), 1 / 3), 0.0, [0, 0, 0]),
        # Two latents share the first factor: each is pure, and the factor is not complete.
        (np.array([[0.5, 0], [0.5, 0], [0, 1.0]]), 1.0, [1 - np.log(2) / np.log(3), 1]),
        # One latent serves both factors, the other none.
        (np.array([[1.0, 1.0], [0, 0]]), 0.0, [1, 1]),
        (np.zeros((2, 2)), 0.0, [0, 0]),
    ],
)
def test_dci_of_known_importances(r: np.ndarray, disentangled: float, complete: list[float]) -> None:
    assert dci.disentanglement(r) == pytest.approx(disentangled)
    assert dci.completeness(r) == pytest.approx(complete)


def test_latents_weigh_by_how_much_they_matter() -> None:
    """One pure latent with nine tenths of all importance, one that serves both alike."""
    r = np.array([[1.8, 0.0], [0.1, 0.1]])
    assert dci.disentanglement(r) == pytest.approx(0.9)


def test_forests_find_which_latent_tells_what_also_where_it_is_no_line() -> None:
    rng = np.random.default_rng(0)
    mu = rng.uniform(-1, 1, size=(300, 4))
    factors = {"tempo": mu[:, 2] ** 2, "genre": named(np.digitize(mu[:, 0], [-0.5, 0.5]))}
    r, told = dci.importances(mu, read_factors(factors)[0], seed=0)
    assert r.argmax(axis=0).tolist() == [2, 0] and (r.max(axis=0) > 0.9).all() and (told > 0.8).all()


def test_informativeness_of_unrelated_latents_is_no_better_than_guessing() -> None:
    rng = np.random.default_rng(0)
    factors = {"tempo": rng.normal(size=400), "genre": named(rng.integers(0, 3, 400))}
    assert dci_informativeness(rng.normal(size=(400, 4)), factors).value < 0.02


@pytest.mark.parametrize("n", [40, 200])
def test_unrelated_factors_lie_at_their_chance_however_few_the_tracks(n: int) -> None:
    p: dict[str, list[float]] = {}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        factors = {"tempo": rng.normal(size=n), "genre": named(rng.integers(0, 6, n))}
        for name, score in scored(rng.normal(size=(n, 6)), factors, seed=seed).items():
            p.setdefault(name, []).append(score.p)
    assert set(p) >= {"mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness"}
    # One in ten is as low as this by its meaning; the metrics of one draw of latents are not independent.
    assert np.mean([value <= 0.1 for values in p.values() for value in values]) <= 0.3
    assert all(max(values) > 0.1 for values in p.values())


def test_small_samples_flatter_and_chance_says_by_how_much() -> None:
    rng = np.random.default_rng(1)
    few, many = (
        scored(rng.normal(size=(n, 16)), {"genre": named(rng.integers(0, 12, n))}, null_draws=2)["mig"]
        for n in (40, 1_000)
    )
    assert few.value > 5 * many.value and few.chance > 5 * many.chance
    assert few.p > 0.05 and many.p > 0.05


def test_entangled_latents_beat_shuffled_factors_and_not_turned_axes() -> None:
    rng = np.random.default_rng(0)
    one, two = grid(8, 6)
    factors = {"tempo": one, "loudness": two}
    pure = np.column_stack([one, two, rng.normal(size=(len(one), 2))])
    turned = _rotated(Space(pure), seed=5, number=0).mu
    in_place, moved = scored(pure, factors), scored(turned, factors)
    for name in ("mig", "sap", "dci_disentanglement", "dci_completeness"):
        assert in_place[f"{name}@rotated"].p == pytest.approx(1 / 10), name
        assert moved[name].z > 5 and moved[f"{name}@rotated"].p > 0.1, name
    assert "dci_informativeness@rotated" not in moved


def test_turned_latents_keep_every_distance() -> None:
    mu = np.random.default_rng(0).normal(size=(30, 5))
    turned = _rotated(Space(mu), seed=0, number=1).mu
    apart = [np.linalg.norm(x[:, None] - x[None], axis=2) for x in (mu, turned)]
    np.testing.assert_allclose(apart[0], apart[1], atol=1e-10)
    assert not np.allclose(np.abs(turned), np.abs(mu - mu.mean(axis=0)))


def test_tracks_without_the_factor_are_left_out() -> None:
    one, two = grid()
    mu = np.column_stack([one, two])
    gone = np.arange(len(one)) % 3 == 0
    spoiled = np.where(gone[:, None], 1e6, mu)
    tempo = np.where(gone, np.nan, one)
    assert sap(spoiled, {"tempo": tempo}).value == pytest.approx(sap(mu[~gone], {"tempo": one[~gone]}).value)
    assert sap(spoiled, {"tempo": tempo}).n == (~gone).sum()


def test_factors_that_say_nothing_are_left_out_and_named() -> None:
    one, two = grid()
    rare = [None] * (len(one) - FEWEST + 1) + ["C major"] * (FEWEST - 1)
    score = scored(np.column_stack([one, two]), {"tempo": one, "key": rare, "loudness": np.ones(len(one))})["mig"]
    assert "tempo 1.00" in score.note
    assert "'key' is known of 19 tracks, fewer than 20" in score.note and "'loudness' has one value only" in score.note


def test_a_factor_with_one_value_says_nothing_even_where_it_is_unknown_of_some() -> None:
    factors, left_out = read_factors({"label": ["Rock"] * 30 + [None] * 5})
    assert factors == [] and "one value only" in left_out[0]


def test_without_factors_or_finite_latents_there_are_no_scores() -> None:
    mu = np.random.default_rng(0).normal(size=(50, 3))
    assert disentanglement_scores(mu, {}) == [] == disentanglement_scores(mu, {"key": [None] * 50})
    mu[7, 1] = np.nan
    assert disentanglement_scores(mu, {"tempo": np.arange(50)}) == []


def test_one_latent_has_no_second_and_one_factor_no_other() -> None:
    one, two = grid()
    assert set(scored(one[:, None], {"tempo": one, "loudness": two})) == {
        "dci_disentanglement", "dci_disentanglement@rotated", "dci_informativeness",
    }  # fmt: skip
    assert dci_disentanglement(np.column_stack([one, two]), {"tempo": one}) is None


def test_a_constant_latent_tells_nothing() -> None:
    one, _ = grid()
    found = gaps(Space(np.column_stack([one, np.ones(len(one))])), read_factors({"key": named(one)})[0], 0)
    assert found["mig"] == pytest.approx([1])


def test_many_tracks_are_looked_at_on_a_sample_and_said_to_be() -> None:
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(2_500, 3))
    found = scored(mu, {"tempo": mu[:, 0]}, permutations=2, null_draws=2)
    assert (found["mig"].n, found["dci_informativeness"].n) == (2_000, 500)
    assert "on 2,000 of 2,500 tracks drawn at random" in found["mig"].note and found["mig"].value > 0.9


def test_the_same_seed_gives_the_same_scores() -> None:
    rng = np.random.default_rng(0)
    mu, factors = rng.normal(size=(60, 4)), {"tempo": rng.normal(size=60)}
    runs = [[score.as_row("e", 0) for score in scored(mu, factors, seed=seed).values()] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_text_is_a_class_and_numbers_are_numbers() -> None:
    (tempo, key), _ = read_factors({"tempo": [*range(60)], "key": ["C major", "D minor", None] * 20})
    assert not tempo.categorical and key.categorical
    assert key.known.sum() == 40 and key.n_codes == 2
    with pytest.raises(ValueError, match="'tempo' mixes numbers and text"):
        read_factors({"tempo": ["fast", 120.0]})
    with pytest.raises(ValueError, match="one value a track"):
        read_factors({"tempo": [1.0], "key": ["C major", "D minor"]})


def test_bins_hold_as_many_tracks_and_split_no_ties() -> None:
    x = np.random.default_rng(0).normal(size=200) ** 3
    assert set(np.bincount(binned(x, 5))) == {40}
    assert binned(np.array([0.0] * 9 + [1.0]), 4).tolist() == [0] * 9 + [1]
    assert binned(np.array([0.0] + [1.0] * 9), 4).tolist() == [0] + [1] * 9
    assert binned(np.ones(7), 4).tolist() == [0] * 7
    assert [n_bins(n) for n in (10, 45, 90, 2_000, 10**6)] == [2, 3, 4, 20, 20]
