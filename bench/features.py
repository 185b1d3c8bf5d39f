"""What each feature costs, beside librosa as it comes: CPU milliseconds a clip, on one thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python bench/features.py --data ../shared/data

The ten real FMA clips, 30 s each, every path in turn, the least of `--repeats`. A feature's own cost is what it takes where no
other has been computed; `all` shares one decode and one transform a sample rate, as the stage does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray_pipeline import audio, shelf
from ray_pipeline.config import Audio
from ray_pipeline.features import FEATURES
from ray_pipeline.features.spectra import Spectra
from ray_pipeline.stages.featurize import ExtractFeatures

RATE = 22_050  # Hz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    paths = sorted((options.data / "fma/fma_small/000").glob("*.mp3"))
    print(f"{'':28}ms/clip")
    for name, cost in _costs(paths, options.repeats).items():
        print(f"{name:28}{cost:7.1f}")


def _costs(paths: list[Path], repeats: int) -> dict[str, float]:
    """Median over clips of the least CPU ms of each path."""
    work = ExtractFeatures(tuple(FEATURES), Audio())
    work.load()
    found: dict[str, list[float]] = {}
    for path in paths:
        clip = audio.decode(str(path), Audio())
        assert isinstance(clip, audio.Clip)
        common, native = (clip.at(RATE), RATE), (clip.samples, clip.sample_rate)
        ways: dict[str, Callable[[], Any]] = {
            "decode": lambda path=path: audio.decode(str(path), Audio()),
            "resample": lambda clip=clip: clip.at(RATE),
            "transform (power)": lambda common=common: Spectra(*common).power,
            "all features, decode too": lambda path=path: work._arrays(audio.decode(str(path), Audio())),  # type: ignore[arg-type]
            "librosa: load": lambda path=path: _librosa_load(path),
            "librosa: mfcc, mel, chroma": lambda common=common: _librosa_features(common[0]),
        }
        for name in FEATURES:
            part = shelf.part("feature", name)()
            sound = common if part.rate == "common" else native
            ways[name] = lambda part=part, sound=sound: part(Spectra(*sound))
        least = dict.fromkeys(ways, float("inf"))
        for _ in range(repeats):
            for name, way in ways.items():
                least[name] = min(least[name], _cpu_ms(way))
        for name, cost in least.items():
            found.setdefault(name, []).append(cost)
    return {name: statistics.median(costs) for name, costs in found.items()}


def _cpu_ms(way: Callable[[], Any]) -> float:
    start = time.process_time()
    way()
    return 1000 * (time.process_time() - start)


def _librosa_load(path: Path) -> Any:
    import librosa

    return librosa.load(path, sr=RATE, duration=30)


def _librosa_features(y: Any) -> Any:
    import librosa

    return [
        librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=20).mean(axis=1),
        librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=RATE)).mean(axis=1),
        librosa.feature.chroma_stft(y=y, sr=RATE).mean(axis=1),
    ]


if __name__ == "__main__":
    main()
