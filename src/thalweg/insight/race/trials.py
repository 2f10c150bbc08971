"""The trials of an optimizer race: starts, variants of optimizers, and the result of each trial."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.intervals import wilson
from ...core.noise import generator
from ...engine.engine import Engine
from ...parts.part import Optimizer, options_of
from ..optimizer_paths import Descent, follow_paths
from ..test_functions import Landscape

RATES = (1e-5, 10.0)
"""The range of learning rates for tuning, sampled evenly on a logarithmic scale."""
FORGETTING = (0.001, 0.5)
"""The range of 1 - momentum, 1 - rho and 1 - beta, sampled in the same way."""
MEMORY_OPTIONS = ("momentum", "rho", "beta_1", "beta_2")
"""Options of optimizers that weight the past."""
_MOST_DRAWS = 100


def arrivals(heights: np.ndarray, distance: float) -> np.ndarray:
    """For each path the step from which on it stays at most `distance` above the minimum (n,); infinity for never.

    `heights` (steps + 1, n) are heights above the minimum, the starts first. NaN counts as high.

    >>> arrivals(np.array([[4.0, 4.0], [0.5, 0.5], [2.0, 0.4], [0.1, np.nan]]), 1.0).tolist()
    [3.0, inf]
    """
    steps = len(heights) - 1
    above = ~(heights <= distance)
    last_above = np.where(above.any(axis=0), steps - np.argmax(above[::-1], axis=0), -1)
    return np.where(last_above == steps, np.inf, last_above + 1.0)


@dataclass(frozen=True, eq=False)
class RaceResult:
    """The paths of an optimizer from n starts.

    Attributes:
        optimizer: the optimizer with its hyper-parameters.
        steps: steps until it arrives for good (n,); infinity if it does not.
        final_heights: heights above the minimum after the last step (n,); infinity if it diverged.
        path: points from the first start (max_steps + 1, 2).
        max_steps: the number of steps of each path.
    """

    optimizer: Optimizer
    steps: np.ndarray
    final_heights: np.ndarray
    path: np.ndarray
    max_steps: int

    @property
    def arrived(self) -> int:
        """The number of starts from which it arrives."""
        return int(np.isfinite(self.steps).sum())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (Wilson) of the fraction of all possible starts from which it arrives."""
        return wilson(self.arrived, len(self.steps))

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Quartiles of the steps until arrival; infinity counts as the largest."""
        low, middle, high = np.quantile(self.steps, (0.25, 0.5, 0.75), method="inverted_cdf")
        return float(low), float(middle), float(high)

    @property
    def cost(self) -> tuple[float, float]:
        """What tuning minimises: the mean steps, 2 max_steps for never; if equal, the median final height."""
        counted = np.where(np.isfinite(self.steps), self.steps, 2.0 * self.max_steps)
        return float(counted.mean()), float(np.quantile(self.final_heights, 0.5, method="inverted_cdf"))


@dataclass(frozen=True)
class RaceTrack:
    """What all trials have in common.

    Attributes:
        engine: computes the paths.
        landscape: the function to minimise.
        deviation: standard deviation of the noise on both slopes; None for no noise.
        steps: steps of each path.
    """

    engine: Engine
    landscape: Landscape
    deviation: float | None
    steps: int

    @functools.cached_property
    def lowest(self) -> float:
        """The height of the minimum."""
        return float(self.landscape.value(*np.array(self.landscape.minima[0])))

    def run(self, optimizer: Optimizer, starts: np.ndarray, key: np.ndarray, distance: float) -> RaceResult:
        """The paths of an optimizer from all starts (n, 2), with arrival within `distance` of the minimum."""
        descent = Descent(self.landscape, optimizer, self.deviation)
        paths = follow_paths(descent, self.engine, starts, key, self.steps)
        with np.errstate(all="ignore"):
            heights = paths.height - self.lowest
        return RaceResult(
            optimizer=optimizer,
            steps=arrivals(heights, distance),
            final_heights=np.where(heights[-1] < np.inf, heights[-1], np.inf),
            path=np.stack([paths.x[:, 0], paths.y[:, 0]], axis=1),
            max_steps=self.steps,
        )


def draw_starts(landscape: Landscape, count: int, seed: int, purpose: str) -> np.ndarray:
    """Points (count, 2), uniform within the bounds, where the height is finite; each purpose has different ones.

    Raises InputError if hardly any point has a finite height.

    >>> draw_starts(Landscape.of("saddle"), 3, seed=0, purpose="race").shape
    (3, 2)
    """
    low, high = np.array(landscape.bounds).T
    starts = np.empty((0, 2))
    for draw in range(_MOST_DRAWS):
        points = generator(seed, "arena", purpose, "starts", draw).uniform(low, high, (count, 2))
        with np.errstate(all="ignore"):
            starts = np.concatenate([starts, points[np.isfinite(landscape.value(*points.T))]])
        if len(starts) >= count:
            return starts[:count]
    raise InputError("formula", "expected finite heights within the bounds; hardly any point has one")


def variant(optimizer: Optimizer, seed: int, trial: int) -> Optimizer:
    """The optimizer with the hyper-parameters of a trial, which are the same for all optimizers that have them.

    >>> from thalweg.parts.optimizers import SGD, Adam
    >>> variant(SGD(), 0, 3).learning_rate == variant(Adam(), 0, 3).learning_rate
    True
    """
    names = [field.name for field in options_of(type(optimizer))]
    drawn = {"learning_rate": _log_uniform(RATES, seed, trial, "learning_rate")}
    drawn |= {name: 1 - _log_uniform(FORGETTING, seed, trial, name) for name in MEMORY_OPTIONS if name in names}
    return Optimizer.of({**optimizer.describe(), **drawn})


def _log_uniform(bounds: tuple[float, float], seed: int, trial: int, name: str) -> float:
    low, high = map(math.log, bounds)
    return math.exp(generator(seed, "arena", "trial", trial, name).uniform(low, high))


def noise_key_for(seed: int, purpose: str) -> np.ndarray:
    """The key (2,) of the noise for tuning ("practice") or for the race ("race")."""
    return generator(seed, "arena", purpose, "noise").integers(2**32, size=2, dtype=np.uint32)
