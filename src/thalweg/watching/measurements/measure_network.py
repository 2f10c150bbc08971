"""Facts of the network of a watched training, and what it was at the start."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ...doctor.measurements import IdenticalUnits, LayerFacts
from ...doctor.step_statistics import StepStatistics
from ...parts.part import Layer
from ..facts import Look, PlaceStatistics, SetScores, WatchedModel, WatchedTraining
from ..roles import LINEAR_OPERATIONS

_WEIGHTED = ("dense", "conv", "recurrent", "attention", "embedding")
_NONLINEAR = ("recurrent", "attention", "softmax", "other")
_LOSSES = {
    "MSELoss": "mean_squared_error",
    "mse_loss": "mean_squared_error",
    "L1Loss": "mean_absolute_error",
    "l1_loss": "mean_absolute_error",
    "HuberLoss": "huber",
    "huber_loss": "huber",
    "SmoothL1Loss": "huber",
    "smooth_l1_loss": "huber",
}
# Modules of PyTorch that only pass numbers on.
_PASSING = ("Identity", "Flatten", "Unflatten")
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class NetworkSource:
    """Computes the facts of `Measurements` that are about the network.

    Attributes:
        watched: all that the watch has seen.
    """

    watched: WatchedTraining

    @property
    def _model(self) -> WatchedModel:
        return self.watched.model

    @property
    def _looks(self) -> tuple[Look, ...]:
        return self.watched.looks

    @cached_property
    def _places(self) -> tuple[PlaceStatistics, ...]:
        return self._looks[0].first_pass if self._looks else ()

    @cached_property
    def layers(self) -> tuple[LayerFacts, ...]:
        places = self._places
        weighted = [index for index, place in enumerate(places) if place.role in _WEIGHTED]
        rates = {module.name: module.drop_rate for module in self._model.modules}
        kinds = {module.name: module.kind for module in self._model.modules}
        layers = [
            _layer_facts(
                place,
                kinds.get(place.module, "") in _PASSING,
                rates.get(place.module, 0.0),
                hidden=place.role == "activation" and bool(weighted) and index < weighted[-1],
                above_weights=bool(weighted) and weighted[0] < index,
            )
            for index, place in enumerate(places)
        ]
        branches = self._branches
        layers = [layer._replace(beside=layer.weighted and layer.place in branches) for layer in layers]
        known = {layer.place for layer in layers}
        unseen = [module for module in self._model.modules if module.drop_rate and module.name not in known]
        return (*layers, *(LayerFacts(m.name, "dropout", (-np.inf, np.inf), drop_rate=m.drop_rate) for m in unseen))

    @property
    def _branches(self) -> set[str]:
        """The places with weights that do not read the one with weights before them, nor through places without."""
        weighted: list[str] = []
        below: dict[str, set[str]] = {}
        branches: set[str] = set()
        for place in self._places:
            read = {lower for follows in place.follows for lower in below.get(follows, ())}
            below[place.place] = read
            if place.role in _WEIGHTED:
                if weighted and weighted[-1] not in read:
                    branches.add(place.place)
                weighted.append(place.place)
                below[place.place] = {place.place}
        return branches

    @cached_property
    def output(self) -> LayerFacts:
        given = next((look.loss_input for look in self._looks if look.loss_input), None)
        kind = given.activation if given is not None else ""
        return _activation_facts(kind or "identity", (given.activation_place if given else "") or "output")

    @cached_property
    def outputs(self) -> int:
        given = next((look.loss_input for look in self._looks if look.loss_input), None)
        return given.output_shape[1] if given is not None and len(given.output_shape) > 1 else 1

    @cached_property
    def loss(self) -> str:
        return _LOSSES.get(self._model.loss.kind, self._model.loss.kind)

    @cached_property
    def decays(self) -> bool:
        return any(group.weight_decay > 0 for group in self._model.groups)

    @cached_property
    def parameters(self) -> int:
        return sum(int(np.prod(parameter.shape)) for parameter in self._model.parameters)

    @cached_property
    def _matrices(self) -> frozenset[str]:
        return frozenset(p.name for p in self._model.parameters if len(p.shape) > 1 and p.trainable)

    @cached_property
    def start(self) -> StepStatistics:
        return step_statistics(self._looks[0]) if self._looks else StepStatistics()

    @cached_property
    def gains(self) -> dict[str, float]:
        """Of the layers that the forward pass uses, in its order."""
        gains = {p.name.rpartition(".")[0]: p.gain for p in self._model.parameters if np.isfinite(p.gain)}
        return {place.module: gains[place.module] for place in self._places if place.module in gains}

    @cached_property
    def identical_units(self) -> IdenticalUnits | None:
        """A layer with equal units, below another one with equal units, which gives them equal gradients."""
        equal = {p.name.rpartition(".")[0]: p for p in self._model.parameters if len(p.shape) > 1}
        order = [place.module for place in self._places if place.role in _WEIGHTED and place.module in equal]
        for lower, upper in pairwise(order):
            if equal[lower].identical_units and (equal[upper].identical_units or equal[upper].rms == 0):
                return IdenticalUnits(lower, equal[lower].shape[0])
        return None


def _activation_facts(kind: str, place: str, hidden: bool = False, above_weights: bool = False) -> LayerFacts:
    """The facts of an activation, by the class of the same kind; unknown ones have any output."""
    family = Layer.kinds.get(kind)
    if family is None or not issubclass(family, Layer):
        return LayerFacts(place, kind, (-np.inf, np.inf), hidden=hidden, above_weights=above_weights)
    part = family()
    return LayerFacts(
        place=place,
        kind=kind,
        output_range=part.output_range,
        steepest_slope=part.steepest_slope,
        saturates=part.saturates,
        sums_to_one=part.sums_to_one,
        can_die=part.can_die,
        hidden=hidden,
        above_weights=above_weights,
        is_linear=part.is_linear,
    )


def _layer_facts(
    place: PlaceStatistics, passes: bool, drop_rate: float, hidden: bool, above_weights: bool
) -> LayerFacts:
    if place.role == "activation":
        facts = _activation_facts(place.activation, place.place, hidden, above_weights)
    else:
        # An embedding is no map of the numbers of its tokens.
        straight = passes or place.role not in (*_NONLINEAR, "norm", "pooling", "embedding")
        facts = LayerFacts(
            place=place.place,
            kind=place.role,
            output_range=(-np.inf, np.inf),
            weighted=place.role in _WEIGHTED,
            is_linear=straight and not place.activation,
            drop_rate=drop_rate,
        )
    only_linear = all(name.strip("_") in LINEAR_OPERATIONS for name in place.operations)
    return facts if only_linear else facts._replace(is_linear=False)


def step_statistics(look: Look, scores: SetScores | None = None) -> StepStatistics:
    """The statistics of a look; the outputs vary between rows as in `scores`, where they are known."""
    places = look.first_pass
    dense = [place for place in places if place.role in _WEIGHTED]
    acts = [place for place in places if place.role == "activation" and place.units]
    last = max((index for index, place in enumerate(places) if place.role in _WEIGHTED), default=-1)
    order = {id(place): index for index, place in enumerate(places)}
    given = look.loss_input
    numbers = [
        look.loss,
        *(place.rms for place in dense),
        *(place.delta for place in dense if place.delta == place.delta),
    ]
    return StepStatistics(
        dense=tuple(place.place for place in dense),
        outputs=np.array([place.rms for place in dense], float),
        deltas=np.array([place.delta * _positions(place) for place in dense], float),
        activations=tuple(place.place for place in acts),
        hidden=tuple(order[id(place)] < last for place in acts),
        units=tuple(place.units for place in acts),
        dead=np.array([np.nan_to_num(place.dead) for place in acts], float),
        saturated=np.array([np.nan_to_num(place.saturated) for place in acts], float),
        spread=scores.spread if scores else given.spread if given else _NAN,
        level=scores.level if scores else float(np.hypot(given.output_mean, given.output_deviation)) if given else _NAN,
        loss=look.loss,
        differences=np.array([place.difference for place in dense], float),
        finite=bool(np.isfinite([value for value in numbers if value == value]).all()) and look.nonfinite is None,
    )


def _positions(place: PlaceStatistics) -> float:
    """√(numbers of a row by unit): the delta of a channel is that of all its positions together."""
    numbers = float(np.prod(place.shape)) if place.shape else 0.0
    return np.sqrt(max(numbers / max(place.shape[0] * place.units, 1), 1.0)) if place.shape and place.units else 1.0
