"""Made-up artists, albums and titles, drawn by the seed; none of them is meant to name anybody."""

from __future__ import annotations

from dataclasses import dataclass

from ray_pipeline.sources.synth.chance import pick, rng_of

ARTISTS: dict[str, tuple[str, str, str]] = {
    "synthwave": ("Vela Coupe", "Chrome Orchard", "Nadia Voltaire"),
    "shanty": ("The Brinewick Crew", "Tall Moll Harrigan", "Seven Bells Under"),
    "electro": ("Unit Ninety", "Kessel Array", "Mina Solenoid"),
    "country": ("Dell Hathersage", "The Barley Road Band", "June Applewhite"),
    "jazz": ("Otis Marlowe Trio", "Lena Quist Quartet", "The Basement Five"),
    "ambient": ("Low Meridian", "Isla Fennimore", "Pale Harbour"),
    "chiptune": ("Pixel Badger", "Cartridge Kid", "DJ Eight Lives"),
    "dub": ("King Tamarind", "Roots Observatory", "Echo Warden"),
}

# First and second words of titles.
WORDS: dict[str, tuple[str, str]] = {
    "synthwave": (
        "Neon Midnight Chrome Turbo Violet Laser Sunset Analog Electric Velvet",
        "Boulevard Skyline Heart Mirage Pursuit Arcade Horizon Fever Motel Rain",
    ),
    "shanty": (
        "Salt Harbour Leeward Windward Windlass Gallows Northern Drowned Copper Whaler's",
        "Farewell Bride Lantern Tide Hornpipe Reckoning Gale Anchor Captain Homecoming",
    ),
    "electro": (
        "Binary Servo Vector Magnetic Lunar Static Circuit Orbital Carbon Signal",
        "Protocol Automaton Drift Reactor Mainframe Sequence Relay Colony Pulse Engine",
    ),
    "country": (
        "Dusty Barnyard Prairie Autumn Porch Clover Gravel Harvest Rusty Sunday",
        "Road Fence Rain Supper Creek Tractor Almanac Fiddle Rooster Goodbye",
    ),
    "jazz": (
        "Blue Lazy Half-Past Uptown Crooked Smoky Second Borrowed Slow Cinnamon",
        "Stroll Corner Changes Umbrella Staircase Minor Whistle Sunday Overcoat Coffee",
    ),
    "ambient": (
        "Glacial Quiet Distant Amber Drifting Hollow Silver Weightless Fading Deep",
        "Fields Tides Aurora Lichen Cathedral Snowfall Orbit Meadow Breath Stillness",
    ),
    "chiptune": (
        "Bonus Pixel Turbo Hidden Boss Super Coin Castle Cosmic Pocket",
        "Stage Quest Dash Dungeon Jump Parade Hero Warp Chase Continue",
    ),
    "dub": (
        "Heavy Rising Golden Zion Midnight Bamboo Conscious River Thunder Mellow",
        "Version Rockers Chamber Lion Skank Steppers Gate Foundation Chapter Vibration",
    ),
}


@dataclass(frozen=True)
class Credits:
    """Who made a track, what it is called, and where it came out."""

    title: str
    artist: str
    artist_index: int
    album: str
    year: int


def credits(style: str, index: int, seed: int) -> Credits:
    """Titles of a style differ for its first hundred tracks; then they come again, numbered."""
    first, second = (words.split() for words in WORDS[style])
    shuffled = rng_of(seed, style, "titles").permutation(len(first) * len(second))
    again, place = divmod(index, len(shuffled))
    row, column = divmod(int(shuffled[place]), len(second))
    artist_index = index % len(ARTISTS[style])
    # An artist's records: every four of its songs are one.
    record = index // len(ARTISTS[style]) // 4
    rng = rng_of(seed, style, "album", artist_index, record)
    return Credits(
        title=f"{first[row]} {second[column]}" + (f" {again + 1}" if again else ""),
        artist=ARTISTS[style][artist_index],
        artist_index=artist_index,
        album=f"{pick(rng, first)} {pick(rng, second)}",
        year=int(rng.integers(1979, 2024)),
    )
