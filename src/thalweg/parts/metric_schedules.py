"""Rates that follow a measure: a value for each epoch, decided from the records of the epochs before."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from ..core.arrays import Array
from .part import Count, Fraction, NonNegative, Part, Schedule, options_of
from .schedules import Constant


class MetricScheduleState(NamedTuple):
    """What an adaptive schedule knows: its value, the best measure so far (None: none yet), the epochs without a better
    one, the epochs left in which it does not count them."""

    value: float
    best: float | None = None
    waited: int = 0
    cooldown: int = 0


class MetricSchedule(Schedule, ABC):
    """A schedule that looks at a measure after each epoch: one value for the whole of the next epoch.

    `start` gives the first memory, `observe` the one after an epoch, `settled` the value until the end of the next
    epoch. They are plain numbers, handled between epochs; for the steps of an epoch `freeze` puts a constant in the
    schedule's place. Called as a schedule, it gives the value it starts with.

    `measure` names what it looks at; None is the validation loss, or the training loss where no rows are held out.
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
        """The value until the end of the next epoch."""
        return memory.value

    def __call__(self, step: Array) -> Array:
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


class Compared(NamedTuple):
    """What a measure is beside the best so far: better than it, and so much better that nobody waits any longer."""

    better: bool
    enough: bool


def compared(
    value: float, best: float | None, threshold: float, tolerance: float | None, larger_is_better: bool
) -> Compared:
    """Without a tolerance both are `improved` by the share `threshold`, so that small gains add up to one.

    With one, whatever is better is the best, and enough is a gain of at least `tolerance` on the epoch that was best:
    small gains do not add up.

    >>> compared(0.95, 1.0, 0.0, 0.1, larger_is_better=False)
    Compared(better=True, enough=False)
    """
    better = improved(value, best, threshold if tolerance is None else 0.0, larger_is_better)
    if tolerance is None or best is None:
        return Compared(better, better)
    return Compared(better, value >= best + tolerance if larger_is_better else value <= best - tolerance)


def _compared(
    memory: MetricScheduleState, value: float, threshold: float, tolerance: float | None, larger_is_better: bool
) -> MetricScheduleState:
    """The memory with one epoch more: a new best, and one epoch waited unless it was enough."""
    found = compared(value, memory.best, threshold, tolerance, larger_is_better)
    best = value if found.better else memory.best
    return memory._replace(best=best, waited=0 if found.enough else memory.waited + 1)


@dataclass(frozen=True)
class ReduceOnPlateau(MetricSchedule, kind="plateau", also=("reduce_on_plateau",)):
    """`factor` times the value, but at least `least`, after more than `patience` epochs without a better measure.

    Better is relative: by a share `threshold` of the best so far; or, with a `tolerance`, by that much (`compared`).
    After a reduction `cooldown` epochs are not counted.

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
        # A start below `least` stays where it is.
        reduced = min(memory.value, max(memory.value * self.factor, self.least))
        return MetricScheduleState(reduced, memory.best, waited=0, cooldown=self.cooldown)


@dataclass(frozen=True)
class AfterPlateau(MetricSchedule, kind="when_settled"):
    """`before`, until the measure has not become better for `patience` epochs; from then on `after`.

    Better is relative: by a share `threshold` of the best so far. Meant for a momentum that is small while the large
    gradients of the start die away.

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


def metric_schedules(part: Any) -> tuple[MetricSchedule, ...]:
    """All adaptive schedules inside a part, depth first in the order of the options.

    >>> [inner.kind for inner in metric_schedules(LinearWarmup(ReduceOnPlateau(0.1), steps=5))]
    ['plateau']
    """
    if isinstance(part, MetricSchedule):
        return (part,)
    if isinstance(part, Part):
        return metric_schedules(tuple(getattr(part, field.name) for field in options_of(type(part))))
    return tuple(found for item in part for found in metric_schedules(item)) if isinstance(part, tuple) else ()


def freeze(part: Any, values: Sequence[float]) -> Any:
    """The same part with its adaptive schedules as constants of these values, in the order of `metric_schedules`.

    >>> freeze(LinearWarmup(ReduceOnPlateau(0.1), steps=5), [0.05])
    LinearWarmup(then=Constant(value=0.05), steps=5.0)
    """
    left = iter(values)

    def constant(value: Any) -> Any:
        if isinstance(value, MetricSchedule):
            return Constant(next(left))
        if isinstance(value, Part):
            options = {field.name: constant(getattr(value, field.name)) for field in options_of(type(value))}
            return type(value)(**options)
        return tuple([constant(item) for item in value]) if isinstance(value, tuple) else value

    return constant(part)
