"""SHELF of features: one decoded clip → one array of fixed size. A feature is one file here and one line below."""

FEATURES = {
    "mfcc": "ray_pipeline.features.mfcc:Mfcc",
    "mfcc_stats": "ray_pipeline.features.mfcc_stats:MfccStats",
}
