"""What `transcribe` does with tracks: windows decoded on CPUs, and heard where the model is."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline import audio, shelf
from ray_pipeline.audio import BadAudio, Header
from ray_pipeline.config import Audio
from ray_pipeline.lyrics import vocals
from ray_pipeline.lyrics.base import SAMPLE_RATE, WINDOW_S, LyricsParams, Transcriber, windows_of
from ray_pipeline.schemas import Status
from ray_pipeline.stages.border import track_by_track, verdict
from ray_pipeline.stages.featurize import path_of
from ray_pipeline.stages.gpu_time import Stopwatch
from ray_pipeline.stages.job import Begin, Row

NOBODY = ""  # no track's id

Windows = list[NDArray[np.float32]]


class DecodeWindows:
    """A file → the windows of it that are to be heard, or why there are none."""

    # A window is bytes: float32 samples at 16,000 Hz, which Arrow then carries without looking at them.
    schema = pa.schema([("bad", pa.string()), ("error", pa.string()), ("windows", pa.list_(pa.large_binary()))])

    def __init__(self, params: Any, settings: Audio) -> None:
        self.params: LyricsParams = params
        self.settings = settings
        self.row_bytes = self.params.windows * int(WINDOW_S * SAMPLE_RATE) * np.dtype(np.float32).itemsize

    def load(self) -> None:
        return None

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        return track_by_track(rows, begin, self._decoded, _not_decoded)

    def _decoded(self, row: Row) -> Row:
        windows = self._windows(row)
        if isinstance(windows, BadAudio):
            return _not_decoded(row, windows.status, windows.error)
        return {"bad": "", "error": "", "windows": [window.astype(np.float32).tobytes() for window in windows]}

    def _windows(self, row: Row) -> Windows | BadAudio:
        path = path_of(row)
        if isinstance(path, BadAudio):
            return path
        clips = audio.decode_windows(path, self.settings, self._starts, WINDOW_S)
        sound = [clip.at(SAMPLE_RATE) for clip in clips if not isinstance(clip, BadAudio)]
        return sound or next(clip for clip in clips if isinstance(clip, BadAudio))

    def _starts(self, header: Header) -> list[float]:
        return windows_of(header.duration_s, self.params.windows, WINDOW_S)


def _not_decoded(row: Row, status: Status, error: str) -> Row:
    return {"bad": str(status), "error": error}


class HearLyrics:
    """Windows of a track → its words and whether it has any."""

    def __init__(self, params: Any, device: str, model_id: str) -> None:
        self.params: LyricsParams = params
        self.device = device
        self.model_id = model_id
        self.busy = Stopwatch()

    def load(self) -> None:
        self._transcriber: Transcriber = shelf.part("lyrics", self.params.kind)(self.params, device=self.device)

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        out: list[Row] = []
        sound: list[tuple[Row, Windows]] = []
        for row in rows:
            if row["bad"]:
                out += self.failed(row, Status(row["bad"]), row["error"])
            else:
                sound.append((row, [np.frombuffer(window, np.float32) for window in row["windows"]]))
        together = len(sound) if self._transcriber.batch > 1 else 1
        for start in range(0, len(sound), max(1, together)):
            out += self._hear(sound[start : start + together], begin)
        return out

    def _hear(self, tracks: list[tuple[Row, Windows]], begin: Begin) -> list[Row]:
        """Rows of tracks that are transcribed in one call."""
        alone = len(tracks) == 1
        # What ends the worker amid many tracks is put down to none of them: each then runs by itself and answers for itself.
        begin(tracks[0][0]["track_id"] if alone else NOBODY, len(tracks))
        try:
            with self.busy:
                heard = iter(self._transcriber.transcribe([window for _, windows in tracks for window in windows]))
            lyrics = [vocals.decide(list(islice(heard, len(windows)))) for _, windows in tracks]
        except Exception as error:  # noqa: BLE001 — the per-track border
            if alone:
                return self.failed(tracks[0][0], *verdict(error))
            return [row for track in tracks for row in self._hear([track], begin)]
        rows = [row for row, _ in tracks]
        return [self.failed(row, Status.OK, "")[0] | asdict(one) for row, one in zip(rows, lyrics, strict=True)]

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        keys = {"track_id": row["track_id"], "content_hash": row["content_hash"]}
        return [keys | {"status": str(status), "error": error, "model": self.model_id}]
