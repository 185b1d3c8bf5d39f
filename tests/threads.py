"""One thread for small models: so small a product is slower on two, and far slower where something else runs beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ray_pipeline.stages import session


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with session.one_thread():
        yield
