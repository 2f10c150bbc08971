"""Schedules: step -> value, for a learning rate, a momentum or any other rate. Step 0 is the first update.

Durations are numbers of steps, or words: "10 epochs", "25 %" (of the training). A schedule that is left without `steps`
lasts until the end of the training. `in_steps` turns both into numbers before training starts.

A rate that looks at a measure of the training (`Adaptive`) has one value an epoch, which is set when the epoch is over.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, PlainValidator, Tag

from ..core.arrays import Array, namespace
from ..core.errors import InputError
from .part import NonNegative, Part, Positive, Rate, Schedule, at, number_or_other

_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(steps?|epochs?|%)?\s*")


def _in_words(value: Any) -> str:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match or not 0 < float(match[1]) < math.inf:
        raise ValueError("expected a number of steps, or a text such as '10 epochs' or '25 %'")
    return str(value)


if TYPE_CHECKING:
    # Whatever was written, it is a number when the schedule is asked for a value: `in_steps` sees to it.
    Duration = Any
    Warmup = Any
    Lasting = Any
    BatchSize = Any
else:
    Words = Annotated[Any, PlainValidator(_in_words), Tag("other")]
    Duration = Annotated[Annotated[Positive, Tag("number")] | Words, Discriminator(number_or_other)]
    Warmup = Annotated[Annotated[NonNegative, Tag("number")] | Words, Discriminator(number_or_other)]
    Lasting = Duration | None
    BatchSize = Positive | None


def in_steps(part: Any, steps_per_epoch: int, total_steps: float, batch_size: int) -> Any:
    """The same optimizer or schedule with every duration as a number of steps; a missing one is the whole training.

    Schedules that depend on the batch size are told it.

    >>> in_steps(StepDecay(0.1, every="2 epochs"), steps_per_epoch=50, total_steps=500, batch_size=32).every
    100.0
    """
    if isinstance(part, Schedule) and not part.has_durations:
        return part
    if isinstance(part, LinearScaling) and part.batch_size is None:
        part = dataclasses.replace(part, batch_size=batch_size)
    if isinstance(part, Joined):
        starts = (0.0, *(_steps(text, steps_per_epoch, total_steps) for text in part.boundaries))
        # A training that ends before a boundary never comes to the pieces behind it; their span only has to be one.
        spans = [max(end - start, 1.0) for start, end in zip(starts, (*starts[1:], total_steps), strict=True)]
        pieces = zip(part.schedules, spans, strict=True)
        schedules = tuple(in_steps(piece, steps_per_epoch, span, batch_size) for piece, span in pieces)
        return Joined(schedules, starts[1:])
    changed = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            changed[field.name] = in_steps(value, steps_per_epoch, total_steps, batch_size)
        elif value is None or isinstance(value, str):
            changed[field.name] = _steps(value, steps_per_epoch, total_steps)
    return dataclasses.replace(part, **changed)


def _steps(duration: float | str | None, steps_per_epoch: int, total_steps: float) -> float:
    if duration is None:
        return float(total_steps)
    if not isinstance(duration, str):
        return duration
    match = _DURATION.fullmatch(duration)
    assert match
    unit = match[2] or "steps"
    scale = total_steps / 100 if unit == "%" else steps_per_epoch if unit.startswith("epoch") else 1
    return float(match[1]) * scale


def _progress(step: Array, steps: Array) -> Array:
    """step / steps, cut to [0, 1]."""
    xp = namespace(step)
    return xp.clip(step / steps, 0.0, 1.0)


def _half_cosine(progress: Array) -> Array:
    """From 1 to 0 along half a cosine."""
    return (1 + namespace(progress).cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Constant(Schedule, kind="constant"):
    """value, always.

    >>> Constant(0.1)(1000)
    0.1
    """

    value: NonNegative

    def __call__(self, step: Array) -> Array:
        return self.value + 0 * step


@dataclass(frozen=True)
class StepDecay(Schedule, kind="step_decay"):
    """initial * factor^floor(t / every).

    >>> [float(StepDecay(1.0, every=10)(t)) for t in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    initial: NonNegative
    factor: Positive = 0.5
    every: Duration = "10 epochs"

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** namespace(step).floor(step / self.every)


@dataclass(frozen=True)
class ExponentialDecay(Schedule, kind="exponential"):
    """initial * factor^(t / every).

    >>> float(ExponentialDecay(1.0, factor=0.25, every=10)(5))
    0.5
    """

    initial: NonNegative
    factor: Positive = 0.9
    every: Duration = "1 epoch"

    def __call__(self, step: Array) -> Array:
        return self.initial * self.factor ** (step / self.every)


@dataclass(frozen=True)
class InverseTime(Schedule, kind="inverse_time"):
    """a / (b + t), t in steps: the sum over t diverges and the sum of its squares does not, as Robbins and Monro ask.

    Keras' `decay` d at the rate r, r / (1 + d t), is a = r/d, b = 1/d.

    Source: Robbins and Monro 1951.

    >>> float(InverseTime(a=1.0, b=10.0)(10))
    0.05
    """

    a: NonNegative
    b: Positive

    def __call__(self, step: Array) -> Array:
        return self.a / (self.b + step)


@dataclass(frozen=True)
class InverseScaling(Schedule, kind="inverse_scaling"):
    """initial / (1 + m)^power, m the training rows met before this `every`: `done` at first, `rows` more in each.

    With an epoch's rows it is scikit-learn's "invscaling", whose rate is one for the whole of an epoch.

    >>> [round(float(InverseScaling(1.0, rows=8, every=4)(t)), 3) for t in (0, 3, 4, 8)]
    [1.0, 1.0, 0.333, 0.243]
    """

    initial: NonNegative
    rows: Positive
    power: NonNegative = 0.5
    every: Duration = "1 epoch"
    done: NonNegative = 0.0

    def __call__(self, step: Array) -> Array:
        met = self.done + self.rows * namespace(step).floor(step / self.every)
        return self.initial / (1 + met) ** self.power


@dataclass(frozen=True)
class Polynomial(Schedule, kind="polynomial"):
    """final + (initial - final) (1 - t/steps)^power, and `final` from then on. Linear with power 1.

    >>> [float(Polynomial(1.0, steps=10)(t)) for t in (0, 5, 10, 99)]
    [1.0, 0.5, 0.0, 0.0]
    """

    initial: NonNegative
    final: NonNegative = 0.0
    power: Positive = 1.0
    steps: Lasting = None

    def __call__(self, step: Array) -> Array:
        return self.final + (self.initial - self.final) * (1 - _progress(step, self.steps)) ** self.power


@dataclass(frozen=True)
class Cosine(Schedule, kind="cosine"):
    """Linear from 0 to peak during `warmup`, then final + (peak - final) (1 + cos(pi p)) / 2, p the share of the rest
    done.

    The update after t steps of warm-up runs at peak (t+1) / (warmup+1), so that the first one moves.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.

    >>> [round(float(Cosine(1.0, steps=10)(t)), 3) for t in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """

    peak: NonNegative
    final: NonNegative = 0.0
    warmup: Warmup = 0.0
    steps: Lasting = None

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        span = xp.maximum(self.steps - self.warmup, xp.ones_like(step))
        fall = self.final + (self.peak - self.final) * _half_cosine(_progress(step - self.warmup, span))
        return fall * _progress(step + 1.0, self.warmup + 1.0)


@dataclass(frozen=True)
class LinearWarmup(Schedule, kind="linear_warmup"):
    """(t+1) / (steps+1) of `then` during the first `steps`, then all of it.

    Source: Goyal et al. 2017, section 2.2.

    >>> [float(LinearWarmup(then=1.0, steps=3)(t)) for t in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """

    then: Rate
    steps: Duration

    def __call__(self, step: Array) -> Array:
        return at(self.then, step) * _progress(step + 1.0, self.steps + 1.0)


@dataclass(frozen=True)
class CosineWarmup(Schedule, kind="cosine_warmup"):
    """(1 - cos(pi p)) / 2 of `then`, p = (t+1) / (steps+1) during the first `steps`, then all of it.

    >>> [round(float(CosineWarmup(then=1.0, steps=3)(t)), 3) for t in (0, 1, 3, 9)]
    [0.146, 0.5, 1.0, 1.0]
    """

    then: Rate
    steps: Duration

    def __call__(self, step: Array) -> Array:
        return at(self.then, step) * (1 - _half_cosine(_progress(step + 1.0, self.steps + 1.0)))


@dataclass(frozen=True)
class LinearScaling(Schedule, kind="linear_scaling"):
    """k of `then`, k = batch size / reference, reached in a straight line from 1: 1 + (k-1) min((t+1) / (warmup+1), 1).

    For a rate that is known to be good at batches of `reference` samples. The batch size is the training's, where none
    is given.

    Source: Goyal et al. 2017, sections 2.1 and 2.2.

    >>> [float(LinearScaling(0.1, warmup=3, batch_size=1024)(t)) for t in (0, 1, 3, 9)]
    [0.17500000000000002, 0.25, 0.4, 0.4]
    """

    then: Rate
    reference: Positive = 256
    warmup: Warmup = "5 epochs"
    batch_size: BatchSize = None

    def __call__(self, step: Array) -> Array:
        growth = self.batch_size / self.reference - 1
        return at(self.then, step) * (1 + growth * _progress(step + 1.0, self.warmup + 1.0))


@dataclass(frozen=True)
class Triangular(Schedule, kind="triangular"):
    """A cycle of `period`: straight from low to high and back.

    Source: Smith 2017, Cyclical learning rates.

    >>> [float(Triangular(0.0, 1.0, period=4)(t)) for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    low: NonNegative
    high: NonNegative
    period: Duration

    def __call__(self, step: Array) -> Array:
        share = step / self.period
        share = share - namespace(step).floor(share)
        return self.low + (self.high - self.low) * (1 - namespace(step).abs(1 - 2 * share))


@dataclass(frozen=True)
class OneCycle(Schedule, kind="one_cycle"):
    """Half a cosine up from peak/start to peak during `rise` of the steps, then half a cosine down to peak/end.

    For a momentum that moves the other way give it a schedule of its own.

    Source: Smith and Topin 2018, Super-convergence; the cosine form is fastai's and PyTorch's.

    >>> [round(float(OneCycle(1.0, steps=10)(t)), 4) for t in (0, 3, 10)]
    [0.04, 1.0, 0.0001]
    """

    peak: NonNegative
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Positive = 25.0
    end: Positive = 1e4
    steps: Lasting = None

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        top = self.rise * self.steps
        low, last = self.peak / self.start, self.peak / self.end
        up = self.peak + (low - self.peak) * _half_cosine(_progress(step, top))
        down = last + (self.peak - last) * _half_cosine(_progress(step - top, self.steps - top))
        return xp.where(step < top, up, down)


@dataclass(frozen=True)
class WarmRestarts(Schedule, kind="warm_restarts"):
    """Half a cosine from peak to final, again and again; each period is `growth` times as long as the one before.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5.

    >>> [round(float(WarmRestarts(1.0, period=4, growth=2.0)(t)), 3) for t in (0, 2, 4, 8, 12)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    peak: NonNegative
    final: NonNegative = 0.0
    period: Duration = "10 epochs"
    growth: Annotated[float, Field(ge=1)] = 1.0

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        done = step / self.period
        # After k periods 1 + g + ... + g^(k-1) = (g^k - 1)/(g - 1) first periods are over; for g = 1 that is k.
        even = self.growth == 1
        g = self.growth + even + xp.zeros_like(done)
        grown = xp.floor(xp.log(done * (g - 1) + 1) / xp.log(g) + 1e-6)
        k = xp.where(even, xp.floor(done), grown)
        start = xp.where(even, k, (g**grown - 1) / (g - 1))
        share = xp.clip((done - start) / self.growth**k, 0.0, 1.0)
        return self.final + (self.peak - self.final) * _half_cosine(share)


@dataclass(frozen=True)
class Joined(Schedule, kind="joined"):
    """Several schedules one after another; each counts its steps from its own start, boundaries[i] is the start of the
    next.

    Raises InputError unless there is one boundary fewer than there are schedules, and they increase.

    >>> [float(Joined((Constant(0.5), Constant(0.9)), (100,))(t)) for t in (99, 100)]
    [0.5, 0.9]
    """

    schedules: tuple[Schedule, ...]
    boundaries: tuple[Duration, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.boundaries) != len(self.schedules) - 1:
            raise InputError(
                "joined",
                f"expected one boundary between each two schedules, received {len(self.schedules)} schedules"
                f" and {len(self.boundaries)} boundaries",
            )
        numbers = [start for start in self.boundaries if not isinstance(start, str)]
        if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
            raise InputError("joined", f"expected boundaries that increase, received {self.boundaries}")

    def __call__(self, step: Array) -> Array:
        xp = namespace(step)
        value = self.schedules[0](step)
        for start, schedule in zip(self.boundaries, self.schedules[1:], strict=True):
            value = xp.where(step < start, value, schedule(xp.maximum(step - start, 0)))
        return value
