"""Where processes of this machine listen, read from /proc as the kernel tells it."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from pathlib import Path

_LISTEN = "0A"


def listening(pids: Iterable[int]) -> set[tuple[str, int]]:
    """(address, port) of every TCP socket on which one of `pids` listens now."""
    sockets = _sockets()
    return {sockets[inode] for pid in pids for inode in _inodes(pid) if inode in sockets}


def is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _sockets() -> dict[str, tuple[str, int]]:
    """Inode → address and port of all sockets that listen."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTEN:
                address, port = local.split(":")
                words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
                found[rest[5]] = (str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))), int(port, 16))
    return found


def _inodes(pid: int) -> list[str]:
    found = []
    try:
        for one in Path(f"/proc/{pid}/fd").iterdir():
            target = str(one.readlink())
            if target.startswith("socket:["):
                found.append(target[len("socket:[") : -1])
    except OSError:
        pass  # it ended meanwhile
    return found
