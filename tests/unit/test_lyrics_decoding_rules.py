"""What may not be said next, row by row as openai-whisper's own rules have it."""

from __future__ import annotations

import pytest
import torch
from whisper.decoding import ApplyTimestampRules
from whisper.tokenizer import get_tokenizer

from ray_pipeline.lyrics.decoding_rules import NoRepeatNgram, TimestampRules

TOKENIZER = get_tokenizer(multilingual=False)
FIRST, END = TOKENIZER.timestamp_begin, TOKENIZER.eot
VOCABULARY = FIRST + 1501
BEGIN = 2
INF = float("inf")


def sequences(n_sampled: int, seed: int) -> torch.Tensor:
    """[64, BEGIN + n_sampled] tokens, a third of them timestamps that never go back."""
    draw = torch.Generator().manual_seed(seed)
    words = torch.randint(0, END, (64, n_sampled), generator=draw)
    times = FIRST + torch.randint(0, 1500, (64, n_sampled), generator=draw).sort(dim=1).values
    sampled = torch.where(torch.rand(64, n_sampled, generator=draw) < 1 / 3, times, words)
    return torch.cat([torch.full((64, BEGIN), TOKENIZER.sot), sampled], dim=1)


@pytest.mark.parametrize("latest_start", [50, None])
@pytest.mark.parametrize("n_sampled", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_timestamp_rules_are_the_librarys(n_sampled: int, latest_start: int | None, seed: int) -> None:
    tokens = sequences(n_sampled, seed)
    theirs = torch.randn(64, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
    theirs[::2, FIRST:] += 3  # rows in which a timestamp is likelier than any word
    ours = theirs.clone()
    library = ApplyTimestampRules(TOKENIZER, BEGIN, latest_start)
    library.apply(theirs, tokens)
    TimestampRules(library).apply(ours, tokens)
    assert torch.equal(ours, theirs)
    assert 0 < (ours > -INF).sum() < ours.numel()


@pytest.mark.parametrize(
    ("sampled", "forbidden"),
    [
        ([1, 2, 3], []),
        ([1, 2, 3, 4], []),
        ([1, 2, 3, 4, 1, 2, 3], [4]),
        ([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], [4, 5]),
        ([7, 7, 7, 7], [7]),
        ([1, 2, 3, 4, 2, 3], []),
    ],
)
def test_what_would_repeat_four_tokens_is_forbidden(sampled: list[int], forbidden: list[int]) -> None:
    tokens = torch.tensor([[9] * BEGIN + sampled, [9] * BEGIN + list(range(10, 10 + len(sampled)))])
    logits = torch.zeros(2, 30)
    NoRepeatNgram(4, BEGIN).apply(logits, tokens)
    assert torch.nonzero(logits[0] == -INF).flatten().tolist() == forbidden
    assert (logits[1] == 0).all()
