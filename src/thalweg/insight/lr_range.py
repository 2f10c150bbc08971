"""The learning-rate range test: short trainings with a rising rate, and the rate that they suggest."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import InputError, Problem
from ..core.progress import loading
from ..engine.engine import Engine
from ..engine.step import Plan, State, StepMetrics
from ..parts.part import Schedule
from ..parts.schedules import ExponentialDecay
from ..parts.settings import Stopping
from ..spec.spec import CompleteSpec, Spec, data_name
from ..spec.toml import read_spec, to_toml
from ..training.batch_plan import Chunk
from ..training.callbacks import Callback
from ..training.fit import fit
from ..training.session import Session

_LEAST_STEPS = 60
# The loss is smoothed over this part of a sweep.
_WINDOWS = 20
_SHARE = 0.9
# A fall counts if it is this many deviations of a batch's loss, and this share of the loss at the start.
_LEAST_DEVIATIONS, _LEAST_SHARE = 3.0, 0.05
# A choice this near to an edge of the range is none.
_NEAR_LOW, _NEAR_HIGH = 3.0, 10.0
_FAR_APART = 10.0
# So many steps run before anybody looks.
_STRETCH = 20
_LINE_SECONDS = 2.0

_RULE = (
    "It is where the smoothed loss, the mean of the sweeps, has made nine tenths of its fall, and at most half of the "
    "rate where it is lowest."
)


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test found.

    `rates` (steps,) are those of a sweep; `losses` holds for each sweep the losses of its batches, each before its
    update, up to where the sweep went to pieces; `smoothed` is their mean curve, as far as all of them go. `chosen` is
    the rate by the rule, to two digits, or None where the sweeps do not tell one; `reason` says why, and what to do.
    `choices` are those of the sweeps alone. The loss has made a tenth of its fall at `fell`, is lowest at `lowest`, and
    has lost half of its fall again at `blew_up` (None: nowhere in this range).
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
        """The rate that is suggested, in words."""
        if self.chosen is None:
            return "No learning rate can be told from these sweeps."
        return f"Suggested learning rate: {self.chosen:g}."

    def figure(self) -> Any:
        """The curve as a plotly figure: the loss of each sweep and their mean over the rate."""
        from ..pages import figures

        return figures.rate_range(self.rates, self.losses, self.smoothed, self.chosen, self.blew_up)

    def report(self) -> str:
        """The curve and what it says as one HTML page that needs no network."""
        from ..pages.markup import chart_page

        return chart_page(
            title=f"Learning-rate range test: {data_name(self.spec)}",
            outcome=f"{self.outcome} {self.reason}",
            figure=self.figure(),
            found=self._facts(),
            remarks=self.remarks,
            spec=to_toml(self.spec),
        )

    def _facts(self) -> tuple[tuple[str, str], ...]:
        training = self.spec.training
        return (
            ("chosen", _in_words(self.chosen)),
            ("by each sweep alone", ", ".join(map(_in_words, self.choices)) or "–"),
            ("the loss falls from", _in_words(self.fell)),
            ("lowest at", _in_words(self.lowest)),
            ("half of the fall lost at (shaded)", _in_words(self.blew_up)),
            ("rates", f"{self.rates[0]:g} to {self.rates[-1]:g}"),
            ("sweeps", f"{len(self.losses)} of {len(self.rates)} steps"),
            ("optimizer", self.spec.optimizer.kind),
            ("batch size", str(training.batch_size)),
            ("seed", str(training.seed)),
        )

    def _repr_html_(self) -> str:
        from ..runs.report import card

        return card(self.outcome, " ".join([self.reason, *self.remarks]), {})

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()), self.figure())


def range_test(
    spec: Spec | Mapping[str, Any] | str,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    sweeps: int = 3,
    progress: bool = True,
) -> RangeTest:
    """Train from the start with the rate rising from `low` to `high`, several times, and read off a rate.

    The rate of update t is low (high/low)^(t / (steps-1)). All else is the spec's: a `Spec`, its tables, or the name of
    a file, an example or a data source. Each sweep has a seed of its own for weights and order, and ends where its loss
    rises far above the start or is not finite. The losses are smoothed over a twentieth of the sweep. The rate chosen
    is where their mean has made nine tenths of its fall, and at most half of the rate where it is lowest; none where
    the fall is within the noise, at an edge of the range, or elsewhere in each sweep.

    Raises InputError for a range, numbers of steps or sweeps, or a spec of no use.

    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3, for the sweep.

    >>> found = range_test("iris", progress=False)
    >>> 0.001 < found.chosen < found.lowest
    True
    """
    _check(low, high, steps, sweeps)
    spec = read_spec(spec) if isinstance(spec, str) else Spec.of(spec)
    session = Session.load(spec, loading(quiet=not progress))
    rates = np.geomspace(low, high, steps)
    say = _said(sweeps, steps) if progress else lambda sweep, step: None
    losses = tuple(_sweep(session, sweep, rates, say) for sweep in range(sweeps))
    return read_off(session.spec, rates, losses)


def _check(low: float, high: float, steps: int, sweeps: int) -> None:
    problems = []
    if not 0 < low < np.inf:
        problems.append(Problem("low", f"expected a number above 0, received {low}"))
    elif not 10 * low <= high < np.inf:
        problems.append(Problem("high", f"expected at least ten times low = {low:g}, received {high}"))
    if steps < _LEAST_STEPS:
        problems.append(Problem("steps", f"expected at least {_LEAST_STEPS}, received {steps}"))
    if sweeps < 1:
        problems.append(Problem("sweeps", f"expected at least 1, received {sweeps}"))
    if problems:
        raise InputError("lr-range", problems)


def _said(sweeps: int, steps: int) -> Callable[[int, int], None]:
    last = time.monotonic()

    def say(sweep: int, step: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            print(f"sweep {sweep + 1}/{sweeps}, step {step}/{steps}", file=sys.stderr, flush=True)

    return say


class _RangeCallback(Callback):
    """Collects the loss of each step, and stops the training after the last rate or where the loss goes to pieces."""

    def __init__(self, sweep: int, steps: int, say: Callable[[int, int], None]) -> None:
        self.sweep = sweep
        self.steps = steps
        self.say = say
        self.losses = np.array([])

    def next_step(self, step: int) -> float:
        return self.steps if step <= self.steps else math.inf

    def on_step_begin(self, engine: Engine, plan: Plan, state: State, chunk: Chunk, index: int) -> None:
        self.stop = "all rates were tried"

    def on_steps_end(self, step: int, metrics: StepMetrics) -> None:
        losses = metrics.sums.loss.astype(float) / metrics.sums.weight.astype(float)
        self.losses = np.append(self.losses, losses)
        whole = _whole(self.losses, self.steps)
        if whole < len(self.losses):
            self.losses = self.losses[:whole]
            self.stop = "the loss rises well above its start"
        self.say(self.sweep, len(self.losses))


def _sweep(session: Session, sweep: int, rates: np.ndarray, say: Callable[[int, int], None]) -> np.ndarray:
    """The losses of one sweep, up to where it goes to pieces."""
    callback = _RangeCallback(sweep, len(rates), say)
    fitted = fit(_rising(session, sweep, rates), [callback])
    if fitted.interrupted:
        raise KeyboardInterrupt
    if not len(callback.losses):
        raise InputError("lr-range", "the loss is not finite before the first update; look at the data's scale")
    return callback.losses


def _rising(session: Session, sweep: int, rates: np.ndarray) -> Session:
    """The training of a session with a rate that rises, on other weights and another order for each sweep."""
    steps = len(rates)
    rising = ExponentialDecay(rates[0], rates[-1] / rates[0], float(steps - 1))
    training = dataclasses.replace(
        session.spec.training,
        seed=session.spec.training.seed + sweep,
        epochs=-(-steps // session.batches.per_epoch),
        average=None,
    )
    optimizer = dataclasses.replace(session.spec.optimizer, learning_rate=rising)
    spec = dataclasses.replace(session.spec, optimizer=optimizer, training=training, stopping=Stopping())
    return Session(spec, dataclasses.replace(session.split, validation=None))


def _whole(losses: np.ndarray, steps: int) -> int:
    """How many losses come before the first that is not finite, or the rise of their trailing mean to well above the
    start.
    """
    finite = np.isfinite(losses)
    count, width = len(losses) if finite.all() else int(finite.argmin()), steps // _WINDOWS
    if count <= width:
        return count
    trailing = np.convolve(losses[:count], np.full(width, 1 / width), "valid")
    risen = trailing > 1.5 * trailing[0] + 4 * _noise(losses[:count], steps)
    return int(risen.argmax()) + width if risen.any() else count


def _noise(losses: np.ndarray, steps: int) -> float:
    """The standard deviation of a batch's loss, while the weights hardly move.

    From the median of |difference of neighbours|, which for normal numbers is 0.954 deviations.
    """
    if len(losses) < 2:
        return 0.0
    return float(np.median(np.abs(np.diff(losses[: steps // 4])))) / 0.954


def _smoothed(losses: np.ndarray, steps: int) -> np.ndarray:
    """The mean over a centred window; at the ends over as much of it as there is."""
    window = np.ones(steps // _WINDOWS | 1)
    return _centred(losses, window) / _centred(np.ones_like(losses), window)


def _centred(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    half = len(window) // 2
    return np.convolve(values, window)[half : half + len(values)]


class Curve(NamedTuple):
    """A smoothed loss (n,) at the first n of the rates of a sweep (steps,)."""

    rates: np.ndarray
    loss: np.ndarray

    @property
    def lowest(self) -> int:
        """Where the loss is lowest."""
        return int(self.loss.argmin())

    @property
    def fall(self) -> float:
        """How far the loss falls from the start to its lowest point."""
        return float(self.loss[0] - self.loss[self.lowest])

    def fallen(self, share: float) -> float:
        """The rate at which the loss has first made that share of its fall."""
        return float(self.rates[np.argmax(self.loss <= self.loss[0] - share * self.fall)])

    @property
    def choice(self) -> float:
        """The rate by the rule, to two digits."""
        return float(f"{min(self.fallen(_SHARE), self.rates[self.lowest] / 2):.2g}")

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


def read_off(spec: CompleteSpec, rates: np.ndarray, losses: Sequence[np.ndarray]) -> RangeTest:
    """What the losses of the sweeps say: of each at least one, at most one for each of the rates (steps,), finite."""
    steps, count = len(rates), min(map(len, losses))
    curves = [Curve(rates, _smoothed(one, steps)) for one in losses]
    mean = Curve(rates, np.mean([curve.loss[:count] for curve in curves], axis=0))
    noise = float(np.median([_noise(one, steps) for one in losses]))
    flat = _why_flat(mean, noise)
    choices = () if flat else tuple(curve.choice for curve in curves)
    fault = flat or _fault(mean, choices)
    start, bottom = float(mean.loss[0]), float(mean.loss[mean.lowest])
    return RangeTest(
        spec=spec,
        rates=rates,
        losses=tuple(losses),
        smoothed=mean.loss,
        choices=choices,
        chosen=None if fault else mean.choice,
        reason=fault or f"{_RULE} It falls from {start:.3g} to {bottom:.3g}.",
        remarks=() if fault else _remarks(spec, mean, choices),
        fell=None if flat else mean.fallen(1 - _SHARE),
        lowest=None if flat else float(rates[mean.lowest]),
        blew_up=None if flat and count == steps else mean.blew_up,
    )


def _why_flat(mean: Curve, noise: float) -> str:
    """Why there is no fall to read a rate from, and what to do; "" where there is one."""
    low, high, start = mean.rates[0], mean.rates[-1], mean.loss[0]
    if len(mean.loss) <= len(mean.rates) // _WINDOWS:
        return f"The loss rises, or is not finite, from the first steps on: take a smaller low than {low:g}."
    if mean.fall > max(_LEAST_DEVIATIONS * noise, _LEAST_SHARE * start):
        return ""
    what = f"The loss is flat: it falls by {mean.fall:.2g} from {start:.3g}; single batches differ by {noise:.2g}."
    if len(mean.loss) < len(mean.rates):
        return f"{what} It rises at {mean.blew_up:.2g}: take more steps, a larger batch, or a smaller low than {low:g}."
    fix = f"take a larger high than {high:g}, more steps, or a larger batch"
    return f"{what} Either {fix}, or there is nothing that this network can learn."


def _fault(mean: Curve, choices: Sequence[float]) -> str:
    """Why the fall tells no rate, and what to do; "" where it does."""
    low, high = mean.rates[0], mean.rates[-1]
    if mean.still_falls and mean.choice > high / _NEAR_HIGH:
        return f"The loss still falls at the upper edge of the range: take a larger high than {high:g}."
    if mean.choice < _NEAR_LOW * low:
        return f"The loss falls at the lower edge of the range already: take a smaller low than {low:g}."
    if max(choices) > _FAR_APART * min(choices):
        apart = f"alone they would choose from {min(choices):g} to {max(choices):g}"
        return f"The sweeps disagree: {apart}. Take more steps, more sweeps, or a larger batch."
    return ""


def _remarks(spec: CompleteSpec, mean: Curve, choices: Sequence[float]) -> tuple[str, ...]:
    """What to know of the rate chosen, and how to use it."""
    found = []
    if len(choices) > 1:
        found.append(f"The sweeps alone would choose from {min(choices):g} to {max(choices):g}.")
    if mean.still_falls:
        found.append(f"The loss is lowest at the upper edge of the range, {mean.rates[-1]:g}.")
    rate = spec.optimizer.learning_rate
    use = f"--set optimizer.learning_rate={mean.choice:g}"
    if isinstance(rate, Schedule):
        found.append(
            f"The sweep took the place of the schedule {rate.kind}: write {mean.choice:g} as its largest value, or "
            f"take it as a constant rate: {use}"
        )
    else:
        found.append(f"To train with it: {use}")
    return tuple(found)


def _in_words(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.2g}"
