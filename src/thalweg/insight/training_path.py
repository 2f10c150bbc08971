"""The path of a training through the space of its parameters: the training is run again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.progress import Watch
from ..data import Split
from ..engine.step import State, inference_state
from ..pages.numbers import number
from ..parts.schedules.metric_schedules import metric_schedules
from ..runs.run import Run
from ..training.callbacks import ProgressMessages
from ..training.replay import replay, trace_step
from ..training.session import Session
from .directions import float_vector

_PATH_POINTS = 30
# A repeated training ends where the run ended, up to rounding: within this fraction of the distance from the start.
_SAME_END = 1e-3


class PathStates(NamedTuple):
    """States of a training, and how many updates were done before each (m,)."""

    steps: np.ndarray
    states: list[State]


def path_states(run: Run, split: Split, watch: Watch) -> PathStates:
    """About 30 states of the training of a run, from its start to the state of the run.

    Raises InputError if the training cannot be repeated.
    """
    if kinds := [rate.kind for rate in metric_schedules(run.spec.optimizer)]:
        raise InputError(
            "path",
            f"the learning rate depends on a measure ({kinds[0]}), so the training cannot be repeated; use a plane",
        )
    last = int(run.state.step)
    if last == 0:
        raise InputError("path", "the state of this run is the one before the first step: there is no path to show")
    # A training moves fastest at its start. The state before the last step is included, to check the end.
    steps = np.unique((np.linspace(0, 1, _PATH_POINTS) ** 2 * (last - 1)).round().astype(int))
    session = Session(run.spec, split)
    points = replay(session, steps.tolist(), [ProgressMessages(watch, "repeating the training")]).states
    states = [point.state for point in points]
    end, _ = trace_step(session.plan, points[-1])
    _check_end(run, states[0], end)
    return PathStates(np.append(steps, last), [*states, run.state])


def _check_end(run: Run, start: State, end: State) -> None:
    first, last, expected = (float_vector(inference_state(state).params) for state in (start, end, run.state))
    error = np.linalg.norm(last - expected)
    length = np.linalg.norm(expected - first)
    if not error <= _SAME_END * length:
        raise InputError(
            "path",
            f"the repeated training ends {number(error, 3)} away from the end of the run, "
            f"{number(length, 3)} from the start: its"
            " spec or its data have changed, or this machine rounds differently; use a plane",
        )
