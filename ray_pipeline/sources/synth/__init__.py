"""The embedded music collection: eight made-up styles, played by numpy from a seed."""

VERSION = 1  # raised whenever the same seed would sound different
