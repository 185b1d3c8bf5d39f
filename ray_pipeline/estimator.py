"""The Experiment as scikit-learn users know it: `fit`, `transform`, `predict`; no Ray, no store needed.

from ray_pipeline import Experiment, open_store

features = open_store("out/demo").read("features")
found = Experiment(model={"kind": "beta", "beta": 4.0}, features=["mfcc"]).fit(features)
found.labels_, found.latents_, found.scores_
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from ray_pipeline import experiment
from ray_pipeline.config import Config, check
from ray_pipeline.errors import ConfigError
from ray_pipeline.experiment import Collection, Evaluation, Fitted
from ray_pipeline.fusion import LYRICS
from ray_pipeline.metrics.score import Score
from ray_pipeline.models.contract import Latents

Given: TypeAlias = Mapping[str, ArrayLike]
"""View name → array [n, …]."""
Classes: TypeAlias = Sequence[str | None]
"""One class name a track, None where it has none."""


class Experiment:
    """One path from views to scores. Keywords are a config's sections: ``model={"kind": "vae"}``, ``seed=1``, …

    Attributes (after `fit`)
    ------------------------
    labels_ : int32 [n], the cluster of each track, -1 = noise
    latents_ : float32 [n, latent_dim]
    scores_ : list of `Score`, each with what chance would have scored
    history_ : list of {epoch, loss, reconstruction, kl}

    Raises
    ------
    ConfigError
        A section that no config knows, or settings that its part does not.
    """

    def __init__(self, **sections: Any) -> None:
        given = {"source": {"kind": "folder", "root": "."}, "fusion": {"kind": "audio"}, "lyrics": {"backend": "none"}}
        self.config: Config = check(given | sections)

    def fit(
        self, views: Given | pa.Table, labels: Classes | None = None, condition: Classes | None = None
    ) -> Experiment:
        """Fit on `views`: {name: array [n, …]}, or a features table (its array columns; rows that are not ok left out).

        `labels` [n], one class name a track, None where it has none, are for scores only. `condition` [n] are the classes
        that a conditional model is given.

        Raises
        ------
        ConfigError
            A view is not there, or not every argument is of the same tracks.
        TrainingError
            Nothing can be fitted: too few tracks, nothing varies, or tracks lack what the fusion or the model needs.
        """
        collection = self._collection(views, labels, condition)
        self.fitted_: Fitted
        self.fitted_, latents, evaluation = experiment.run(collection, self.config, self.config.seed)
        return self._keep(latents, evaluation)

    def fit_predict(
        self, views: Given | pa.Table, labels: Classes | None = None, condition: Classes | None = None
    ) -> NDArray[np.int32]:
        """`fit`, and the cluster of each track."""
        return self.fit(views, labels, condition).labels_

    def transform(self, views: Given | pa.Table, condition: Classes | None = None) -> NDArray[np.float32]:
        """Latents [n, latent_dim] of other tracks, by the fitted model."""
        return experiment.encode(self._collection(views, None, condition), self.fitted_).mu

    def predict(self, views: Given | pa.Table, condition: Classes | None = None) -> NDArray[np.int32]:
        """The cluster whose centre is nearest to each track's latents: int32 [n]; -1 where every track was noise."""
        mu = self.transform(views, condition)
        if not len(self.centres_):
            return np.full(len(mu), -1, np.int32)
        distance = ((mu[:, None, :] - self.centres_[None]) ** 2).sum(axis=2)
        return np.asarray(distance.argmin(axis=1), np.int32)

    def _keep(self, latents: Latents, evaluation: Evaluation) -> Experiment:
        self.latents_ = latents.mu
        self.labels_ = evaluation.labels
        self.scores_: list[Score] = evaluation.scores
        self.history_: list[dict[str, float]] = self.fitted_.card["history"]
        kept = range(int(self.labels_.max(initial=-1)) + 1)
        centres = [latents.mu[self.labels_ == cluster].mean(axis=0) for cluster in kept]
        self.centres_ = np.array(centres, np.float32).reshape(len(kept), latents.mu.shape[1])
        return self

    def _collection(self, given: Given | pa.Table, labels: Classes | None, condition: Classes | None) -> Collection:
        names = experiment.views_needed(self.config)
        arrays = _arrays(given, names)
        n = len(next(iter(arrays.values())))
        for what, classes in (("labels", labels), ("condition", condition)):
            if classes is not None and len(classes) != n:
                raise ConfigError(f"{what}: {len(classes)} classes for {n} tracks")
        # A row of NaN is a view that a track lacks.
        masks = {name: np.asarray(np.isfinite(array.reshape(n, -1)).all(axis=1)) for name, array in arrays.items()}
        empty = n - int(np.logical_or.reduce(list(masks.values())).sum())
        if empty:
            raise ConfigError(f"views: {empty:,} of {n:,} tracks have not one view without a gap: leave them out")
        return Collection(
            track_ids=(ids := [str(i) for i in range(n)]),
            contents=ids,
            views={name: np.nan_to_num(array) for name, array in arrays.items()},
            masks=masks,
            labels=list(labels or []),
            label=self.config.scoring.label or ("label" if labels else None),
            condition=list(condition or []),
        )


def _arrays(views: Given | pa.Table, names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    if isinstance(views, pa.Table):
        if "status" in views.schema.names:
            views = views.filter(pa.compute.equal(views["status"], "ok"))
        views = {name: views[name].to_pylist() for name in names if name in views.schema.names}
    arrays = {name: np.asarray(views[name], np.float32) for name in names if name in views}
    missing = [name for name in names if name not in arrays and name != LYRICS]
    if missing:
        raise ConfigError(f"views: {', '.join(missing)} not given; given: {', '.join(views) or 'none'}")
    if len({len(array) for array in arrays.values()}) > 1:
        raise ConfigError("views: not all of the same number of tracks")
    return arrays
