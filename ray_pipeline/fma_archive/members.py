"""What a zip may hold: plain files in one folder. All names are looked at before the first is written."""

from __future__ import annotations

import re
import stat
import unicodedata
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipInfo

from ray_pipeline.fma_archive.archives import BadArchive, shown

# FMA's zips use bzip2, which is why some unpackers refuse them.
METHODS = (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2)
MOST_FILES = 250_000
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_ENCRYPTED = 0x1


def check(path: Path, members: list[ZipInfo], top: str, limit: int) -> list[ZipInfo]:
    """The files among `members`, in the order of the zip.

    Raises
    ------
    BadArchive
        A name that leads out of the folder `top`, a link or device, the same name twice, something encrypted or packed by
        a method that is not known, more than `limit` bytes or `MOST_FILES` files.
    """
    for member in members:
        if fault := _fault(member, top):
            raise BadArchive(f"{path}: {member.orig_filename!r}: {fault}; nothing was unpacked")
    files = [member for member in members if not member.is_dir()]
    total = sum(member.file_size for member in files)
    if total > limit or len(files) > MOST_FILES:
        raise BadArchive(f"{path}: declares {len(files):,} files of {shown(total)}, too many; nothing was unpacked")
    if twice := _twice(files):
        raise BadArchive(f"{path}: {twice!r}: two files of that name; nothing was unpacked")
    return files


def _fault(member: ZipInfo, top: str) -> str:
    """What is wrong with one entry; "" if nothing is. The name is judged as it stands in the zip, not as zipfile tidies it."""
    name = member.orig_filename
    steps = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if any(step in {"", ".", ".."} for step in steps) or not all(map(_is_plain, steps)):
        return "not a name for a file below a folder"
    if steps[0] != top or (len(steps) == 1 and not member.is_dir()):
        return f"lies outside the folder {top}"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "a link or device"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.compress_type not in METHODS:
        return f"packed by method {member.compress_type}, which FMA does not use"
    return ""


def _is_plain(step: str) -> bool:
    """A name that every system takes for a file's: no drive, no device, no control characters, nothing cut off its end."""
    harmless = step.isprintable() and not any(c in '\\:*?"<>|' for c in step)
    return harmless and not step.endswith((".", " ")) and not _DEVICE.fullmatch(step)


def _twice(files: list[ZipInfo]) -> str:
    """A file whose name another has too, or a folder; to some disks A is a, and é in one spelling é in the other."""
    seen: set[str] = set()
    folders: set[str] = set()
    for file in files:
        name = unicodedata.normalize("NFC", file.filename).casefold()
        if name in seen:
            return file.filename
        seen.add(name)
        folders.update(name[:i] for i, c in enumerate(name) if c == "/")
    return min(seen & folders, default="")
