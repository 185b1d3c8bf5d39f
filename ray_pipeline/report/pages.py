"""The pages that lie beside a store's index, and the links to them in its navigation.

The index of a run may be older than the audit and the sweeps, and is not theirs to write. So it holds a place for the links,
and whoever writes a page of ``report/`` has them set anew to what lies there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup

from ray_pipeline.store import Folder

INDEX, AUDIT = "index.html", "audit.html"
# What else lies there is none of ours, and no name that a page of ours has can leave its attribute.
_SWEEP = re.compile(r"sweep-([A-Za-z0-9][A-Za-z0-9._-]*)\.html")
# Text of others is escaped in the index, so that these stand there but once.
_BEGIN, _END = "<!--pages-->", "<!--/pages-->"
_HELD = re.compile(f"{_BEGIN}.*?{_END}".encode(), re.DOTALL)
PLACE = Markup(_BEGIN + _END)
"""Where the index has the links; empty until `link`."""


def link(folder: Folder) -> None:
    """Set the links in the index of `folder`, a store's ``report/``, to the pages that lie there; no-op without an index.

    Raises
    ------
    StoreError
        The index cannot be written.
    """
    if folder.is_file(INDEX):
        names = folder.names()
        folder.update(INDEX, lambda page: _linked(page, names))


def links(names: Iterable[str]) -> Markup:
    """A link to each of the pages among `names`: the audit first, then sweeps by their names."""
    found = [(AUDIT, "Audit")] if AUDIT in (names := sorted(names)) else []
    found += [(name, f"Sweep {match[1]}") for name in names if (match := _SWEEP.fullmatch(name))]
    return Markup("").join(Markup('<a href="{}">{}</a>').format(name, title) for name, title in found)


def _linked(page: bytes, names: Iterable[str]) -> bytes | None:
    """`page` with its links; None where it has them, or has no place for them."""
    made = f"{_BEGIN}{links(names)}{_END}".encode()
    linked = _HELD.sub(lambda _: made, page, count=1)
    return None if linked == page else linked
