"""SHELF of sources: where tracks come from. A source is one file, or one folder, here and one line below."""

SOURCES = {
    "fma": "ray_pipeline.sources.fma.source:list_tracks",
    "folder": "ray_pipeline.sources.folder:list_tracks",
    "manifest": "ray_pipeline.sources.manifest:list_tracks",
    "synthetic": "ray_pipeline.sources.synthetic:list_tracks",
}
