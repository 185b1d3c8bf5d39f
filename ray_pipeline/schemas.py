"""The Arrow schema of every table, and the one enum of statuses."""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa


class Status(StrEnum):
    """What became of a track in a table. Everything but ``ok`` and ``no_text`` is bad audio."""

    OK = "ok"
    NO_TEXT = "no_text"

    EMPTY = "empty"
    TOO_SHORT = "too_short"
    SILENT = "silent"
    NON_FINITE = "non_finite"
    OUT_OF_RANGE = "out_of_range"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    BAD_HEADER = "bad_header"
    NOT_REGULAR = "not_regular"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    OUTSIDE_ROOT = "outside_root"
    CHANGED = "changed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_CRASH = "worker_crash"


GOOD = frozenset({Status.OK, Status.NO_TEXT})
BAD = frozenset(Status) - GOOD
# A second run may well fare better with these: the file came back, the machine was less busy, a limit was raised.
RETRIED = frozenset(
    {Status.WORKER_CRASH, Status.TIMEOUT, Status.OUT_OF_MEMORY, Status.MISSING, Status.UNREADABLE, Status.CHANGED}
)

_KEY = [
    pa.field("track_id", pa.string(), nullable=False),
    pa.field("content_hash", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("error", pa.string(), nullable=False),
]

TRACKS = pa.schema(
    [
        *_KEY,
        ("uri", pa.string()),
        ("duplicate_of", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("codec", pa.string()),
        ("sample_rate", pa.int32()),
        ("channels", pa.int32()),
        ("duration_s", pa.float64()),
        ("title", pa.string()),
        ("artist", pa.string()),
        ("album", pa.string()),
        ("year", pa.int32()),
        ("labels", pa.map_(pa.string(), pa.list_(pa.string()))),
    ]
)

# What ingest saw of each file, so that a second look costs a stat: the key is the uri.
FILES = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("codec", pa.string()),
        ("sample_rate", pa.int32()),
        ("channels", pa.int32()),
        ("duration_s", pa.float64()),
        ("title", pa.string()),
        ("artist", pa.string()),
        ("album", pa.string()),
        ("year", pa.int32()),
        ("genre", pa.string()),
    ]
)

LYRICS = pa.schema(
    [
        *_KEY,
        ("text", pa.string()),
        ("language", pa.string()),
        ("has_vocals", pa.bool_()),
        ("no_speech_prob", pa.float32()),
        ("avg_logprob", pa.float32()),
        ("compression_ratio", pa.float32()),
        ("reason", pa.string()),
        ("model", pa.string()),
    ]
)

LATENTS_KEY = [*_KEY, pa.field("model_id", pa.string())]

CLUSTERS = pa.schema(
    [
        *_KEY,
        ("experiment_id", pa.string()),
        ("cluster", pa.int32()),
        ("distance", pa.float32()),
        ("x2d", pa.float32()),
        ("y2d", pa.float32()),
    ]
)

SCORES = pa.schema(
    [
        ("experiment_id", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("null_mean", pa.float64()),
        ("null_sd", pa.float64()),
        ("n_null", pa.int32()),
        ("lift", pa.float64()),
        ("z", pa.float64()),
        ("chance", pa.float64()),
        ("p", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("seed", pa.int64()),
        ("n", pa.int64()),
        ("note", pa.string()),
    ]
)

# Each trial of a sweep as it ended; `scores` and `spread` are mean and standard deviation over its seeds, after `epochs`. Of a
# stopped one they are of its last rung, where chance is drawn few times: its lifts and z are rough.
TRIALS = pa.schema(
    [
        pa.field("sweep_id", pa.string(), nullable=False),
        pa.field("trial_id", pa.string(), nullable=False),
        ("number", pa.int32()),
        ("config", pa.string()),
        ("point", pa.string()),
        ("seed", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("objective", pa.list_(pa.float64())),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("spread", pa.map_(pa.string(), pa.float64())),
        ("n_tracks", pa.int64()),
        ("epochs", pa.int32()),
        ("seconds", pa.float64()),
        ("versions", pa.string()),
    ]
)


def feature(name: str, shape: tuple[int, ...], dtype: pa.DataType | None = None) -> pa.Schema:
    """Schema of one feature's dataset: the key, what decoding saw, and one array column of `shape`."""
    array = dtype or pa.float32()
    for size in reversed(shape):
        array = pa.list_(array, size)
    return pa.schema(
        [
            *_KEY,
            ("decoded_ratio", pa.float32()),
            ("peak", pa.float32()),
            ("rms_db", pa.float32()),
            (name, array),
        ]
    )


def text_vectors(dim: int) -> pa.Schema:
    """Schema of text_vectors: `vector` [dim] is null for a track without words."""
    return pa.schema([*_KEY, ("vector", pa.list_(pa.float32(), dim)), ("model", pa.string())])


def latents(dim: int) -> pa.Schema:
    """Schema of latents: `mu` [dim]; `logvar` [dim] is null for models that are not probabilistic."""
    return pa.schema(
        [
            *LATENTS_KEY,
            ("mu", pa.list_(pa.float32(), dim)),
            ("logvar", pa.list_(pa.float32(), dim)),
            ("recon_error", pa.float32()),
        ]
    )
