"""Rates that follow a measure: a value for each epoch, decided by the epochs before it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple, TypeVar, cast

from pydantic import Field

from ...core.arrays import Scalar
from ..part import Count, Fraction, NonNegative, Part, Schedule, options_of
from .step_schedules import Constant


class MetricScheduleState(NamedTuple):
    """The memory of a metric schedule.

    value: the current value.
    best: the best measure so far; None: none yet.
    waited: epochs without improvement.
    cooldown: epochs left that are not counted.
    """

    value: float
    best: float | None = None
    waited: int = 0
    cooldown: int = 0


class MetricSchedule(Schedule, ABC):
    """A schedule that depends on a measure: one value for each epoch.

    `start` gives the first memory, `observe` the memory after an epoch, `current` the value for the next epoch. They
    work on plain numbers between epochs; for the steps of an epoch `freeze` replaces the schedule by a constant. Called
    as a schedule, it gives its first value.

    `measure` names the measure; None: the validation loss, or the training loss without validation rows.
    """

    measure: str | None
    has_durations: ClassVar[bool] = False

    @abstractmethod
    def start(self) -> MetricScheduleState:
        """The memory before the first epoch."""

    @abstractmethod
    def observe(self, memory: MetricScheduleState, value: float, larger_is_better: bool) -> MetricScheduleState:
        """The memory after an epoch with that value of the measure."""

    def current(self, memory: MetricScheduleState) -> float:
        """The value for the next epoch."""
        return memory.value

    def __call__(self, step: Scalar) -> Scalar:
        return self.start().value + 0 * step


def improved(value: float, best: float | None, threshold: float, larger_is_better: bool) -> bool:
    """Whether value > best + threshold |best| where larger is better, else value < best - threshold |best|.

    Any number is better than None; NaN is never better.

    >>> improved(0.95, 1.0, 0.01, larger_is_better=False), improved(0.995, 1.0, 0.01, larger_is_better=False)
    (True, False)
    """
    if best is None:
        return value > -math.inf if larger_is_better else value < math.inf
    margin = threshold * abs(best)
    return value > best + margin if larger_is_better else value < best - margin


class Improvement(NamedTuple):
    """A measure compared with the best one so far.

    better: whether it is better.
    enough: whether it is better by enough to reset the patience.
    """

    better: bool
    enough: bool


def compared(
    value: float, best: float | None, threshold: float, tolerance: float | None, larger_is_better: bool
) -> Improvement:
    """Compare a measure with the best one so far.

    Without a tolerance both answers are `improved` by the fraction `threshold`, so that small gains add up. With one,
    any better value is the best, and it is enough if it gains at least `tolerance` on the best before it: small gains
    do not add up.

    >>> compared(0.95, 1.0, 0.0, 0.1, larger_is_better=False)
    Improvement(better=True, enough=False)
    """
    better = improved(value, best, threshold if tolerance is None else 0.0, larger_is_better)
    if tolerance is None or best is None:
        return Improvement(better, better)
    return Improvement(better, value >= best + tolerance if larger_is_better else value <= best - tolerance)


def _compared(
    memory: MetricScheduleState, value: float, threshold: float, tolerance: float | None, larger_is_better: bool
) -> MetricScheduleState:
    """The memory after one more epoch: the new best, and one more epoch waited unless it gained enough."""
    comparison = compared(value, memory.best, threshold, tolerance, larger_is_better)
    best = value if comparison.better else memory.best
    return memory._replace(best=best, waited=0 if comparison.enough else memory.waited + 1)


@dataclass(frozen=True)
class ReduceOnPlateau(MetricSchedule, kind="plateau", also=("reduce_on_plateau",)):
    """Multiplies the value by `factor` after more than `patience` epochs without a better measure.

    initial: the first value.
    factor: the factor of each reduction, in [0, 1).
    patience: epochs without improvement that are tolerated.
    threshold: fraction of the best measure that counts as an improvement.
    cooldown: epochs after a reduction that are not counted.
    least: the value is not reduced below this.
    measure: name of the measure; None: the validation loss, or the training loss without validation rows.
    tolerance: absolute gain that counts as an improvement, in place of `threshold` (`compared`).

    Source: PyTorch, ReduceLROnPlateau (threshold_mode "rel", eps 0), for measures of at least 0.

    >>> plateau = ReduceOnPlateau(0.1, factor=0.5, patience=1)
    >>> memory = plateau.start()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     memory = plateau.observe(memory, loss, larger_is_better=False)
    >>> plateau.current(memory)
    0.05
    """

    initial: NonNegative
    factor: Fraction = 0.1
    patience: Annotated[int, Field(ge=0, strict=True)] = 10
    threshold: NonNegative = 1e-4
    cooldown: Annotated[int, Field(ge=0, strict=True)] = 0
    least: NonNegative = 0.0
    measure: str | None = None
    tolerance: NonNegative | None = None

    def start(self) -> MetricScheduleState:
        return MetricScheduleState(self.initial)

    def observe(self, memory: MetricScheduleState, value: float, larger_is_better: bool) -> MetricScheduleState:
        memory = _compared(memory, value, self.threshold, self.tolerance, larger_is_better)
        if memory.cooldown:
            memory = memory._replace(waited=0, cooldown=memory.cooldown - 1)
        if memory.waited <= self.patience:
            return memory
        # An initial value below `least` is kept.
        reduced = min(memory.value, max(memory.value * self.factor, self.least))
        return MetricScheduleState(reduced, memory.best, waited=0, cooldown=self.cooldown)


@dataclass(frozen=True)
class AfterPlateau(MetricSchedule, kind="when_settled"):
    """`before` until the measure has not improved for `patience` epochs, then `after`.

    before: the value before the plateau.
    after: the value after it.
    patience: epochs without improvement that make a plateau.
    threshold: fraction of the best measure that counts as an improvement.
    measure: name of the measure.

    Meant for a momentum that is small while the large gradients of the start die away.

    Source: Hinton 2010, A practical guide to training restricted Boltzmann machines, section 9.1.

    >>> momentum = AfterPlateau(0.5, 0.9, patience=2)
    >>> memory, values = momentum.start(), []
    >>> for loss in (1.0, 0.5, 0.5, 0.5, 0.1):
    ...     memory = momentum.observe(memory, loss, larger_is_better=False)
    ...     values.append(momentum.current(memory))
    >>> values
    [0.5, 0.5, 0.5, 0.9, 0.9]
    """

    before: NonNegative = 0.5
    after: NonNegative = 0.9
    patience: Count = 3
    threshold: NonNegative = 0.01
    measure: str = "loss"

    def start(self) -> MetricScheduleState:
        return MetricScheduleState(self.before)

    def observe(self, memory: MetricScheduleState, value: float, larger_is_better: bool) -> MetricScheduleState:
        if memory.waited >= self.patience:
            return memory
        memory = _compared(memory, value, self.threshold, None, larger_is_better)
        return memory if memory.waited < self.patience else memory._replace(value=self.after)


def metric_schedules(part: object) -> tuple[MetricSchedule, ...]:
    """All metric schedules inside a part, depth first in the order of the options.

    >>> from thalweg.parts.schedules import LinearWarmup
    >>> [inner.kind for inner in metric_schedules(LinearWarmup(ReduceOnPlateau(0.1), steps=5))]
    ['plateau']
    """
    if isinstance(part, MetricSchedule):
        return (part,)
    if isinstance(part, Part):
        part = tuple(getattr(part, field.name) for field in options_of(type(part)))
    return tuple(inner for item in part for inner in metric_schedules(item)) if isinstance(part, tuple) else ()


_PartT = TypeVar("_PartT", bound=Part)


def freeze(part: _PartT, values: Sequence[float]) -> _PartT:
    """The same part with its metric schedules as constants of these values, in the order of `metric_schedules`.

    >>> from thalweg.parts.schedules import LinearWarmup
    >>> freeze(LinearWarmup(ReduceOnPlateau(0.1), steps=5), [0.05])
    LinearWarmup(then=Constant(value=0.05), steps=5.0)
    """
    remaining = iter(values)
    return _with_metric_schedules(part, lambda _: Constant(next(remaining)))


def watching(part: _PartT, measure: str) -> _PartT:
    """The same part with this measure in the metric schedules that name none.

    >>> watching(ReduceOnPlateau(0.1), "loss").measure
    'loss'
    """

    def change(schedule: MetricSchedule) -> Schedule:
        options = {field.name: getattr(schedule, field.name) for field in options_of(type(schedule))}
        return type(schedule)(**options | {"measure": schedule.measure or measure})

    return _with_metric_schedules(part, change)


def _with_metric_schedules(part: _PartT, change: Callable[[MetricSchedule], Schedule]) -> _PartT:
    """The same part with its metric schedules changed, in the order of `metric_schedules`."""

    def changed(value: object) -> object:
        if isinstance(value, MetricSchedule):
            return change(value)
        if isinstance(value, Part):
            return type(value)(**{field.name: changed(getattr(value, field.name)) for field in options_of(type(value))})
        return tuple([changed(item) for item in value]) if isinstance(value, tuple) else value

    return cast(_PartT, changed(part))
