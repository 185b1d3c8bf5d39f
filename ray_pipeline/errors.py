"""Everything this package raises on purpose.

    RayPipelineError                exit 1
    ├── ConfigError                 exit 2   file:line:key, what is wrong, what is known
    ├── SourceError                 exit 2   a manifest or folder that cannot be read
    ├── WeightsError                exit 2   model weights that cannot be had, and the ways to get them
    │   └── NotFetched                       they are not on this machine yet, and a dry run fetches nothing
    ├── ResourceError               exit 2   CPUs or GPUs that the cluster does not have
    ├── TooManyBadTracks            exit 3   past ``max_bad_fraction``, or nothing good left
    ├── StoreError                  exit 1   a table that cannot be read or written
    │   ├── LeaseHeld                        another job writes this table
    │   └── Damaged                          bytes on disk are not what was committed
    ├── TrainingError               exit 1   a model that cannot be fitted, or weights that do not fit
    └── ImpossibleScore             exit 1   a score that no data can have: a bug, so it ends whatever computed it

An error's text says what happened, where, and what to do. ``hint`` is printed on a line of its own.
"""

from __future__ import annotations


def install(extra: str) -> str:
    """How an extra of this package is had: by its clone, for it lies on no package index."""
    return f"pip install -e '.[{extra}]' in the clone of ray_pipeline"


class RayPipelineError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(RayPipelineError):
    exit_code = 2


class SourceError(RayPipelineError):
    exit_code = 2


class WeightsError(RayPipelineError):
    exit_code = 2


class NotFetched(WeightsError):
    pass


class ResourceError(RayPipelineError):
    exit_code = 2


class TooManyBadTracks(RayPipelineError):
    exit_code = 3


class StoreError(RayPipelineError):
    pass


class LeaseHeld(StoreError):
    pass


class Damaged(StoreError):
    pass


class TrainingError(RayPipelineError):
    pass


class ImpossibleScore(RayPipelineError):
    pass
