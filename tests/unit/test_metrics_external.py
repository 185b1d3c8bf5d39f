"""External scores: equal to sklearn, beside their chance level, and never below what is possible."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline.errors import ImpossibleScore
from ray_pipeline.metrics import external_scores, missingness_score
from ray_pipeline.metrics.calibration import bootstrap_tables, permutation_p, permutation_tables
from ray_pipeline.metrics.external import ami, ari, check_purity, contingency, nmi, purity
from ray_pipeline.metrics.information import expected_information


def classes_of(labels, agree: float, n_classes: int, seed: int = 0) -> list[str]:
    """Class names that follow `labels` in a share `agree` of the tracks and are random in the others."""
    rng = np.random.default_rng(seed)
    drawn = np.where(rng.random(len(labels)) < agree, labels % n_classes, rng.integers(0, n_classes, len(labels)))
    return [f"genre {number}" for number in drawn]


@pytest.mark.parametrize(
    ("n", "k", "c", "agree"), [(90, 8, 20, 0.0), (50, 45, 3, 0.5), (3_081, 8, 16, 0.1), (9_000, 3, 161, 0.3)]
)
def test_equal_to_sklearn(n, k, c, agree):
    from sklearn import metrics

    labels = np.random.default_rng(1).integers(0, k, n)
    classes = classes_of(labels, agree, c)
    assert ami(labels, classes).value == pytest.approx(metrics.adjusted_mutual_info_score(classes, labels), abs=1e-9)
    assert ari(labels, classes).value == pytest.approx(metrics.adjusted_rand_score(classes, labels), abs=1e-9)
    assert nmi(labels, classes).value == pytest.approx(metrics.normalized_mutual_info_score(classes, labels), abs=1e-9)


@pytest.mark.parametrize(("n", "k", "c"), [(20, 3, 2), (3_081, 30, 16), (60_000, 4, 3)])
def test_expected_information_equals_sklearn(n, k, c):
    from sklearn.metrics.cluster import expected_mutual_information

    rng = np.random.default_rng(2)
    labels = np.minimum(rng.geometric(0.3, n), k)
    table, _ = contingency(labels, classes_of(labels, 0.2, c))
    assert expected_information(table[None])[0] == pytest.approx(expected_mutual_information(table, n), abs=1e-9)


def test_purity_closed_form():
    assert purity(np.array([0, 0, 0, 1, 1]), ["a", "a", "b", "b", "b"]).value == pytest.approx(4 / 5)


def test_perfect_and_independent_clusters():
    labels = np.repeat(np.arange(4), 25)
    perfect = {s.metric: s for s in external_scores(labels, [str(i) for i in labels], permutations=50, bootstrap=50)}
    assert [perfect[name].value for name in ("ami", "ari", "nmi", "purity")] == pytest.approx([1, 1, 1, 1])
    assert perfect["ami"].p == pytest.approx(1 / 51)
    assert perfect["ami"].ci_low == pytest.approx(1)
    assert ari(np.array([0, 0, 1, 1]), ["a", "b", "a", "b"]).value == pytest.approx(-0.5)


def test_shuffled_labels_score_as_chance():
    labels = np.random.default_rng(3).integers(0, 8, 3_081)
    scores = {s.metric: s for s in external_scores(labels, classes_of(labels, 0.0, 8), seed=4)}
    assert abs(scores["ami"].value) < 0.003
    assert all(score.p > 0.05 for score in scores.values())
    assert scores["ami"].ci_low < 0 < scores["ami"].ci_high
    assert scores["nmi"].chance == pytest.approx(0.004, abs=0.0007)
    assert scores["purity"].chance == pytest.approx(0.150, abs=0.006)


def test_interval_holds_chance_where_tracks_are_few():
    misses = 0
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 8, 90)
        score = external_scores(labels, classes_of(labels, 0.0, 20, seed + 50), permutations=20, bootstrap=200)[0]
        misses += not score.ci_low <= 0 <= score.ci_high
        assert score.ci_low <= score.value <= score.ci_high
    assert misses <= 4


def test_related_labels_stand_out():
    labels = np.random.default_rng(3).integers(0, 5, 600)
    for score in external_scores(labels, classes_of(labels, 0.4, 5), name="genre", permutations=200):
        assert score.p == pytest.approx(1 / 201)
        assert score.z > 10
        assert score.ci_low > score.chance
        assert score.metric.endswith(":genre")
        assert "1,000 resamples" in score.note


def test_permutation_tables_keep_margins_and_agree_with_shuffling():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    classes = np.array(classes_of(labels, 0.3, 3))
    table, _ = contingency(labels, classes.tolist())
    tables = np.concatenate(list(permutation_tables(table, 800, 0)))
    assert (tables.sum(axis=1) == table.sum(axis=0)).all()
    assert (tables.sum(axis=2) == table.sum(axis=1)).all()
    shuffled = [ari(rng.permutation(labels), classes.tolist()).value for _ in range(400)]
    drawn = ari.formula(tables)
    assert drawn.mean() == pytest.approx(np.mean(shuffled), abs=0.002)
    assert drawn.std() == pytest.approx(np.std(shuffled), rel=0.2)


def test_bootstrap_tables_draw_as_many_tracks():
    table = np.array([[10, 0], [3, 20]])
    tables = np.concatenate(list(bootstrap_tables(table, 500, 0)))
    assert (tables.sum(axis=(1, 2)) == 33).all()
    assert (tables[:, 0, 1] == 0).all()
    assert tables.mean(axis=0) == pytest.approx(table, abs=0.6)


def test_permutation_p_counts_ties_and_is_never_0():
    assert permutation_p(0.5, np.array([0.5, 0.1, 0.9])) == pytest.approx(3 / 4)
    assert permutation_p(1.0, np.zeros(9)) == pytest.approx(0.1)
    assert permutation_p(0.5, np.array([0.5, 0.1, 0.9]), direction=-1) == pytest.approx(3 / 4)


def test_impossible_purity_raises():
    with pytest.raises(ImpossibleScore, match="impossible"):
        check_purity(0.1477, 460 / 3_081)
    check_purity(460 / 3_081, 460 / 3_081)


def test_purity_of_noise_alone_is_the_largest_share():
    classes = ["a"] * 7 + ["b"] * 3
    score = purity(np.full(10, -1), classes)
    assert score.value == pytest.approx(0.7)
    assert "noise" in score.note
    labels = np.array([0] * 7 + [-1] * 3)
    assert purity(labels, classes).value == 1.0
    assert purity(labels, classes).n == 10


def test_unlabelled_tracks_are_left_out_and_said():
    labels = np.array([0, 0, 1, 1, 0, 1])
    score = ami(labels, ["a", "a", "b", "b", None, ""])
    assert score.value == pytest.approx(1.0)
    assert score.n == 4
    assert "4 of 6 tracks" in score.note


def test_without_labels_there_are_no_scores():
    assert external_scores(np.array([0, 1, 1]), [None, "", None]) == []
    assert external_scores(np.array([], dtype=np.int64), []) == []


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 0, 0], ["a", "a", "a"]),
        ([0, 1, 2], ["a", "a", "a"]),
        ([0, 0, 0], ["a", "b", "a"]),
        ([0], ["a"]),
        ([0, 1], ["a", "b"]),
    ],
)
def test_degenerate_labels_score_finite_and_as_chance(labels, classes):
    for score in external_scores(np.array(labels), classes, permutations=20, bootstrap=20):
        assert np.isfinite([score.value, score.chance, score.p, score.ci_low, score.ci_high]).all()
        assert score.p > 0.05
    assert -1 <= ami(np.array(labels), classes).value <= 1


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="3 labels and 2 classes"):
        external_scores(np.array([0, 1, 1]), ["a", "b"])


def test_the_same_seed_gives_the_same_scores():
    labels = np.random.default_rng(0).integers(0, 4, 100)
    runs = [
        [s.as_row("e", 0) for s in external_scores(labels, classes_of(labels, 0.2, 3), seed=seed)] for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_clusters_that_split_by_lyrics_are_told():
    rng = np.random.default_rng(0)
    present = rng.random(90) < 0.2
    split = np.where(present, rng.integers(0, 2, 90), rng.integers(2, 8, 90))
    score = missingness_score(split, present)
    assert score.metric == "ami_missing"
    assert score.p == pytest.approx(1 / 1001)
    assert score.lift < 0
    assert "largely split tracks by whether they have lyrics" in score.note


def test_clusters_that_ignore_lyrics_are_not_warned_of():
    rng = np.random.default_rng(1)
    present = rng.random(400) < 0.5
    score = missingness_score(rng.integers(0, 8, 400), present)
    assert score.p > 0.05
    assert abs(score.value) < 0.03
    assert score.ci_low <= score.value <= score.ci_high
    assert "largely" not in score.note


@pytest.mark.parametrize(
    ("present", "note"), [([True] * 4, "every track has lyrics"), ([False] * 4, "no track has lyrics")]
)
def test_nothing_missing_is_nothing_to_split_by(present, note):
    score = missingness_score(np.array([0, 0, 1, 1]), np.array(present))
    assert score.value == 0.0
    assert note in score.note
