"""Everything that can be known to be wrong before a track is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ray_pipeline import experiment
from ray_pipeline.errors import NotFetched
from ray_pipeline.stages import nodes, reach, room
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import vectors_recipe
from ray_pipeline.stages.transcribe import has_lyrics, lyrics_recipe


def check(ctx: Context, command: str) -> None:
    """All checks that there are for `command`, the cheapest first."""
    check_settings(ctx, command)
    check_weights(ctx, command)
    check_cluster(ctx, command)


def check_settings(ctx: Context, command: str) -> None:
    """Raise ConfigError or ResourceError for what the config asks for that cannot be, the weights of models aside."""
    if command in {"run", "train", "evaluate"}:
        experiment.views_needed(ctx.config)
    room.check_room(ctx, command)


def check_weights(ctx: Context, command: str) -> None:
    """Find the weights, and raise WeightsError where they cannot be had."""
    for recipe in _recipes(ctx, command):
        recipe(ctx)


def weights_to_fetch(ctx: Context, command: str) -> list[str]:
    """In a dry run: a line for each model whose weights `command` would fetch; WeightsError where they cannot be had."""
    lines = []
    for recipe in _recipes(ctx, command):
        try:
            recipe(ctx)
        except NotFetched as error:
            lines.append(str(error))
    # The recipe of vectors holds that of the words they are made of.
    return list(dict.fromkeys(lines))


def _recipes(ctx: Context, command: str) -> Sequence[Callable[[Context], dict[str, Any]]]:
    """What finds the weights that `command` needs."""
    if not has_lyrics(ctx):
        return []
    words, both = [lyrics_recipe], [lyrics_recipe, vectors_recipe]
    return {"transcribe": words, "embed": both, "run": both}.get(command, [])


def check_cluster(ctx: Context, command: str) -> None:
    """Ask every other node of the Ray at an address what it runs and what it sees.

    Raises
    ------
    ResourceError
        A node runs another Python, Ray or ray_pipeline, or does not see a path that its workers will be sent to.
    """
    if ctx.address:
        nodes.check_nodes(ctx, reach.paths(ctx, command))
