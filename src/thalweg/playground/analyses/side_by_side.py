"""A remedy tried side by side: A as it is, B with the remedy, from the same start, rows and order, for some seeds."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from ...core.errors import InputError
from ...core.files import Json, JsonObject
from ...core.intervals import difference
from ...data import RowSource, Split
from ...parts.settings import Off
from ...spec.complete import completed
from ...spec.edit import changed
from ...spec.spec import CompleteSpec
from ...training.callbacks import Callback, Progress, Record
from ...training.fit import fit
from ...training.session import Session
from .snapshot import LabSnapshot

_SECONDS = 30.0
_MOST_SEEDS = 20
_MOST_EPOCHS = 500
_POINTS = 200
_WORST = -1.0

Arm = Literal["A", "B"]
Changes = tuple[tuple[str, Json], ...]


def side_by_side(
    snapshot: LabSnapshot,
    rows: Split,
    changes: Changes,
    seeds: int,
    send: Callable[[JsonObject], None],
    stopped: threading.Event,
) -> None:
    """Train both arms, one seed after another, and send their curves and the difference of their scores.

    The score is the balanced accuracy or R² on the rows furthest from the training: the test rows where there are any.
    A training that diverges has the score -1, below all others. Each training has as many epochs as the lab had, at
    most 500, or those of the spec where these are more; it ends after 30 s at the latest.

    Args:
        snapshot: the training of the lab.
        rows: its rows.
        changes: the changes of arm B.
        seeds: the number of seeds; the first is that of the spec.
        send: sends the messages.
        stopped: set when nobody waits for them any more.

    Raises:
        InputError: the changes make no spec that suits the rows, or the number of seeds is out of range.
    """
    if not 1 <= seeds <= _MOST_SEEDS:
        raise InputError("try", f"expected 1 to {_MOST_SEEDS} seeds, received {seeds}")
    complete = snapshot.complete
    epochs = max(complete.training.epochs, min(round(snapshot.epochs), _MOST_EPOCHS))
    spec = dataclasses.replace(complete, training=dataclasses.replace(complete.training, epochs=epochs), probes=Off())
    trials = _Trials(spec, rows, send, stopped)
    scores: dict[Arm, list[float]] = {"A": [], "B": []}
    arms: tuple[tuple[Arm, Changes], ...] = (("A", ()), ("B", changes))
    for seed in range(spec.training.seed, spec.training.seed + seeds):
        for arm, own in arms:
            score, history = trials.trained(arm, seed, own)
            if stopped.is_set():
                return
            scores[arm].append(score)
            found = _difference_message(scores["B"], scores["A"]) if arm == "B" else None
            trials.send_curve(arm, seed, history, score=score, difference=found)


class _Trials(NamedTuple):
    """The trainings of both arms."""

    spec: CompleteSpec
    split: Split
    send: Callable[[JsonObject], None]
    stopped: threading.Event

    def trained(self, arm: Arm, seed: int, changes: Changes) -> tuple[float, Sequence[Record]]:
        """Train one arm with one seed: its score, and its record."""
        spec = changed(self.spec, (*changes, ("training.seed", seed)))
        same_rows = (spec.prepared_data, seed) == (self.spec.data, self.spec.training.seed)
        split = self.split if same_rows else spec.prepared_data.load(seed, precision=spec.training.number_type)
        session = Session(completed(spec, split.train), split)
        fitted = fit(session, [_ArmCallback(lambda history: self.send_curve(arm, seed, history), self.stopped)])
        measure = "r2" if split.train.task == "regression" else "balanced_accuracy"
        rows: RowSource = split.test or split.validation or split.train
        score = _WORST if fitted.fault else max(_WORST, float(session.evaluate(fitted.state, rows)[measure]))
        return score, fitted.history

    def send_curve(self, arm: Arm, seed: int, history: Sequence[Record], **ended: Json) -> None:
        """Send the curve of an arm, and what is known at its end."""
        every = max(1, -(-len(history) // _POINTS))
        score = "r2" if history and "r2" in history[0] else "accuracy"
        curve: list[Json] = [
            [record["epoch"], _finite(record["loss"]), _finite(record.get(score, math.nan))]
            for record in history[::every]
        ]
        self.send({"type": "trial", "arm": arm, "seed": seed, "curve": curve, "done": bool(ended), **ended})


def _difference_message(changed_scores: Sequence[float], scores: Sequence[float]) -> JsonObject:
    """B - A over the seeds so far: the mean and the ends of its interval, None where they are not known."""
    found = difference(changed_scores, scores)
    return {"mean": _finite(found.mean), "low": _finite(found.low), "high": _finite(found.high), "n": found.pairs}


class _ArmCallback(Callback):
    """Sends the curve of an arm while it trains, and stops it when its time is over or nobody waits for it."""

    def __init__(self, send: Callable[[Sequence[Record]], None], stopped: threading.Event) -> None:
        self.send = send
        self.stopped = stopped
        self.until = time.monotonic() + _SECONDS

    def on_progress(self, progress: Progress) -> None:
        self.send(progress.history)
        if self.stopped.is_set() or time.monotonic() > self.until:
            self.stop = "its time is over"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
