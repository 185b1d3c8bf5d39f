"""What the FMA dataset publishes: archives, address, sizes, SHA-1; and what can go wrong in getting them.

Source: README of github.com/mdeff/fma (Defferrard et al., ISMIR 2017), release of 2017-05-09. Its sizes are rounded, and it
names none for what the zips unpack to: those here are rounded up, and serve to ask early whether the disk will do. What a zip
itself declares is asked once it is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from ray_pipeline.errors import RayPipelineError

PUBLISHED_AT = "https://os.unil.cloud.switch.ch/fma"
MIB = 1 << 20
GIB = 1 << 30


class FetchError(RayPipelineError):
    """An archive that cannot be had, or not be put down."""


class BadArchive(FetchError):
    """Bytes that are not what FMA published, or a zip that would do harm."""


@dataclass(frozen=True)
class Archive:
    """One zip; all its files lie in a folder of its name. `size` and `unpacked` are bytes, the latter an estimate."""

    name: str
    sha1: str
    size: int
    unpacked: int

    @property
    def zip_name(self) -> str:
        return f"{self.name}.zip"


ARCHIVES = {
    "metadata": Archive("fma_metadata", "f0df49ffe5f2a6008d7dc83c6915b31835dfe733", 342 * MIB, 2 * GIB),
    "small": Archive("fma_small", "ade154f733639d52e35e32f5593efe5be76c6d70", int(7.2 * GIB), 8 * GIB),
    "medium": Archive("fma_medium", "c67b69ea232021025fca9231fc1c7c1a063ab50b", 22 * GIB, 24 * GIB),
    "large": Archive("fma_large", "497109f4dd721066b5ce5e5f250ec604dc78939e", 93 * GIB, 99 * GIB),
    "full": Archive("fma_full", "0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab", 879 * GIB, 930 * GIB),
}


def shown(size: int) -> str:
    """Bytes as people read them: ``7.2 GiB``."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"
