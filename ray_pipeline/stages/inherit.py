"""What earlier runs of the same config made: a stage that runs alone goes on from their tables, and so does its record."""

from __future__ import annotations

from ray_pipeline.errors import StoreError
from ray_pipeline.stages.context import Context
from ray_pipeline.store.runs import all_runs

# The sections of the config on which a table depends, in the order of the stages that make them.
SECTIONS = {
    "tracks": ("source", "seed"),
    "features": ("source", "seed", "audio", "features"),
    "lyrics": ("source", "seed", "audio", "lyrics"),
    "text_vectors": ("source", "seed", "audio", "lyrics", "text"),
}
# Which of them a command makes itself, or comes before; all others come after all of them.
BEFORE = {"run": 0, "ingest": 0, "featurize": 1, "import-features": 1, "transcribe": 2, "embed": 3}


def inherit(ctx: Context) -> None:
    """Note tables and statuses that the last runs left for this config, as far as this command goes on from them.

    So `status`, `export` and `report` know the whole way to a run, whether its stages ran in one command or in six.
    """
    wanted = list(SECTIONS)[: BEFORE.get(ctx.run.command, len(SECTIONS))]
    runs = all_runs(ctx.store) if wanted else iter(())
    while wanted:
        try:
            run = next(runs, None)
        except StoreError as error:
            ctx.run.note(f"what earlier runs made is not told here: {error}")
            return
        if run is None:
            return
        for name in [name for name in wanted if name in run.tables and name in run.statuses]:
            if all(run.config.get(section) == ctx.run.config[section] for section in SECTIONS[name]):
                ctx.run.tables[name] = list(run.tables[name])
                ctx.run.statuses[name] = dict(run.statuses[name])
                wanted.remove(name)
