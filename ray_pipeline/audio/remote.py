"""Audio on ``s3://``: looked at by its object's head, and fetched into an unnamed file of this node to be decoded.

Such a file is gone with the process that opened it, however that ends. Only what lies in the object becomes a `BadAudio`: a
store that does not answer is no fault of a track's, and raises.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from typing import IO

from ray_pipeline.audio.clip import BadAudio, Sighting
from ray_pipeline.schemas import Status

MOST_BYTES = 4 * 2**30  # what a WAV can hold
GONE = BadAudio(Status.MISSING, "the object is gone")
DENIED = BadAudio(Status.UNREADABLE, "access denied")


def look(address: str) -> Sighting | BadAudio:
    """Size and time of an object.

    Raises
    ------
    StoreError
        S3 does not answer, or not in time.
    """
    from ray_pipeline.store import objects

    try:
        seen = objects.look(address)
    except FileNotFoundError:
        return GONE
    except PermissionError:
        return DENIED
    return Sighting(seen.size, seen.mtime_ns)


def fetch(address: str, stack: ExitStack) -> int | BadAudio:
    """A descriptor of a copy of the object, there until `stack` closes it.

    Raises
    ------
    StoreError
        S3 does not answer, or breaks off.
    OSError
        The copy could not be written here.
    """
    from ray_pipeline.store import objects

    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    try:
        objects.fetch(address, file, MOST_BYTES)
    except FileNotFoundError:
        return GONE
    except PermissionError:
        return DENIED
    except ValueError as error:
        return BadAudio(Status.UNREADABLE, str(error))
    # Decoders take the descriptor, and begin where it stands; the file's own seek need not move it.
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file.fileno()
