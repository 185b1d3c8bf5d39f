"""Pages of ``report/`` as a store keeps them."""

from __future__ import annotations

from ray_pipeline.report.pages import link
from ray_pipeline.store import Store


def kept_page(store: Store, name: str) -> str:
    """Put the page `name`, written into the folder ``report/``, into the store, and link to it from the index; its address."""
    store.keep("report")
    link(store.files / "report")
    return store.files.at(f"report/{name}")
