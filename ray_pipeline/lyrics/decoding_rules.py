"""What Whisper may not say next, as filters of openai-whisper's `DecodingTask`, for all rows of a batch at once.

The library's own timestamp rules go from row to row, and wait for the GPU in each of them several times;
docs/gpu.md has what that costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from whisper.decoding import ApplyTimestampRules

NEVER = -float("inf")


class TimestampRules:
    """The rules of Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), as `library` has them.

    Timestamps come in pairs, but for the last; none is before the one that came last; the first token is one, and not a late
    one; and one is sampled wherever all timestamps together are likelier than any word.
    """

    def __init__(self, library: ApplyTimestampRules) -> None:
        self._first = library.tokenizer.timestamp_begin
        self._end = library.tokenizer.eot
        self._none = library.tokenizer.no_timestamps
        self._latest_start = library.max_initial_timestamp_index
        self._sample_begin = library.sample_begin

    def apply(self, logits: Tensor, tokens: Tensor) -> None:
        """Forbid in `logits` [batch, n_vocab], in place, what may not follow `tokens` [batch, n_tokens]."""
        logits[:, self._none] = NEVER
        sampled = tokens[:, self._sample_begin :]
        if not sampled.shape[1]:
            logits[:, : self._first] = NEVER
            if self._latest_start is not None:
                logits[:, self._first + self._latest_start + 1 :] = NEVER
            return
        logits.masked_fill_(self._unpaired(sampled, logits.shape[1]), NEVER)
        told = torch.log_softmax(logits.float(), dim=-1)
        likelier = told[:, self._first :].logsumexp(dim=-1) > told[:, : self._first].amax(dim=-1)
        logits[:, : self._first].masked_fill_(likelier[:, None], NEVER)

    def _unpaired(self, sampled: Tensor, n_vocab: int) -> Tensor:
        """bool [batch, n_vocab]: words within a pair's gap, timestamps after a whole pair, and those that would go back."""
        vocabulary = torch.arange(n_vocab, device=sampled.device)
        is_time = sampled >= self._first
        last = is_time[:, -1:]
        opened = ~is_time[:, -2:-1] & last if sampled.shape[1] > 1 else torch.zeros_like(last)
        # Within a pair the second may repeat the first; else time goes on, so that no segment is empty.
        order = torch.arange(1, sampled.shape[1] + 1, device=sampled.device)
        latest = sampled.gather(1, (is_time * order).argmax(dim=1, keepdim=True))
        earliest = torch.where(opened, latest, latest + 1)
        times = vocabulary >= self._first
        back = is_time.any(dim=1, keepdim=True) & times & (vocabulary < earliest)
        return back | (last & ~opened & times) | (opened & (vocabulary < self._end))


class NoRepeatNgram:
    """No `size` tokens in a row that were sampled before."""

    def __init__(self, size: int, sample_begin: int) -> None:
        self._size = size
        self._sample_begin = sample_begin

    def apply(self, logits: Tensor, tokens: Tensor) -> None:
        """Forbid in `logits` [batch, n_vocab], in place, what would repeat in `tokens` [batch, n_tokens]."""
        sampled = tokens[:, self._sample_begin :]
        if sampled.shape[1] < self._size:
            return
        runs = sampled.unfold(1, self._size, 1)
        same = (runs[:, :, :-1] == sampled[:, None, 1 - self._size :]).all(dim=-1)
        repeats = torch.zeros(logits.shape, dtype=torch.int32, device=logits.device)
        repeats.scatter_add_(1, runs[:, :, -1], same.to(torch.int32))
        logits.masked_fill_(repeats > 0, NEVER)
