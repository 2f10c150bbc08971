"""The learning-rate range test: short trainings with a rising rate, and the rate that they suggest."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from ..core.errors import InputError, Problem
from ..core.progress import loading
from ..engine.engine import Engine
from ..engine.step import Plan, State, StepMetrics
from ..pages import figures
from ..pages.blocks import Block, Chart, CodeBlock, Facts, Heading, Text
from ..pages.numbers import number
from ..pages.page import Page, Paged
from ..parts.part import Schedule
from ..parts.schedules import ExponentialDecay
from ..parts.settings import Stopping
from ..spec.spec import CompleteSpec, Spec, data_name
from ..spec.toml import any_spec, to_toml
from ..training.batch_plan import Chunk
from ..training.callbacks import Callback
from ..training.fit import fit
from ..training.session import Session

_LEAST_STEPS = 60
# The loss is smoothed over a window of 1/20 of a sweep.
_WINDOWS = 20
# The chosen rate is where the loss has made this fraction of its fall.
_FRACTION = 0.9
# A fall counts if it is at least this fraction of the first loss, and this many standard deviations of the relative
# losses of single batches where the loss is lowest.
_LEAST_FALL = 0.05
_LEAST_DEVIATIONS = 3.0
# A window counts this part of a batch of average loss more: the loss of a few rows at the start may be 0.
_ADDED = 0.1
# A choice within these factors of the edges of the range is rejected, and so are sweeps that differ by more.
_NEAR_LOW = 3.0
_NEAR_HIGH = 10.0
_FAR_APART = 10.0
_LINE_SECONDS = 2.0
# The median of |x - y| for independent normal x and y, in standard deviations; and that of |x|.
_MEDIAN_DIFFERENCE = 0.954
_MEDIAN_DEVIATION = 0.6745

_RULE = (
    "It is the rate at which the smoothed mean loss of the sweeps has made nine tenths of its fall, and at most half "
    "of the rate at which it is lowest."
)


@dataclass(frozen=True, eq=False)
class RangeTest(Paged):
    """The result of a learning-rate range test.

    Attributes:
        spec: The completed spec.
        rates: Learning rates of a sweep (steps,).
        losses: For each sweep the loss of each batch before its update, up to where the sweep diverged.
        smoothed: The mean of the smoothed losses of all sweeps, up to where the first one diverged; each relative to
            the loss of the same batches with the initial weights.
        choices: The rate that each sweep alone suggests.
        chosen: The suggested rate with two digits; None if the sweeps do not determine one.
        reason: Why this rate, or why none and what to do.
        remarks: More to know about the rate, and how to use it.
        fell: Rate at which the loss has made a tenth of its fall.
        lowest: Rate at which the loss is lowest.
        blew_up: Rate at which half of the fall is lost again; None if nowhere in this range.
    """

    spec: CompleteSpec
    rates: np.ndarray
    losses: tuple[np.ndarray, ...]
    smoothed: np.ndarray
    choices: tuple[float, ...]
    chosen: float | None
    reason: str
    remarks: tuple[str, ...] = ()
    fell: float | None = None
    lowest: float | None = None
    blew_up: float | None = None

    @property
    def outcome(self) -> str:
        """The suggested rate in words."""
        if self.chosen is None:
            return "These sweeps do not determine a learning rate."
        return f"Suggested learning rate: {number(self.chosen)}."

    def figure(self) -> go.Figure:
        """The loss of each sweep and their smoothed mean over the rate."""
        return figures.rate_range(self.rates, self.losses, self.smoothed, self.chosen, self.blew_up)

    def page(self) -> Page:
        """The curve, the suggested rate and the spec as a page."""
        ends = f"{number(self.smoothed[0])} at a rate of {number(self.rates[0])}"
        lowest = f"{number(self.smoothed.min())} at {number(self.rates[self.smoothed.argmin()])}"
        blocks: list[Block] = [
            Chart(self.figure(), f"The smoothed mean loss is {ends}, and at its lowest {lowest}."),
            *map(Text, self.remarks),
            Heading("Overview"),
            Facts(self._facts()),
            Heading("Specification"),
            CodeBlock(to_toml(self.spec)),
        ]
        title = f"Learning-rate range test: {data_name(self.spec)}"
        return Page(title, tuple(blocks), f"{self.outcome} {self.reason}")

    def _facts(self) -> tuple[tuple[str, str], ...]:
        training = self.spec.training
        return (
            ("chosen", _rate(self.chosen)),
            ("by each sweep alone", ", ".join(map(_rate, self.choices)) or _rate(None)),
            ("loss starts to fall at", _rate(self.fell)),
            ("loss is lowest at", _rate(self.lowest)),
            ("half of the fall is lost at (shaded)", _rate(self.blew_up)),
            ("rates", f"{number(self.rates[0])} to {number(self.rates[-1])}"),
            ("sweeps", f"{len(self.losses)} of {len(self.rates)} steps"),
            ("optimizer", self.spec.optimizer.kind),
            ("batch size", str(training.batch_size)),
            ("seed", str(training.seed)),
        )

    def _card(self) -> Page:
        """What a notebook shows: the outcome, and the curve of the loss."""
        return Page(self.outcome, (Chart(self.figure()),), " ".join([self.reason, *self.remarks]))

    def _repr_html_(self) -> str:
        return self._card()._repr_html_()

    def _ipython_display_(self) -> None:
        self._card()._ipython_display_()


def range_test(
    spec: Spec | Mapping[str, object] | str,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    sweeps: int = 3,
    progress: bool = True,
) -> RangeTest:
    """Train several times from the start with a rate that rises from `low` to `high`, and suggest a rate.

    The rate of update t is low (high/low)^(t / (steps-1)); all other settings are those of the spec. Each sweep has its
    own weights and order of rows, and ends where its loss is far above the start or not finite. Each batch is compared
    with itself: its loss is divided by that with the initial weights, so that rows that are hard for any weights, as
    those with an extreme target, do not count as a rise. The relative losses are smoothed over a twentieth of the
    sweep. The suggested rate is where their mean has made nine tenths of its fall, and at most
    half of the rate where it is lowest. There is none if the fall is within the noise or at an edge of the range, or if
    the sweeps disagree.

    Args:
        spec: A `Spec`, its tables, or the name of a file, an example or a data source.
        low: First rate.
        high: Last rate, at least ten times `low`.
        steps: Updates in a sweep, at least 60.
        sweeps: Number of trainings.
        progress: Print the progress on stderr.

    Raises:
        InputError: The range, the number of steps or sweeps, or the spec is invalid.

    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3, for the sweep.

    >>> result = range_test("iris", progress=False)
    >>> 0.001 < result.chosen < result.lowest
    True
    """
    _check(low, high, steps, sweeps)
    session = Session.load(any_spec(spec), loading(quiet=not progress))
    rates = np.geomspace(low, high, steps)
    on_step = _printer(sweeps, steps) if progress else lambda sweep, step: None
    measured = [_sweep(session, sweep, rates, on_step) for sweep in range(sweeps)]
    return evaluate_sweeps(session.spec, rates, measured)


def _check(low: float, high: float, steps: int, sweeps: int) -> None:
    problems = []
    if not 0 < low < np.inf:
        problems.append(Problem("low", f"expected a number above 0, received {low}"))
    elif not 10 * low <= high < np.inf:
        problems.append(Problem("high", f"expected at least ten times low = {number(low)}, received {high}"))
    if steps < _LEAST_STEPS:
        problems.append(Problem("steps", f"expected at least {_LEAST_STEPS}, received {steps}"))
    if sweeps < 1:
        problems.append(Problem("sweeps", f"expected at least 1, received {sweeps}"))
    if problems:
        raise InputError("lr-range", problems)


def _printer(sweeps: int, steps: int) -> Callable[[int, int], None]:
    """Prints the progress at most every two seconds."""
    last = time.monotonic()

    def on_step(sweep: int, step: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            print(f"sweep {sweep + 1}/{sweeps}, step {step}/{steps}", file=sys.stderr, flush=True)

    return on_step


class Sweep(NamedTuple):
    """The losses of a sweep.

    losses: loss of each batch before its update, up to where the sweep diverged (n,).
    at_start: loss of the same batches with the initial weights (n,).
    """

    losses: np.ndarray
    at_start: np.ndarray


class _Losses(Callback):
    """Collects the loss of each step, and stops the training after the last rate."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.losses = np.array([])

    def next_step(self, step: int) -> float:
        return self.steps if step <= self.steps else math.inf

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        self.stop = "all rates were tried"

    def on_steps_end(self, step: int, metrics: StepMetrics) -> None:
        losses = metrics.sums.loss.astype(float) / metrics.sums.weight.astype(float)
        self.losses = np.append(self.losses, losses)


class _RangeCallback(_Losses):
    """Also stops the training where the sweep diverges."""

    def __init__(self, sweep: int, at_start: np.ndarray, steps: int, on_step: Callable[[int, int], None]) -> None:
        super().__init__(steps)
        self.sweep = sweep
        self.at_start = at_start
        self.on_step = on_step

    def on_steps_end(self, step: int, metrics: StepMetrics) -> None:
        super().on_steps_end(step, metrics)
        usable = _usable_steps(self.losses, self.at_start, self.steps)
        if usable < len(self.losses):
            self.losses = self.losses[:usable]
            self.stop = "the loss rises well above its start"
        self.on_step(self.sweep, len(self.losses))


def _sweep(session: Session, sweep: int, rates: np.ndarray, on_step: Callable[[int, int], None]) -> Sweep:
    """The losses of one sweep, up to where it diverges."""
    steps = len(rates)
    at_start = _losses(_Losses(steps), _rising(session, sweep, rates, 0.0))
    losses = _losses(_RangeCallback(sweep, at_start, steps, on_step), _rising(session, sweep, rates, rates[0]))
    count = min(len(losses), len(at_start))
    return Sweep(losses[:count], at_start[:count])


def _losses(callback: _Losses, session: Session) -> np.ndarray:
    """The losses that a callback collects from a training."""
    fitted = fit(session, [callback])
    if fitted.interrupted:
        raise KeyboardInterrupt
    losses = callback.losses
    finite = np.isfinite(losses)
    losses = losses if finite.all() else losses[: finite.argmin()]
    if not len(losses):
        raise InputError("lr-range", "the loss is not finite before the first update; check the scale of the data")
    return losses


def _rising(session: Session, sweep: int, rates: np.ndarray, initial: float) -> Session:
    """The session with a rate that rises as `rates` do, and with other weights and order of rows for each sweep."""
    steps = len(rates)
    rising = ExponentialDecay(initial, rates[-1] / rates[0], float(steps - 1))
    training = dataclasses.replace(
        session.spec.training,
        seed=session.spec.training.seed + sweep,
        epochs=-(-steps // session.batches.per_epoch),
        average=None,
    )
    optimizer = dataclasses.replace(session.spec.optimizer, learning_rate=rising)
    spec = dataclasses.replace(session.spec, optimizer=optimizer, training=training, stopping=Stopping())
    return Session(spec, dataclasses.replace(session.split, validation=None))


def _usable_steps(losses: np.ndarray, at_start: np.ndarray, steps: int) -> int:
    """The number of losses before the first that is not finite, or that ends a window well above the same batches at
    the start."""
    count = min(len(losses), len(at_start))
    finite = np.isfinite(losses[:count])
    count = count if finite.all() else int(finite.argmin())
    width = steps // _WINDOWS
    if count <= width:
        return count
    level = _level(at_start)
    window = np.ones(width)
    now, before = (np.convolve(values[:count], window, "valid") + _ADDED * level for values in (losses, at_start))
    risen = now / before > 1.5 + 4 * _noise(at_start) / level
    return int(risen.argmax()) + width if risen.any() else count


def _level(at_start: np.ndarray) -> float:
    """The mean loss of a batch with the initial weights; 1 if it is 0."""
    return float(at_start.mean()) or 1.0


def _noise(at_start: np.ndarray) -> float:
    """The standard deviation of a batch's loss with the initial weights, without regard to a few extreme ones."""
    return float(np.median(np.abs(np.diff(at_start)))) / _MEDIAN_DIFFERENCE if len(at_start) > 1 else 0.0


def _smoothed(sweep: Sweep, steps: int) -> np.ndarray:
    """The loss relative to that of the same batches at the start, over a centered window, cut off at the ends."""
    window = np.ones(steps // _WINDOWS | 1)
    level = _level(sweep.at_start)
    now, before = (_centered(values, window) + _ADDED * level for values in sweep)
    return level * now / before


def _centered(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    half = len(window) // 2
    return np.convolve(values, window)[half : half + len(values)]


class LossByRate(NamedTuple):
    """A smoothed loss (n,) at the first n of the rates of a sweep (steps,)."""

    rates: np.ndarray
    loss: np.ndarray

    @property
    def lowest(self) -> int:
        """The index of the lowest loss."""
        return int(self.loss.argmin())

    @property
    def fall(self) -> float:
        """The first loss minus the lowest one."""
        return float(self.loss[0] - self.loss[self.lowest])

    def fallen(self, fraction: float) -> float:
        """The rate at which the loss has first made that fraction of its fall."""
        return float(self.rates[np.argmax(self.loss <= self.loss[0] - fraction * self.fall)])

    @property
    def choice(self) -> float:
        """The suggested rate, with two digits."""
        return float(f"{min(self.fallen(_FRACTION), self.rates[self.lowest] / 2):.2g}")

    @property
    def blew_up(self) -> float | None:
        """The rate at which half of the fall is lost again, or the sweep ends early."""
        lost = self.loss[self.lowest :] > self.loss[0] - self.fall / 2
        if lost.any():
            return float(self.rates[self.lowest + lost.argmax()])
        return float(self.rates[len(self.loss) - 1]) if len(self.loss) < len(self.rates) else None

    @property
    def still_falls(self) -> bool:
        """Whether the loss is lowest at the end of the range."""
        return self.lowest >= len(self.rates) - len(self.rates) // _WINDOWS


def evaluate_sweeps(spec: CompleteSpec, rates: np.ndarray, sweeps: Sequence[Sweep]) -> RangeTest:
    """The suggested rate for the losses of sweeps.

    Args:
        spec: The completed spec.
        rates: Rates of a sweep (steps,).
        sweeps: The finite losses of each sweep at the first of the rates; at least one sweep.
    """
    steps = len(rates)
    count = min(len(sweep.losses) for sweep in sweeps)
    curves = [LossByRate(rates, _smoothed(sweep, steps)) for sweep in sweeps]
    mean = LossByRate(rates, np.mean([curve.loss[:count] for curve in curves], axis=0))
    noise = _noise_around(sweeps, mean.lowest, steps) * mean.loss[0]
    flat = _why_flat(mean, noise)
    choices = () if flat else tuple(curve.choice for curve in curves)
    fault = flat or _fault(mean, choices)
    first = number(mean.loss[0], 3)
    lowest = number(mean.loss[mean.lowest], 3)
    return RangeTest(
        spec=spec,
        rates=rates,
        losses=tuple(sweep.losses for sweep in sweeps),
        smoothed=mean.loss,
        choices=choices,
        chosen=None if fault else mean.choice,
        reason=fault or f"{_RULE} The loss falls from {first} to {lowest}.",
        remarks=() if fault else _remarks(spec, mean, choices),
        fell=None if flat else mean.fallen(1 - _FRACTION),
        lowest=None if flat else float(rates[mean.lowest]),
        blew_up=None if flat and count == steps else mean.blew_up,
    )


def _noise_around(sweeps: Sequence[Sweep], step: int, steps: int) -> float:
    """The standard deviation of a batch's loss relative to its start in the windows around a step.

    It is measured where it matters, and from the median, so that a few extreme batches do not hide a fall.
    """
    width = steps // _WINDOWS
    around = slice(max(0, step - width), step + width + 1)
    ratios = [
        (sweep.losses[around] + _ADDED * _level(sweep.at_start))
        / (sweep.at_start[around] + _ADDED * _level(sweep.at_start))
        for sweep in sweeps
    ]
    deviations = np.concatenate([np.abs(ratio - np.median(ratio)) for ratio in ratios])
    return float(np.median(deviations)) / _MEDIAN_DEVIATION


def _why_flat(mean: LossByRate, noise: float) -> str:
    """Why the fall of the loss does not count, and what to do; empty if it does."""
    low = number(mean.rates[0])
    high = number(mean.rates[-1])
    first = mean.loss[0]
    if len(mean.loss) <= len(mean.rates) // _WINDOWS:
        return f"The loss rises or is not finite from the first steps on; use a smaller low than {low}."
    if mean.fall > max(_LEAST_DEVIATIONS * noise, _LEAST_FALL * first):
        return ""
    words = f"The loss is flat: it falls by {number(mean.fall, 2)} from {number(first, 3)}, "
    words += f"and there the losses of single batches differ by {number(noise, 2)}."
    if len(mean.loss) < len(mean.rates):
        words += f" It rises at {_rate(mean.blew_up)};"
        return f"{words} take more steps, a larger batch, or use a smaller low than {low}."
    return (
        f"{words} Use a larger high than {high}, more steps, or a larger batch; "
        "otherwise this network cannot learn anything from these data."
    )


def _fault(mean: LossByRate, choices: Sequence[float]) -> str:
    """Why the fall does not determine a rate, and what to do; empty if it does."""
    low = mean.rates[0]
    high = mean.rates[-1]
    if mean.still_falls and mean.choice > high / _NEAR_HIGH:
        return f"The loss still falls at the upper edge of the range; use a larger high than {number(high)}."
    if mean.choice < _NEAR_LOW * low:
        return f"The loss already falls at the lower edge of the range; use a smaller low than {number(low)}."
    if max(choices) > _FAR_APART * min(choices):
        between = f"alone they suggest rates from {_rate(min(choices))} to {_rate(max(choices))}"
        return f"The sweeps disagree: {between}. Take more steps, more sweeps, or a larger batch."
    return ""


def _remarks(spec: CompleteSpec, mean: LossByRate, choices: Sequence[float]) -> tuple[str, ...]:
    """What else to know about the chosen rate, and how to use it."""
    remarks = []
    if len(choices) > 1:
        remarks.append(f"Each sweep alone suggests a rate from {_rate(min(choices))} to {_rate(max(choices))}.")
    if mean.still_falls:
        remarks.append(f"The loss is lowest at the upper edge of the range, {number(mean.rates[-1])}.")
    rate = spec.optimizer.learning_rate
    option = f"--set optimizer.learning_rate={mean.choice:g}"
    if isinstance(rate, Schedule):
        remarks.append(
            f"The sweeps replaced the schedule {rate.kind}: use {mean.choice:g} as its largest value, or as a constant "
            f"rate with {option}"
        )
    else:
        remarks.append(f"To train with it: {option}")
    return tuple(remarks)


def _rate(rate: float | None) -> str:
    return number(rate, digits=2)
