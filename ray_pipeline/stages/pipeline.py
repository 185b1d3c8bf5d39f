"""The stages in their order, and the record of each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray_pipeline.stages import node_report
from ray_pipeline.stages.audit import audit
from ray_pipeline.stages.checks import check
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import embed
from ray_pipeline.stages.evaluate import evaluate
from ray_pipeline.stages.featurize import featurize
from ray_pipeline.stages.import_features import import_features
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.inherit import inherit
from ray_pipeline.stages.report import report
from ray_pipeline.stages.train import train
from ray_pipeline.stages.transcribe import transcribe
from ray_pipeline.store import record_run

STAGES: dict[str, Callable[[Context], int]] = {
    "ingest": ingest,
    "featurize": featurize,
    "transcribe": transcribe,
    "embed": embed,
    "train": train,
    "evaluate": evaluate,
}
# Done when asked for by name; `run` goes on from what it left.
ASIDE: dict[str, Callable[[Context], int]] = {"import-features": import_features, "audit": audit}


def run(ctx: Context, command: str) -> None:
    """Run one stage, or with ``run`` all of them and the report; the run is written down whatever becomes of it."""
    with recorded(ctx):
        check(ctx, command)
        inherit(ctx)
        if command in ASIDE:
            ASIDE[command](ctx)
        for name, stage in STAGES.items():
            if command in {"run", name}:
                stage(ctx)
    if command == "run":
        report(ctx)


@contextmanager
def recorded(ctx: Context) -> Iterator[None]:
    """Write down what is done inside, and how it ended."""
    ctx.run.versions = node_report.versions()
    try:
        yield
        ctx.run.state = "done"
    except KeyboardInterrupt:
        ctx.run.state = "interrupted"
        raise
    finally:
        if ctx.run.state == "running":
            ctx.run.state = "failed"
        record_run(ctx.store, ctx.run)
