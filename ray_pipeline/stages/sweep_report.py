"""A sweep's table → ``report/sweep-<id>.html``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ray_pipeline.report.sweep_data import of_sweep
from ray_pipeline.report.sweep_page import write
from ray_pipeline.stages.pages import kept_page
from ray_pipeline.store import Store
from ray_pipeline.sweep import Sweep
from ray_pipeline.sweep.results import all_sweeps


def write_sweep(store: Store, found: Sweep, *, seconds: float | None = None, notes: Sequence[str] = ()) -> str:
    """Write the page of a sweep as it stands; its address. `seconds` and `notes` are those of the run that ends here."""
    data = of_sweep(
        found,
        store=str(store.root),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=found.rows[0]["seed"] if found.rows else 0,
        seconds=seconds,
        notes=notes,
    )
    return kept_page(store, write(data, store.folder("report")).name)


def write_sweeps(store: Store) -> list[str]:
    """Write the pages of all sweeps of a store again, those that were interrupted too; their addresses."""
    return [write_sweep(store, found) for found in all_sweeps(store)]
