"""Schedules: step -> value, for a learning rate, a momentum or any other rate. Step 0 is the first update.

Durations are numbers of steps, or texts: "10 epochs", "25 %" (of the training). A schedule without `steps` lasts until
the end of the training. `in_steps` converts both to numbers before training starts.

A rate that follows a measure of the training (`MetricSchedule`) has one value for each epoch.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import Annotated, TypeVar, cast

from pydantic import Discriminator, Field, PlainValidator, Tag

from ...core.arrays import Scalar, namespace
from ...core.errors import InputError
from ..part import NonNegative, Part, Positive, Rate, Schedule, at, number_or_other, options_of

_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(steps?|epochs?|%)?\s*")


def _duration_text(value: object) -> str:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match or not 0 < float(match[1]) < math.inf:
        raise ValueError("expected a number of steps, or a text such as '10 epochs' or '25 %'")
    return str(value)


_Text = Annotated[str, PlainValidator(_duration_text), Tag("other")]
Duration = Annotated[Annotated[Positive, Tag("number")] | _Text, Discriminator(number_or_other)]
"""A number of steps, or a text such as "10 epochs" or "25 %"; a number once `in_steps` has converted it."""
Warmup = Annotated[Annotated[NonNegative, Tag("number")] | _Text, Discriminator(number_or_other)]
"""A duration that may be 0."""


_PartT = TypeVar("_PartT", bound=Part)


def in_steps(part: _PartT, steps_per_epoch: int, total_steps: float, batch_size: int) -> _PartT:
    """The same optimizer or schedule with every duration as a number of steps.

    A missing duration becomes the whole training, and a missing batch size the one given.

    >>> in_steps(StepDecay(0.1, every="2 epochs"), steps_per_epoch=50, total_steps=500, batch_size=32).every
    100.0
    """
    if isinstance(part, Schedule) and not part.has_durations:
        return part
    if isinstance(part, Joined):
        return cast(_PartT, _joined_in_steps(part, steps_per_epoch, total_steps, batch_size))
    changed: dict[str, object] = {}
    if isinstance(part, LinearScaling) and part.batch_size is None:
        changed["batch_size"] = batch_size
    for field in options_of(type(part)):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            changed[field.name] = in_steps(value, steps_per_epoch, total_steps, batch_size)
        elif field.name not in changed and (value is None or isinstance(value, str)):
            changed[field.name] = _steps(value, steps_per_epoch, total_steps)
    return type(part)(**{field.name: getattr(part, field.name) for field in options_of(type(part))} | changed)


def _joined_in_steps(joined: Joined, steps_per_epoch: int, total_steps: float, batch_size: int) -> Joined:
    starts = (0.0, *(_steps(text, steps_per_epoch, total_steps) for text in joined.boundaries))
    # A training that ends before a boundary never reaches the schedules after it; any span of at least 1 does.
    spans = [max(end - start, 1.0) for start, end in zip(starts, (*starts[1:], total_steps), strict=True)]
    pieces = zip(joined.schedules, spans, strict=True)
    schedules = tuple(in_steps(piece, steps_per_epoch, span, batch_size) for piece, span in pieces)
    return Joined(schedules, starts[1:])


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


def _number(duration: float | str | None) -> float:
    """A duration in steps, once `in_steps` has converted it."""
    assert duration is not None and not isinstance(duration, str)
    return duration


def _progress(step: Scalar, steps: Scalar) -> Scalar:
    """step / steps, cut to [0, 1]."""
    xp = namespace(step)
    return xp.clip(step / steps, 0.0, 1.0)


def _half_cosine(progress: Scalar) -> Scalar:
    """From 1 to 0 along half a cosine."""
    return (1 + namespace(progress).cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Constant(Schedule, kind="constant"):
    """value, always.

    >>> Constant(0.1)(1000)
    0.1
    """

    value: NonNegative

    def __call__(self, step: Scalar) -> Scalar:
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

    def __call__(self, step: Scalar) -> Scalar:
        return self.initial * self.factor ** namespace(step).floor(step / _number(self.every))


@dataclass(frozen=True)
class ExponentialDecay(Schedule, kind="exponential"):
    """initial * factor^(t / every).

    >>> float(ExponentialDecay(1.0, factor=0.25, every=10)(5))
    0.5
    """

    initial: NonNegative
    factor: Positive = 0.9
    every: Duration = "1 epoch"

    def __call__(self, step: Scalar) -> Scalar:
        return self.initial * self.factor ** (step / _number(self.every))


@dataclass(frozen=True)
class InverseTime(Schedule, kind="inverse_time"):
    """a / (b + t), t in steps: the sum over t diverges, the sum of squares converges, as Robbins and Monro require.

    Keras' `decay` d at the rate r, r / (1 + d t), is a = r/d, b = 1/d.

    Source: Robbins and Monro 1951.

    >>> float(InverseTime(a=1.0, b=10.0)(10))
    0.05
    """

    a: NonNegative
    b: Positive

    def __call__(self, step: Scalar) -> Scalar:
        return self.a / (self.b + step)


@dataclass(frozen=True)
class InverseScaling(Schedule, kind="inverse_scaling"):
    """initial / (1 + m)^power, with m the training rows seen before this interval: `done` + `rows` for each before it.

    initial: the value for m = 0.
    rows: training rows in an interval.
    power: the exponent.
    every: length of an interval.
    done: rows seen before step 0.

    With the rows of an epoch it is scikit-learn's "invscaling", whose rate is constant during an epoch.

    >>> [round(float(InverseScaling(1.0, rows=8, every=4)(t)), 3) for t in (0, 3, 4, 8)]
    [1.0, 1.0, 0.333, 0.243]
    """

    initial: NonNegative
    rows: Positive
    power: NonNegative = 0.5
    every: Duration = "1 epoch"
    done: NonNegative = 0.0

    def __call__(self, step: Scalar) -> Scalar:
        seen = self.done + self.rows * namespace(step).floor(step / _number(self.every))
        return self.initial / (1 + seen) ** self.power


@dataclass(frozen=True)
class Polynomial(Schedule, kind="polynomial"):
    """final + (initial - final) (1 - t/steps)^power, and `final` after `steps`. Linear with power 1.

    >>> [float(Polynomial(1.0, steps=10)(t)) for t in (0, 5, 10, 99)]
    [1.0, 0.5, 0.0, 0.0]
    """

    initial: NonNegative
    final: NonNegative = 0.0
    power: Positive = 1.0
    steps: Duration | None = None

    def __call__(self, step: Scalar) -> Scalar:
        return self.final + (self.initial - self.final) * (1 - _progress(step, _number(self.steps))) ** self.power


@dataclass(frozen=True)
class Cosine(Schedule, kind="cosine"):
    """Linear from 0 to peak during `warmup`, then final + (peak - final) (1 + cos(pi p)) / 2, p from 0 to 1.

    p is the fraction of the remaining steps done. In warm-up the rate after t steps is peak (t+1) / (warmup+1), so that
    the first update is not 0.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.

    >>> [round(float(Cosine(1.0, steps=10)(t)), 3) for t in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """

    peak: NonNegative
    final: NonNegative = 0.0
    warmup: Warmup = 0.0
    steps: Duration | None = None

    def __call__(self, step: Scalar) -> Scalar:
        xp = namespace(step)
        span = xp.maximum(_number(self.steps) - _number(self.warmup), xp.ones_like(step))
        fall = self.final + (self.peak - self.final) * _half_cosine(_progress(step - _number(self.warmup), span))
        return fall * _progress(step + 1.0, _number(self.warmup) + 1.0)


@dataclass(frozen=True)
class LinearWarmup(Schedule, kind="linear_warmup"):
    """`then` times (t+1) / (steps+1) during the first `steps`, then `then`.

    Source: Goyal et al. 2017, section 2.2.

    >>> [float(LinearWarmup(then=1.0, steps=3)(t)) for t in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """

    then: Rate
    steps: Duration

    def __call__(self, step: Scalar) -> Scalar:
        return at(self.then, step) * _progress(step + 1.0, _number(self.steps) + 1.0)


@dataclass(frozen=True)
class CosineWarmup(Schedule, kind="cosine_warmup"):
    """`then` times (1 - cos(pi p)) / 2 with p = (t+1) / (steps+1) during the first `steps`, then `then`.

    >>> [round(float(CosineWarmup(then=1.0, steps=3)(t)), 3) for t in (0, 1, 3, 9)]
    [0.146, 0.5, 1.0, 1.0]
    """

    then: Rate
    steps: Duration

    def __call__(self, step: Scalar) -> Scalar:
        return at(self.then, step) * (1 - _half_cosine(_progress(step + 1.0, _number(self.steps) + 1.0)))


@dataclass(frozen=True)
class LinearScaling(Schedule, kind="linear_scaling"):
    """`then` times k = batch size / reference, reached linearly from 1: 1 + (k-1) min((t+1) / (warmup+1), 1).

    For a rate `then` that works well with batches of `reference` samples. Without `batch_size` it is the training's.

    Source: Goyal et al. 2017, sections 2.1 and 2.2.

    >>> [float(LinearScaling(0.1, warmup=3, batch_size=1024)(t)) for t in (0, 1, 3, 9)]
    [0.17500000000000002, 0.25, 0.4, 0.4]
    """

    then: Rate
    reference: Positive = 256
    warmup: Warmup = "5 epochs"
    batch_size: Positive | None = None

    def __call__(self, step: Scalar) -> Scalar:
        growth = _number(self.batch_size) / self.reference - 1
        return at(self.then, step) * (1 + growth * _progress(step + 1.0, _number(self.warmup) + 1.0))


@dataclass(frozen=True)
class Triangular(Schedule, kind="triangular"):
    """Linear from low to high and back, in cycles of `period`.

    Source: Smith 2017, Cyclical learning rates.

    >>> [float(Triangular(0.0, 1.0, period=4)(t)) for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    low: NonNegative
    high: NonNegative
    period: Duration

    def __call__(self, step: Scalar) -> Scalar:
        cycles = step / _number(self.period)
        phase = cycles - namespace(step).floor(cycles)
        return self.low + (self.high - self.low) * (1 - namespace(step).abs(1 - 2 * phase))


@dataclass(frozen=True)
class OneCycle(Schedule, kind="one_cycle"):
    """Half a cosine up from peak/start to peak during `rise` of the steps, then half a cosine down to peak/end.

    peak: the largest value.
    rise: fraction of the steps before the peak, in (0, 1).
    start: peak divided by the first value.
    end: peak divided by the last value.
    steps: the duration; None: the whole training.

    For a momentum that moves in the opposite direction, give the momentum a separate schedule.

    Source: Smith and Topin 2018, Super-convergence; the cosine form is fastai's and PyTorch's.

    >>> [round(float(OneCycle(1.0, steps=10)(t)), 4) for t in (0, 3, 10)]
    [0.04, 1.0, 0.0001]
    """

    peak: NonNegative
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Positive = 25.0
    end: Positive = 1e4
    steps: Duration | None = None

    def __call__(self, step: Scalar) -> Scalar:
        xp = namespace(step)
        steps = _number(self.steps)
        top = self.rise * steps
        low = self.peak / self.start
        last = self.peak / self.end
        up = self.peak + (low - self.peak) * _half_cosine(_progress(step, top))
        down = last + (self.peak - last) * _half_cosine(_progress(step - top, steps - top))
        return xp.where(step < top, up, down)


@dataclass(frozen=True)
class WarmRestarts(Schedule, kind="warm_restarts"):
    """Half a cosine from peak to final, repeated; each period is `growth` times as long as the one before.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5.

    >>> [round(float(WarmRestarts(1.0, period=4, growth=2.0)(t)), 3) for t in (0, 2, 4, 8, 12)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    peak: NonNegative
    final: NonNegative = 0.0
    period: Duration = "10 epochs"
    growth: Annotated[float, Field(ge=1)] = 1.0

    def __call__(self, step: Scalar) -> Scalar:
        xp = namespace(step)
        done = step / _number(self.period)
        # After k periods 1 + g + ... + g^(k-1) = (g^k - 1)/(g - 1) first periods are over; for g = 1 that is k.
        even = self.growth == 1
        g = self.growth + even + xp.zeros_like(done)
        grown = xp.floor(xp.log(done * (g - 1) + 1) / xp.log(g) + 1e-6)
        k = xp.where(even, xp.floor(done), grown)
        start = xp.where(even, k, (g**grown - 1) / (g - 1))
        phase = xp.clip((done - start) / self.growth**k, 0.0, 1.0)
        return self.final + (self.peak - self.final) * _half_cosine(phase)


@dataclass(frozen=True)
class Joined(Schedule, kind="joined"):
    """Several schedules one after another, each with step 0 at its start.

    schedules: the schedules, in order.
    boundaries: start of each schedule after the first, increasing. Raises InputError otherwise.

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
                f"expected a boundary between every two schedules, received {len(self.schedules)} schedules"
                f" and {len(self.boundaries)} boundaries",
            )
        numbers = [start for start in self.boundaries if not isinstance(start, str)]
        if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
            raise InputError("joined", f"expected boundaries that increase, received {self.boundaries}")

    def __call__(self, step: Scalar) -> Scalar:
        xp = namespace(step)
        value = self.schedules[0](step)
        for boundary, schedule in zip(self.boundaries, self.schedules[1:], strict=True):
            start = _number(boundary)
            value = xp.where(step < start, value, schedule(xp.maximum(step - start, 0)))
        return value
