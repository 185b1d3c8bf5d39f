"""A pickle that gives itself away when it is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any


class Bomb:
    """Unpickled, it leaves the folder `mark` behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)

    def assert_it_did_not_go_off(self) -> None:
        """Nor may it be a dud, or the test that held it shows nothing."""
        assert not self.mark.exists(), "it was run"
        pickle.loads(pickle.dumps(self))
        assert self.mark.exists()
