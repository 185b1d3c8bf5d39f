"""The Free Music Archive's zips, brought here: downloaded in as many goes as it takes, checked, unpacked."""

from ray_pipeline.fma_archive.archives import ARCHIVES, PUBLISHED_AT, Archive, BadArchive, FetchError

__all__ = ["ARCHIVES", "PUBLISHED_AT", "Archive", "BadArchive", "FetchError"]
