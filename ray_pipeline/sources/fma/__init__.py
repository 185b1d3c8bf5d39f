"""The Free Music Archive as it is published: tables of tracks, genres and features, and clips in folders by number.

Defferrard, Benzi, Vandergheynst and Bresson, "FMA: A Dataset for Music Analysis", ISMIR 2017.

<root>/fma_metadata/tracks.csv      two header rows; title, artist, album, genres, split of each track
<root>/fma_metadata/genres.csv      genre id → title, top level
<root>/fma_metadata/features.csv    three header rows; published numbers, of which `import-features` takes the MFCC statistics
<root>/fma_small/000/000002.mp3     also fma_medium, fma_large, fma_full
"""
