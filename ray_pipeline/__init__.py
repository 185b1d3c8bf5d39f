"""Unsupervised music clustering on Ray, with scores that say what chance would have scored."""

__version__ = "0.1.0"
