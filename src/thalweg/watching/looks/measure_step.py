"""A look at one step: what its recorder has measured, and what the optimizer did to the parameters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..facts import BatchStatistics, Direction, Look, LossInput, Nonfinite, ParameterStatistics, PlaceStatistics
from ..roles import role_of
from . import tensors as t
from .recorder import Recorder
from .structure import held_parameters, membership, rates_of, watched_modules

_NAN = math.nan
_CHANGES_IN_TRAINING = ("dropout", "norm")
# A gradient that was clipped by more than this says nothing of the slope.
_UNCLIPPED = 0.99
_MOST_CLASSES = 1000


class FirstValues:
    """The parameters when they were first read, so that later looks know how far they have come."""

    def __init__(self) -> None:
        self._vectors = t.Vectors(())
        self._read: list[tuple[int, torch.device, torch.Size]] = []
        self._first: tuple[t.Vectors, list[Tensor]] | None = None

    def vectors(self, parameters: Sequence[Tensor]) -> t.Vectors:
        """What reads some parameters: the same as before where they are the same ones."""
        read = [(id(parameter), parameter.device, parameter.shape) for parameter in parameters]
        if read != self._read:
            self._vectors, self._read = t.Vectors(parameters), read
        return self._vectors

    def distances(self, vectors: t.Vectors, now: list[Tensor]) -> dict[int, t.Scaled]:
        """The distance of each parameter from its first values; none where other parameters are read than then."""
        self._first = self._first or (vectors, now)
        known, first = self._first
        return vectors.norms([a - b for a, b in zip(now, first, strict=True)]) if known is vectors else {}


class StepMeasurement:
    """Measures the step of the optimizer that belongs to a recorder.

    Args:
        step: number of steps before it.
        model: the eager module.
        optimizer: its optimizer.
        recorder: the recorder of the forward and backward pass.
        forwards: number of passes with a graph since the step before.
        first: the first values of the parameters.
    """

    def __init__(
        self,
        step: int,
        model: nn.Module,
        optimizer: Optimizer,
        recorder: Recorder,
        forwards: int,
        first: FirstValues,
    ) -> None:
        self.step = step
        self.recorder = recorder
        self.source: Literal["hooks", "replay"] = "hooks"
        self._forwards = forwards
        self.curvature: float = _NAN
        self.unseen: list[str] = []
        self._model = model
        self._optimizer = optimizer
        self._first = first
        self._named = recorder.parameters
        self._names = {id(parameter): name for name, parameter in self._named.items()}
        self._held = {id(parameter): parameter for parameter in held_parameters(optimizer)}
        self._all = self._held | {id(p): p for p in self._named.values() if p.requires_grad}
        self._vectors = first.vectors(list(self._all.values()))
        self._changes: dict[int, t.Scaled] = {}
        self._slopes: list[list[Tensor]] = [[], []]

    def take_replay(self, recorder: Recorder) -> None:
        """Take what a replay has seen, because hooks saw nothing of the step itself."""
        self.recorder, self.source = recorder, "replay"
        self.unseen.append("gradients before the step and the number of backward passes: hooks do not see them here")

    @torch.no_grad()
    def before_step(self) -> None:
        """Measure gradients and parameters when `optimizer.step()` begins."""
        graded = {key: p.grad for key, p in self._all.items() if p.grad is not None}
        self._grads = dict(zip(graded, t.norms(list(graded.values())), strict=True))
        self._before = self._vectors.read(self._all)
        self._norms = self._vectors.norms(self._before)
        self._gradient = self._vectors.read(graded)
        self._distances = self._first.distances(self._vectors, self._before)
        self.rates = rates_of(self._optimizer)

    @torch.no_grad()
    def after_step(self) -> None:
        """Measure the update when `optimizer.step()` has ended."""
        after = self._vectors.read(self._all)
        self._direction = [a - b for a, b in zip(after, self._before, strict=True)]
        changes = self._vectors.norms(self._direction)
        self._changes = {key: changes[key] for key in self._held}
        self._slopes[0] = self._vectors.dot(self._direction, self._gradient)
        self._before = self._gradient = []

    @torch.no_grad()
    def at_next_step(self) -> None:
        """Measure the slope along this step by the gradient of the next batch, when the next step begins."""
        gradient = self._vectors.read({key: p.grad for key, p in self._held.items() if p.grad is not None})
        self._slopes[1] = self._vectors.dot(self._direction, gradient)

    def look(self) -> Look:
        """The look, with the one synchronisation that it needs."""
        tree = t.fetched(
            {
                "seen": self.recorder.finished(),
                "norms": self._norms,
                "grads": self._grads,
                "changes": self._changes,
                "distances": self._distances,
                "slopes": self._slopes,
            }
        )
        seen = tree["seen"]
        gradient = _norm(tree["grads"][key] for key in self._held if key in tree["grads"])
        places = tuple(_place(fields) for fields in seen.pop("places"))
        seen["score"] = _finite_or_unseen(seen.get("score", _NAN))
        unused, cut = self._not_trained(places)
        fresh, stale = seen.pop("fresh"), seen.pop("stale", _NAN)
        if self.source == "replay":
            # A copy begins without gradients, and runs once.
            stale, seen["backwards"], seen["forwards"] = _NAN, max(self._forwards, 1), max(self._forwards, 1)
        squares, raw = seen.pop("squares"), seen.pop("raw")
        batch, loss_input = seen.pop("batch", None), seen.pop("loss_input")
        raw_gradient = _norm(raw.values())
        return Look(
            step=self.step,
            source=self.source,
            stale_gradient=0.0 if stale == 0 else stale / fresh if fresh > 0 else _NAN,
            raw_gradient=raw_gradient,
            gradient=gradient,
            update=_norm(tree["changes"].values()),
            weights=_norm(tree["norms"][key] for key in self._held),
            rates=self.rates,
            places=places,
            parameters=self._parameters(tree),
            **membership(self._model, self._named, self._optimizer)._asdict(),
            unused=unused,
            cut=cut,
            cut_by=_cut_by(places, cut),
            evaluating=tuple(
                name
                for name, module in self.recorder.modules or watched_modules(self._model)
                if not module.training and role_of(module) in _CHANGES_IN_TRAINING
            ),
            loss_input=None if loss_input is None else LossInput(**_with_flag(loss_input)),
            batch=None if batch is None else _batch(batch),
            curvature=self.curvature,
            signal_to_noise=_signal_to_noise(squares, raw, stale),
            step_length=_step_length(_sum(tree["slopes"][0]), _sum(tree["slopes"][1]), gradient, raw_gradient),
            unseen=tuple(self.unseen),
            **seen,
        )

    def _not_trained(self, places: Sequence[PlaceStatistics]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The trainable parameters of modules that were not used, and those that backward did not reach."""
        used = {place.module for place in places} | self.recorder.without_graph
        attention = {place.module for place in places if place.role == "attention"}
        unused, cut = [], []
        for name, parameter in self._named.items():
            owner = name.rpartition(".")[0]
            if not parameter.requires_grad or name in self.recorder.reached or not places:
                continue
            # Attention uses the parameters of the modules inside of it without calling them.
            if owner in used or any(owner.startswith(f"{outer}.") for outer in attention):
                cut.append(name)
            else:
                unused.append(name)
        return tuple(unused), tuple(cut) if self.recorder.backwards else ()

    def _parameters(self, tree: Mapping[str, Any]) -> tuple[ParameterStatistics, ...]:
        found = []
        for key, parameter in self._all.items():
            if key in self._names:
                name, root = self._names[key], math.sqrt(max(parameter.numel(), 1))
                change = tree["changes"].get(key, _NAN)
                found.append(
                    ParameterStatistics(
                        name=name,
                        rms=tree["norms"][key] / root,
                        gradient=tree["grads"].get(key, _NAN) / root,
                        update=change / root,
                        distance=tree["distances"].get(key, _NAN) / root,
                        moved=None if math.isnan(change) else change > 0,
                        reached=name in self.recorder.reached if self.recorder.backwards else None,
                    )
                )
        return tuple(found)


def _norm(norms: Iterable[float]) -> float:
    """√(Σ n²); NaN of none."""
    known = list(norms)
    return math.hypot(*known) if known else _NAN


def _sum(terms: Sequence[float]) -> float:
    """Σ terms; NaN of none."""
    return math.fsum(terms) if terms else _NAN


def _place(fields: t.Fields) -> PlaceStatistics:
    if "difference" in fields:
        fields["difference"] = fields["difference"] / fields["rms"] if fields["rms"] > 0 else 0.0
    # Outputs that are the same for all samples have no rank.
    rank = _finite_or_unseen(t.effective_rank(fields.pop("rank_terms", ())))
    return PlaceStatistics(**fields, rank=rank)


def _finite_or_unseen(value: float) -> float:
    return value if math.isfinite(value) else _NAN


def _with_flag(fields: t.Fields) -> t.Fields:
    return fields | {"target_integers": bool(fields.get("target_integers", False))}


def _batch(fields: t.Fields) -> BatchStatistics:
    ends = fields.pop("ends", ())
    largest = max(map(abs, ends), default=_NAN)
    targets: Sequence[float] = fields.get("targets", ())
    counts = {value: count for value, count in Counter(targets).items() if math.isfinite(value)}
    are_classes = len(counts) <= _MOST_CLASSES and all(value.is_integer() for value in counts)
    classes = {str(int(value)): count for value, count in counts.items()} if are_classes else {}
    level = math.hypot(fields["mean"], fields["deviation"]) if "mean" in fields else _NAN
    finite = not math.isinf(largest)
    return BatchStatistics(**fields, rms=level, largest=largest, finite=finite, classes=classes)


def _cut_by(places: Sequence[PlaceStatistics], cut: Sequence[str]) -> str:
    """The first place after the modules behind the cut whose input has no graph."""
    modules = {name.rpartition(".")[0] for name in cut}
    behind = [index for index, place in enumerate(places) if place.module in modules]
    if not behind:
        return ""
    after = places[behind[-1] + 1 :]
    return next((place.place for place in after if place.input_has_graph is False), "")


def _signal_to_noise(squares: Mapping[str, Sequence[float]], raw: Mapping[str, float], stale: float) -> float:
    """|g|² divided by the variance of the gradients of single rows, over the dense layers; NaN where old gradients are
    mixed in, or a layer was used twice."""
    if stale != 0 or any(place.endswith(")") for place in squares):
        return _NAN
    signal = variance = 0.0
    for place, roots in squares.items():
        own = [raw.get(f"{place}.{name}" if place else name, 0.0) for name in ("weight", "bias")]
        gradient = math.fsum(norm**2 for norm in own)
        signal += gradient
        variance += max(math.fsum(root**2 for root in roots) - gradient, 0.0)
    return signal / variance if variance > 0 else _NAN


def _step_length(slope: float, next_slope: float, gradient: float, raw: float) -> float:
    """-q'(1) / q'(0) along the step from these two slopes; NaN for a step that did not go down, or whose gradient was
    clipped."""
    clipped = raw > 0 and gradient < _UNCLIPPED * raw
    return -next_slope / slope if slope < 0 and not clipped else _NAN


def first_nonfinite(look: Look) -> Nonfinite | None:
    """Where NaN or infinity arose in a step, by the first number that is not finite; None if all are."""
    if look.batch is not None and not look.batch.finite:
        return Nonfinite("input", "input", look.step)
    if bad := {parameter.name for parameter in look.parameters if math.isinf(parameter.rms)}:
        # The gradients of an earlier step were not finite, from some layer on down.
        return Nonfinite(_last_owner(look.places, bad), "backward", max(look.step - 1, 0), exact=False)
    numbers: list[tuple[str, Direction, float]] = [
        *((place.place, "forward", place.rms) for place in look.places),
        ("loss", "loss", look.loss),
        *((place.place, "backward", place.delta) for place in reversed(look.places)),
        *((parameter.name, "backward", parameter.gradient) for parameter in look.parameters),
        *((parameter.name, "update", parameter.update) for parameter in look.parameters),
    ]
    found = next(((place, direction) for place, direction, value in numbers if math.isinf(value)), None)
    return Nonfinite(*found, look.step) if found else None


def _last_owner(places: Sequence[PlaceStatistics], parameters: Collection[str]) -> str:
    """Of the modules of some parameters the last one in the forward pass."""
    owners = {name.rpartition(".")[0] for name in parameters}
    used = [place.module for place in places if place.module in owners]
    return used[-1] if used else min(owners)
