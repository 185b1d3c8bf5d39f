"""Recipes: what a result depends on, as a short name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(ingredients: Mapping[str, Any]) -> str:
    """16 hex digits that change when any ingredient does, and not with the order of keys."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
