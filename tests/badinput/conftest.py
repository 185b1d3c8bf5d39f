"""Fixtures of the rows of BAD_INPUTS."""

from __future__ import annotations

import here
import pytest

from ray_pipeline.stages import embed, featurize, ingest, session, transcribe


@pytest.fixture
def stages_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """ingest, featurize, transcribe and embed do their work in this process, which has no GPU."""
    for stage in (ingest, featurize, transcribe, embed):
        monkeypatch.setattr(stage, "run_job", here.run_job)
    monkeypatch.setattr(session, "gpus", lambda ctx: 0)
