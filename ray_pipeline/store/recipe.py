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


def name_by(recipe: Mapping[str, Any]) -> str:
    """The name of the dataset that is made by `recipe`: its digest, after the feature's own name where it is one's.

    Latents are named by the model that they come from.
    """
    if "model_id" in recipe:
        return str(recipe["model_id"])
    return f"{recipe['feature']}-{digest(recipe)}" if "feature" in recipe else digest(recipe)
