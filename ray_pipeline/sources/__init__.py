"""SHELF of sources: where tracks come from. A source is one file here and one line below."""

SOURCES = {
    "folder": "ray_pipeline.sources.folder:list_tracks",
    "manifest": "ray_pipeline.sources.manifest:list_tracks",
    "synthetic": "ray_pipeline.sources.synthetic:list_tracks",
}
