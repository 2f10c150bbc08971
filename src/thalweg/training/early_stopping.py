"""Decisions after each epoch: whether training continues, which weights are the best, what the rates become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..core.errors import InputError, Problem, nearest
from ..parts.metrics import larger_is_better
from ..parts.part import Optimizer
from ..parts.schedules.metric_schedules import MetricSchedule, MetricScheduleState, compared, freeze, metric_schedules
from ..parts.settings import Stopping


class EarlyStoppingState(NamedTuple):
    """The memory of a training between epochs beside its state: plain numbers."""

    best: float | None = None
    """The best value of the measure; None before the first epoch."""
    best_epoch: int = 0
    """The epoch of the best value."""
    waited: int = 0
    """Epochs without an improvement."""
    seconds: float = 0.0
    """Time trained so far."""
    rates: tuple[MetricScheduleState, ...] = ()
    """The memory of each rate that follows a measure."""


class StopDecision(NamedTuple):
    """The decision after an epoch."""

    state: EarlyStoppingState
    """The new memory."""
    is_best: bool
    """Whether the epoch is the best so far."""
    stop: str
    """Why training stops, or ""."""


@dataclass(frozen=True)
class EarlyStopping:
    """Decides after each epoch from its record. Pure: memory in, memory out.

    Attributes:
        stopping: when to stop.
        optimizer: its rates may follow a measure.
        measures: the names in a record.

    Raises:
        InputError: a measure that the records do not have is asked for.

    >>> decide = EarlyStopping(Stopping(patience=1), Optimizer.of("sgd"), ["loss"])
    >>> decide.on_epoch_end(EarlyStoppingState(best=0.5, best_epoch=1), {"epoch": 2, "loss": 0.6}).stop
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
        """The rates of the optimizer that follow a measure."""
        return metric_schedules(self.optimizer)

    @cached_property
    def measure(self) -> str:
        """The measure that decides about stopping and the best epoch."""
        return self._resolved(self.stopping.measure, "stopping")

    @property
    def looks_at_training(self) -> bool:
        """Whether a measure over all training rows at the end of an epoch is asked for."""
        asked = [self.measure, *(self._resolved(rate.measure, "") for rate in self.rates)]
        return any(name.startswith("training_") for name in asked)

    @property
    def looks(self) -> bool:
        """Whether anything is decided after an epoch."""
        stopping = self.stopping
        return bool(stopping.keeps_best or stopping.patience or stopping.target is not None or self.rates)

    def epochs_ahead(self, state: EarlyStoppingState) -> float:
        """Number of epochs until the end of one can decide something.

        1 where each epoch may be the best, reach the target or change a rate; otherwise the patience that is left;
        infinite where nothing is decided.
        """
        stopping = self.stopping
        if stopping.keeps_best or stopping.target is not None or self.rates:
            return 1
        return math.inf if stopping.patience is None else max(1, stopping.patience - state.waited)

    def _resolved(self, measure: str | None, subject: str) -> str:
        if measure is None:
            return "validation_loss" if "validation_loss" in self.measures else "loss"
        if measure not in self.measures:
            hint = nearest(measure, self.measures)
            if measure.startswith("validation_") and "validation_loss" not in self.measures:
                hint = "there are no validation rows; set data.validation, or take " + ", ".join(self.measures)
            raise InputError(subject, [Problem("measure", f"unknown measure {measure!r}: {hint}")])
        return measure

    def start(self) -> EarlyStoppingState:
        """The memory before the first epoch."""
        return EarlyStoppingState(rates=tuple(rate.start() for rate in self.rates))

    def frozen(self, state: EarlyStoppingState) -> Optimizer:
        """The optimizer with the current value of each rate that follows a measure."""
        values = [rate.current(memory) for rate, memory in zip(self.rates, state.rates, strict=True)]
        return freeze(self.optimizer, values)

    def on_epoch_end(self, state: EarlyStoppingState, record: dict[str, float]) -> StopDecision:
        """The decision after an epoch with that record."""
        stopping = self.stopping
        value = _value(record, self.measure)
        larger = larger_is_better(self.measure)
        is_best, enough = compared(value, state.best, stopping.threshold, stopping.tolerance, larger)
        rates = []
        for rate, memory in zip(self.rates, state.rates, strict=True):
            name = self._resolved(rate.measure, "")
            rates.append(rate.observe(memory, _value(record, name), larger_is_better(name)))
        state = state._replace(rates=tuple(rates), waited=0 if enough else state.waited + 1)
        if is_best:
            state = state._replace(best=value, best_epoch=int(record["epoch"]))
        exhausted = stopping.patience is not None and state.waited >= stopping.patience
        if exhausted and stopping.least_rate is not None and record["learning_rate"] > stopping.least_rate:
            exhausted = False
            state = state._replace(waited=0)
        stop = ""
        if stopping.target is not None and (value >= stopping.target if larger else value <= stopping.target):
            stop = f"{self.measure} reached {value:.6g} (target {stopping.target:g})"
        elif exhausted and stopping.patience:
            stop = f"{self.measure} has not improved for {stopping.patience} epoch{'s' * (stopping.patience > 1)}"
        return StopDecision(state, is_best, stop)


def objective(record: Mapping[str, float]) -> float:
    """What training minimises: the loss of an epoch plus its penalty.

    >>> objective({"loss": 0.5, "penalty": 0.25})
    0.75
    """
    return record["loss"] + record.get("penalty", 0.0)


def _value(record: Mapping[str, float], measure: str) -> float:
    return objective(record) if measure == "objective" else record[measure]
