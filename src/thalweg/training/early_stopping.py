"""What the record of an epoch decides: whether training goes on, which weights are the best, what the rates become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ..core.errors import InputError, Problem, nearest
from ..parts.metric_schedules import MetricSchedule, compared, freeze, metric_schedules
from ..parts.metrics import LARGER_IS_BETTER
from ..parts.part import Optimizer
from ..parts.settings import Stopping


class EarlyStoppingState(NamedTuple):
    """What a training remembers from epoch to epoch besides its state: plain numbers.

    The best value of the measure (None: none yet) and its epoch, how long it has not improved, the seconds trained so
    far, and the memory of each rate that looks at a measure.
    """

    best: float | None = None
    best_epoch: int = 0
    waited: int = 0
    seconds: float = 0.0
    rates: tuple[Any, ...] = ()


class StopDecision(NamedTuple):
    """What an epoch decided: the new counters, whether it is the best so far, and why to stop, if so."""

    counters: EarlyStoppingState
    is_best: bool
    stop: str


@dataclass(frozen=True)
class EarlyStopping:
    """Looks at the record of each epoch; `measures` are the names that it will find there.

    Raises InputError for a measure that the records do not have.

    >>> judge = EarlyStopping(Stopping(patience=1), Optimizer.of("sgd"), ["loss"])
    >>> judge.on_epoch_end(EarlyStoppingState(best=0.5, best_epoch=1), {"epoch": 2, "loss": 0.6}).stop
    'loss has not improved for 1 epoch'
    """

    stopping: Stopping
    optimizer: Optimizer
    measures: Sequence[str]

    def __post_init__(self) -> None:
        self._resolved(self.stopping.measure, "stopping")
        for rate in self.rates:
            self._resolved(rate.measure, f"optimizer: {rate.kind}")

    @cached_property
    def rates(self) -> tuple[MetricSchedule, ...]:
        """The rates of the optimizer that look at a measure."""
        return metric_schedules(self.optimizer)

    @cached_property
    def measure(self) -> str:
        """What decides about stopping and the best epoch."""
        return self._resolved(self.stopping.measure, "stopping")

    @property
    def looks_at_training(self) -> bool:
        """Whether a measure over all training rows at the end of an epoch is asked for."""
        asked = [self.measure, *(self._resolved(rate.measure, "") for rate in self.rates)]
        return any(name.startswith("training_") for name in asked)

    @property
    def looks(self) -> bool:
        """Whether there is anything to decide after an epoch."""
        return bool(
            self.stopping.keeps_best or self.stopping.patience or self.stopping.target is not None or self.rates
        )

    def epochs_ahead(self, counters: EarlyStoppingState) -> float:
        """How many epochs may go by until the end of one decides something: as many as patience is left for.

        One where each epoch may be the best, reach the target or change a rate; infinite where nothing is looked at.
        """
        stopping = self.stopping
        if stopping.keeps_best or stopping.target is not None or self.rates:
            return 1
        return math.inf if stopping.patience is None else max(1, stopping.patience - counters.waited)

    def _resolved(self, measure: str | None, subject: str) -> str:
        if measure is None:
            return "validation_loss" if "validation_loss" in self.measures else "loss"
        if measure not in self.measures:
            hint = nearest(measure, self.measures)
            if measure.startswith("validation_") and "validation_loss" not in self.measures:
                hint = "there are no validation rows; set data.validation, or take " + ", ".join(self.measures)
            raise InputError(subject, [Problem("measure", f"there is no {measure!r}: {hint}")])
        return measure

    def start(self) -> EarlyStoppingState:
        """The counters before the first epoch."""
        return EarlyStoppingState(rates=tuple(rate.start() for rate in self.rates))

    def frozen(self, counters: EarlyStoppingState) -> Optimizer:
        """The optimizer with the present value of each rate that looks at a measure."""
        values = [rate.current(memory) for rate, memory in zip(self.rates, counters.rates, strict=True)]
        return freeze(self.optimizer, values)

    def on_epoch_end(self, counters: EarlyStoppingState, record: dict[str, float]) -> StopDecision:
        """What the record of an epoch decides."""
        value, stopping = _value(record, self.measure), self.stopping
        larger = _larger_is_better(self.measure)
        is_best, enough = compared(value, counters.best, stopping.threshold, stopping.tolerance, larger)
        memories = []
        for rate, memory in zip(self.rates, counters.rates, strict=True):
            name = self._resolved(rate.measure, "")
            memories.append(rate.observe(memory, _value(record, name), _larger_is_better(name)))
        counters = counters._replace(rates=tuple(memories), waited=0 if enough else counters.waited + 1)
        if is_best:
            counters = counters._replace(best=value, best_epoch=int(record["epoch"]))
        tired = stopping.patience is not None and counters.waited >= stopping.patience
        if tired and stopping.least_rate is not None and record["learning_rate"] > stopping.least_rate:
            tired, counters = False, counters._replace(waited=0)
        stop = ""
        if stopping.target is not None and (value >= stopping.target if larger else value <= stopping.target):
            stop = f"{self.measure} reached {value:.6g}, and {stopping.target:g} was asked for"
        elif tired and stopping.patience:
            stop = f"{self.measure} has not improved for {_epochs(stopping.patience)}"
        return StopDecision(counters, is_best, stop)


def objective(record: Mapping[str, float]) -> float:
    """What training minimises: the loss of an epoch plus its penalty.

    >>> objective({"loss": 0.5, "penalty": 0.25})
    0.75
    """
    return record["loss"] + record.get("penalty", 0.0)


def _value(record: Mapping[str, float], measure: str) -> float:
    return objective(record) if measure == "objective" else record[measure]


def _larger_is_better(measure: str) -> bool:
    return measure.removeprefix("validation_").removeprefix("training_") in LARGER_IS_BETTER


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count > 1)}"
