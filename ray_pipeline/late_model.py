"""Late fusion as a model (section 5.3.2): each member is fused and trained by itself, then their latents are combined.

A member is given the views as `fusion: none` passes them on, standardised, which its own z-score leaves as they are. This
stands beside the shelves, and not on one, for it takes parts from two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.errors import TrainingError
from ray_pipeline.fusion import FusionPart
from ray_pipeline.members import Member, Params
from ray_pipeline.models.combination import Combination
from ray_pipeline.models.condition import CONDITION
from ray_pipeline.models.contract import ClosedForm, Latents, Masks, Model, Shapes, State, Views, check_view
from ray_pipeline.models.readout import Readout

__all__ = ["Late", "Params", "build"]

Train: TypeAlias = Callable[[str, Model, Views, Masks], None]
"""(the member's name, its model, what its fusion gives, masks): trains the model in place."""

Fitted: TypeAlias = tuple[FusionPart, Model]


class Late:
    """A `Model` made of others. It has no posterior of its own; its reconstruction is what a linear map tells of the views."""

    def __init__(self, params: Params, shapes: Shapes, seed: int) -> None:
        self.params = params
        self.shapes = dict(shapes)
        self.seed = seed
        self.members: dict[str, Fitted] = {}
        self._combination = Combination(params.combine, params.weights, params.n_components)
        self._readout = Readout({name: shape for name, shape in shapes.items() if name != CONDITION})

    @property
    def n_parameters(self) -> int:
        return sum(model.n_parameters for _, model in self.members.values())

    @property
    def notes(self) -> list[str]:
        """What the members' fusions have to say."""
        return [f"member '{name}': {note}" for name, (fusion, _) in self.members.items() for note in fusion.notes]

    def fit(self, views: Views, masks: Masks, train: Train | None = None) -> None:
        """Fit each member, then the combination; `train` trains members that need epochs.

        Raises
        ------
        TrainingError
            A member cannot be fitted, or its latents not combined.
        """
        views = self._own(views)
        for name, part in self.params.of.items():
            with _named(name):
                fusion = _fusion(part)
                fusion.fit(_told(views), masks)
                model = self._model(part, fusion)
                self.members[name] = fusion, model
                (train or _at_once)(name, model, *fusion.transform(_told(views), masks))
        blocks = _blocks(self.members, views, masks)
        self._combination.fit(blocks)
        self._readout.fit(self._combination.transform(blocks), views, masks)

    def encode(self, views: Views, masks: Masks) -> Latents:
        views = self._own(views)
        mu = self._combination.transform(_blocks(self.members, views, masks))
        return Latents(mu, None, self._readout.errors(mu, views, masks), None)

    def state(self) -> State:
        found = self._combination.state() | self._readout.state()
        for name, (fusion, model) in self.members.items():
            for place, tensors in zip(_places(name), (fusion.state(), model.state()), strict=True):
                found |= {place + key: x for key, x in tensors.items()}
        return found

    def load_state(self, state: State) -> None:
        """Take over a saved state; TrainingError names what does not fit."""
        rest, members = dict(state), {}
        for name, part in self.params.of.items():
            of_fusion, of_model = (_taken(rest, place) for place in _places(name))
            with _named(name):
                fusion = _fusion(part)
                fusion.load_state(of_fusion)
                model = self._model(part, fusion)
                model.load_state(of_model)
            members[name] = fusion, model
        of_readout = {name: rest.pop(name) for name in Readout.TENSORS if name in rest}
        widths = {name: x.shape[1] for name, x in _blocks(members, self._one_track(), {}).items()}
        self._combination.load_state(rest, widths)
        self._readout.load_state(of_readout, self._combination.width(widths))
        self.members = members

    def _own(self, views: Views) -> Views:
        """Those of the views that it was built for, checked."""
        for name, shape in self.shapes.items():
            check_view(views, name, shape)
        return {name: views[name] for name in self.shapes}

    def _model(self, part: Member, fusion: FusionPart) -> Model:
        """The member's model, for what its fitted fusion gives."""
        fused, _ = fusion.transform(_told(self._one_track()), {})
        shapes = {name: tuple(x.shape[1:]) for name, x in fused.items()}
        model: Model = shelf.part("model", part.model.kind)(part.model, shapes, self.seed)
        return model

    def _one_track(self) -> Views:
        return {name: np.zeros((1, *shape), np.float32) for name, shape in self.shapes.items()}


def build(params: Params, shapes: Shapes, seed: int) -> Late:
    """Late fusion over tracks of `shapes`; each member's weights are drawn by `seed`.

    Raises
    ------
    TrainingError
        No condition among the views, where the classes are to be combined too.
    """
    if params.condition and CONDITION not in shapes:
        raise TrainingError(f"with_genre needs view '{CONDITION}'; given: {', '.join(sorted(shapes)) or 'none'}")
    return Late(params, shapes, seed)


def _fusion(part: Member) -> FusionPart:
    fusion: FusionPart = shelf.part("fusion", part.fusion.kind)(part.fusion)
    return fusion


def _blocks(members: Mapping[str, Fitted], views: Views, masks: Masks) -> dict[str, NDArray[np.float32]]:
    """Each member's latents, and the classes where they are given."""
    found = {name: model.encode(*fusion.transform(_told(views), masks)).mu for name, (fusion, model) in members.items()}
    return {**found, CONDITION: views[CONDITION]} if CONDITION in views else found


def _told(views: Views) -> Views:
    """What members are told: all but the classes."""
    return {name: x for name, x in views.items() if name != CONDITION}


def _at_once(name: str, model: Model, views: Views, masks: Masks) -> None:
    if not isinstance(model, ClosedForm):
        raise TrainingError(f"'{model.params.kind}' needs epochs, and nothing was given that trains it")
    model.fit(views, masks)


def _places(name: str) -> tuple[str, str]:
    """How the tensors of a member's fusion and of its model begin."""
    return f"of.{name}.fusion.", f"of.{name}.model."


def _taken(state: State, place: str) -> State:
    """The tensors that begin with `place`, without it; they leave `state`."""
    return {key.removeprefix(place): state.pop(key) for key in list(state) if key.startswith(place)}


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Says whose mistake it is."""
    try:
        yield
    except TrainingError as error:
        raise TrainingError(f"member '{name}': {error}", hint=error.hint) from error
