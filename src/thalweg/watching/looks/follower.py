"""Follows a training by light listeners, and looks at the steps that are due."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..facts import Look, WatchedModel
from . import listeners
from .measure_step import FirstValues, StepMeasurement
from .recent_rows import Call, RecentRows, as_call
from .recorder import Guard, Recorder
from .replay import RandomState, Snapshot
from .schedule import next_look
from .structure import eager, rates_of
from .tensors import Taken, all_tensors, copied, fetched, outputs_and_targets

# Curvature is measured by a replay on a copy of models with no more parameters.
_MOST_PARAMETERS = 1_000_000
# Effective ranks are measured in each so manyth look.
_RANKS_EVERY = 6


class Follower:
    """Follows a training.

    Args:
        model: the model as the user calls it.
        optimizer: its optimizer.
        loss_fn: its loss; None where it is not known.
        watched: what is known of them.
        guard: wraps each hook.
        found: takes each look when it is complete.
        remark: takes what could not be seen, in words.

    Attributes:
        model: the eager module.
        steps: number of steps so far.
        rates: (step, rates of the groups) of each step before which a rate changed.
        rows: the latest rows.
        taken: what the loss takes of the outputs.
        evaluated_in_training: passes without gradients while the model is in training mode.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: Callable[..., Any] | None,
        watched: WatchedModel,
        guard: Guard,
        found: Callable[[Look], None],
        remark: Callable[[str], None],
    ) -> None:
        self.model = eager(model)
        self.steps = 0
        self.rates: tuple[tuple[int, tuple[float, ...]], ...] = ()
        self.rows = RecentRows()
        self.taken = Taken()
        self.evaluated_in_training = 0
        self._root = model
        self._optimizer = optimizer
        self._loss_fn = loss_fn
        self._watched = watched
        self._guard = guard
        self._found = found
        self._remark = remark
        self._busy = False
        self._due = 0
        self._looks = 0
        self._searched = False
        self._first_values = FirstValues()
        self._losses: list[Tensor | float] = []
        self._recorder: Recorder | None = None
        self._measurement: StepMeasurement | None = None
        self._pending: StepMeasurement | None = None
        methods = listeners.Methods(
            forward=guard(self._on_forward),
            loss=guard(self._on_loss),
            step_end=guard(self._on_step_end),
        )
        self._versions: tuple[int, ...] = ()
        self._seen_rates: list[float | None] = []
        self._step_begin: RemovableHandle | None = None
        self._forwards = 0
        self._call: Call | None = None
        self._targets: Tensor | None = None
        self._loss: Tensor | float = math.nan
        self._random: RandomState | None = None
        self._snapshot: Snapshot | None = None
        self._removals = listeners.attach(model, optimizer, loss_fn, methods)
        self._prepare_look()

    def _prepare_look(self) -> None:
        """Make ready for the next step, where it is looked at or completes a look."""
        due = self.steps == self._due
        self._random = None
        self._recorder = self._new_recorder() if due and not self._watched.compiled else None
        self._hear_step_begin(due or self._pending is not None)

    def _hear_step_begin(self, needed: bool) -> None:
        """Be told when the next step of the optimizer begins, where that is needed."""
        if needed and self._step_begin is None:
            self._step_begin = self._optimizer.register_step_pre_hook(self._guard(self._on_step_begin))
        elif not needed and self._step_begin is not None:
            self._step_begin.remove()
            self._step_begin = None

    def _new_recorder(self) -> Recorder:
        ranks = self._looks % _RANKS_EVERY == 0
        return Recorder(self.model, self._root, self._watched.loss, self._guard, ranks)

    # What the handle asks ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Inside, calls of the model are those of the watch, and not of the training."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def take_losses(self) -> list[float]:
        """The losses of the steps since they were taken last, by one synchronisation."""
        losses, self._losses = self._losses, []
        numbers: list[float] = fetched(losses)
        return numbers

    def finish_look(self) -> None:
        """Complete the look at the step that has ended, if there is one."""
        measurement, self._pending = self._pending, None
        if measurement is not None:
            self._looks += 1
            self.taken = measurement.recorder.taken or self.taken
            self._found(measurement.look())

    def remove_hooks(self) -> None:
        """Take off the hooks of a look; the listeners stay."""
        for recorder in (self._recorder, *(m.recorder for m in (self._measurement, self._pending) if m)):
            if recorder is not None:
                recorder.remove()

    def detach(self) -> None:
        """Take off everything."""
        self.remove_hooks()
        self._hear_step_begin(False)
        for remove in self._removals:
            remove()
        self._removals = []
        self._recorder = self._measurement = self._pending = self._snapshot = None
        self.rows.clear()

    # Events -----------------------------------------------------------------------------------------------------------

    def _on_forward(self, model: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        if self._busy:
            return
        if not torch.is_grad_enabled():
            self.evaluated_in_training += model.training
            return
        self._call = args, kwargs
        self._forwards += 1
        if self.steps == self._due:
            self._versions = _versions(args, kwargs)
        if self.steps == self._due and (self._watched.compiled or self.steps == 0):
            self._random = RandomState.now()
        if self._recorder is not None:
            self._recorder.begin_forward(args, kwargs)

    def _on_loss(
        self, module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object], output: object
    ) -> None:
        if self._busy or not isinstance(output, Tensor) or not output.requires_grad:
            return
        given = (*args, *kwargs.values()) if kwargs else args
        if (pair := outputs_and_targets(given)) is not None:
            self._targets = pair[1]
        if output.dim() == 0:
            if output.is_cpu and math.isfinite(number := output.item()):
                self._loss = number
            else:
                self._loss = _known(output)
                if self._lost_its_numbers(self._loss):
                    self._due = self.steps
                    self._hear_step_begin(True)
        if self._recorder is not None:
            self._recorder.add_loss(given, output)

    def _on_step_begin(
        self, optimizer: Optimizer, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]] | None:
        """Begin the step; where the optimizer calls a closure for it, when that has been called first."""
        closures = [*filter(callable, (*args, *kwargs.values()))]
        if not closures:
            self._begin_step()
            return None
        closure, calls = closures[0], 0

        def told() -> object:
            nonlocal calls
            value = closure()
            calls += 1
            if calls == 1:
                self._guard(self._begin_step)()
            return value

        def passed(value: object) -> object:
            return told if value is closure else value

        return tuple(map(passed, args)), {name: passed(value) for name, value in kwargs.items()}

    def _begin_step(self) -> None:
        if self._pending is not None:
            self._pending.at_next_step()
            self.finish_look()
        if self.steps == self._due:
            recorder = self._recorder or self._new_recorder()
            recorder.remove()
            self._measurement = StepMeasurement(
                self.steps, self.model, self._optimizer, recorder, self._forwards, self._first_values
            )
            self._measurement.before_step()
            self._recorder = None
            if not recorder.has_seen or self._measures_curvature():
                self._take_snapshot()

    def _on_step_end(self, *_: object) -> None:
        # Of most steps this is all. What it touches has left the caches since the step before, so it touches little.
        self._losses.append(self._loss)
        rates = [group.get("lr") for group in self._optimizer.param_groups]
        # The same numbers are the same rates; a tensor may have changed.
        if len(rates) != len(self._seen_rates) or not all(map(is_, rates, self._seen_rates)):
            self._take_rates(rates)
        if self._call is not None and self._targets is not None:
            self.rows.add(self._call, self._targets)
        self.steps += 1
        if self._step_begin is not None or self.steps == self._due:
            self._end_look()
        self._forwards, self._targets, self._loss = 0, None, math.nan

    def _end_look(self) -> None:
        """End the look at the step that has just ended, and make ready for the next one."""
        if self._measurement is not None:
            self._measurement.after_step()
            self._pending, self._measurement = self._measurement, None
            self._due = next_look(self._pending.step)
        if self._snapshot is not None and self._call is not None and self._targets is not None:
            self._replay(self._snapshot, *self._call, self._targets, self._loss)
            # Where the targets are not known yet, `on_told` has them.
            self._snapshot = None
        self._prepare_look()

    def _take_rates(self, given: list[float | None]) -> None:
        """Take note of the rates of this step, if they are not those of the step before."""
        self._seen_rates = given if all(isinstance(rate, float) for rate in given) else []
        rates = rates_of(self._optimizer)
        if not self.rates or self.rates[-1][1] != rates:
            self.rates = (*self.rates, (self.steps, rates))

    def on_told(self, x: object, y: object, loss: Tensor | None) -> None:
        """Take what the user tells of the step that has just ended; `loss` has a single number."""
        if loss is not None and self._losses:
            self._losses[-1] = known = _known(loss)
            if self._recorder is None and self._lost_its_numbers(known):
                self._due = self.steps
                self._prepare_look()
        if self._pending is not None and self._pending.step == self.steps - 1:
            self._pending.recorder.add_step(x, y, loss)
        if self._snapshot is not None:
            args, kwargs = self._call or as_call(x)
            self._replay(self._snapshot, args, kwargs, y, math.nan if loss is None else _known(loss))
            self._snapshot = None
        if not self._watched.loss.module:
            self.rows.add(as_call(x), y)

    # Replays ----------------------------------------------------------------------------------------------------------

    def _lost_its_numbers(self, loss: Tensor | float) -> bool:
        """Whether a loss that is known without waiting for a device is not finite for the first time."""
        if self._searched or isinstance(loss, Tensor) or math.isfinite(loss):
            return False
        self._searched = True
        return True

    def _measures_curvature(self) -> bool:
        """Whether the curvature is to be measured by a replay of this step."""
        return self.steps == 0 and sum(parameter.numel() for parameter in self.model.parameters()) <= _MOST_PARAMETERS

    def _take_snapshot(self) -> None:
        """Copy the model with the parameters that this step starts from, so that it can be repeated."""
        if self._loss_fn is None:
            return
        try:
            self._snapshot = Snapshot.of(self._root, self._loss_fn, self._random)
        except Exception as error:
            self._remark(f"No step was repeated: the model cannot be copied ({type(error).__name__}).")

    def _replay(
        self,
        snapshot: Snapshot,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        targets: object,
        loss: Tensor | float,
    ) -> None:
        """Repeat the step that has just ended, where hooks did not see it, or for what they cannot see."""
        measurement = self._pending
        if measurement is None or measurement.step != self.steps - 1:
            return
        if self._versions and self._versions != _versions(args, kwargs):
            self._remark("No step was repeated: the training writes into the inputs of the model.")
            return
        try:
            with self.busy():
                known = float(loss)
                if not measurement.recorder.has_seen:
                    measurement.take_replay(
                        snapshot.recorded(copied(args), copied(kwargs), targets, known, self._watched.loss, self._guard)
                    )
                if measurement.step == 0:
                    measurement.curvature = snapshot.curvature(copied(args), copied(kwargs), targets, known)
        except Exception as error:
            self._remark(f"Step {self.steps - 1} could not be repeated: {type(error).__name__}.")


def _known(loss: Tensor) -> Tensor | float:
    """A loss as a number, where that needs no waiting for a device; a measured NaN as infinity, like `fetched`."""
    if not loss.is_cpu:
        return loss.detach().reshape(())
    number = loss.item()
    return math.inf if math.isnan(number) else number


def _versions(args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[int, ...]:
    """How often each floating tensor among the inputs, or what it is a view of, was written to in place."""
    return tuple(x._version for x in all_tensors([*args, *kwargs.values()]) if not x.is_inference())
