"""`thalweg.watch`: the handle of a watched training."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import sys
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.errors import InputError
from ..core.printable import printable, received
from ..doctor.diagnosis import Diagnosis
from ..doctor.examination import diagnose
from ..doctor.findings import Finding
from ..doctor.render import finding_in_words
from ..pages.page import Page
from .card import NotebookCard, card_page
from .checks import severe_at_once
from .facts import WatchedEpoch, WatchedTraining
from .folder import WatchFolder
from .looks import listeners
from .looks.evaluation import in_mode, set_scores
from .looks.measure_step import FirstValues, StepMeasurement, first_nonfinite
from .looks.recorder import Recorder
from .looks.replay import RandomState, Snapshot
from .looks.row_mixing import mixing_place
from .looks.schedule import next_look
from .looks.structure import as_float, described, eager
from .looks.tensors import Fields, any_tensor, exact, fetched
from .measure_watch import latest, measurements_of_watch
from .reference import reference_scores
from .report import watch_page
from .writers import Writer

# Curvature is measured by a replay on a copy of models with no more parameters.
_MOST_PARAMETERS = 1_000_000
# The latest batches that are kept for the score of a training, by reference.
_KEPT_ROWS = 512
_LIVE_STEP = 3
# Effective ranks are measured in each so manyth look.
_RANKS_EVERY = 3
# A score that no reference needs to judge.
_NEAR = 0.95

_WATCHED: weakref.WeakSet[nn.Module] = weakref.WeakSet()


class Watch:
    """Watches a training that you write yourself, and says why it does not learn.

    Weights, buffers, random states and gradients are the same with it and without it, to the bit. It looks at the first
    three steps, then at ever rarer ones.

    Args:
        model: any `nn.Module`, compiled or wrapped by DistributedDataParallel too.
        optimizer: any optimizer of PyTorch.
        loss_fn: the loss. Where it is a module, nothing needs to be added to the loop; where it is a function, call
            `watch.step(x, y, loss)` after `optimizer.step()`.
        folder: a new folder that keeps what is seen, as it is seen; `thalweg doctor FOLDER` examines it.
        writers: further places for the numbers, such as `TensorBoardWriter`.
        quiet: whether severe findings are not told on stderr while the training runs.

    Raises:
        InputError: for a model without parameters or on the meta device, something that is no model, optimizer or loss,
            or a model that is watched already.

    >>> x, y = torch.linspace(-1, 1, 32).reshape(-1, 1), torch.linspace(2, -2, 32).reshape(-1, 1)
    >>> model, loss_fn = nn.Linear(1, 1), nn.MSELoss()
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    >>> with Watch(model, optimizer, loss_fn) as watch:
    ...     for _ in range(60):
    ...         optimizer.zero_grad()
    ...         loss_fn(model(x), y).backward()
    ...         optimizer.step()
    >>> watch.training.steps, len(watch.training.looks)
    (60, 14)
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: Callable[..., Any] | None = None,
        *,
        folder: str | Path | None = None,
        writers: Sequence[Writer] = (),
        quiet: bool = False,
    ) -> None:
        _check(model, optimizer, loss_fn)
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn
        self.quiet = quiet
        self._eager = eager(model)
        self.training = WatchedTraining(described(model, optimizer, loss_fn))
        self._folder = WatchFolder(Path(folder), self.training.model) if folder is not None else None
        self._writers = tuple(writers)
        self._process = os.getpid()
        self._off = self._closed = self._busy = False
        self._steps = 0
        self._due = 0
        self._first_values = FirstValues()
        self._evaluated_in_training = 0
        self._forwards = 0
        self._searched = False
        self._recorder: Recorder | None = None
        self._measurement: StepMeasurement | None = None
        self._pending: StepMeasurement | None = None
        self._snapshot: Snapshot | None = None
        self._random: RandomState | None = None
        self._call: tuple[tuple[object, ...], Mapping[str, object]] | None = None
        self._targets: object = None
        self._loss: Tensor | None = None
        self._losses: list[Tensor | float] = []
        self._recent: list[tuple[object, Tensor]] = []
        self._validation: tuple[object, Tensor] | None = None
        self._referred = -1
        self._epoch_start = 0
        self._epoch_due = 0
        self._severe: list[Finding] = []
        self._card = NotebookCard()
        methods = listeners.Methods(
            forward=self._guarded(self._on_forward),
            loss=self._guarded(self._on_loss),
            step_begin=self._guarded(self._on_step_begin),
            step_end=self._guarded(self._on_step_end),
        )
        self._removals = listeners.attach(model, optimizer, loss_fn, methods)
        self._prepare()
        _WATCHED.add(self._eager)

    # The user's calls -------------------------------------------------------------------------------------------------

    def step(self, x: object, y: object, loss: object) -> None:
        """Tell of a step, after `optimizer.step()`: needed only where the loss is a function.

        Args:
            x: what the model got: a tensor, a tuple of arguments, or a dict of keywords.
            y: what the loss got as targets.
            loss: the tensor on which `backward()` was called.

        Raises:
            InputError: the watch is closed.
        """
        self._check_open()
        self._guarded(self._on_told)(x, y, loss)

    def epoch(self, validation: tuple[object, Tensor] | None = None) -> None:
        """Tell that an epoch has ended.

        Args:
            validation: inputs and targets of other rows, in the form of `step`. At most 1024 of them are evaluated.

        Raises:
            InputError: the watch is closed.
        """
        self._check_open()
        self._guarded(self._on_epoch)(validation)

    def diagnose(self) -> Diagnosis:
        """The diagnosis of the training so far."""
        self._guarded(self._finish)()
        self._guarded(self._try_reference)()
        self._guarded(self._replace_a_row)()
        return diagnose(measurements_of_watch(self.training))

    def page(self) -> Page:
        """The diagnosis with the charts of the training, as a page."""
        return watch_page(self.training, self.diagnose())

    def report(self, file: str | Path) -> Path:
        """Write the page as an HTML document that needs no network. Returns its path."""
        path = Path(file)
        path.write_text(self.page().html(), encoding="utf-8")
        return path

    def close(self) -> None:
        """Take off all hooks. What was seen stays, and can be diagnosed."""
        if self._closed:
            return
        self._guarded(self._finish)()
        self._closed = self._off = True
        self._detach()
        self._recent = []
        try:
            if self._folder is not None:
                self._folder.close(self.training)
            for writer in self._writers:
                writer.close()
        except Exception as error:
            self._fail(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        return card_page(self.training, self._severe).fragment()

    # Faults -----------------------------------------------------------------------------------------------------------

    def _guarded(self, function: Callable[..., None]) -> Callable[..., None]:
        """The function without effect once the watch is off; an error inside of it switches the watch off."""

        @functools.wraps(function)
        def guarded(*args: object) -> None:
            # A process that was forked from this one trains on its own.
            if self._off or os.getpid() != self._process:
                return
            try:
                function(*args)
            except Exception as error:
                self._fail(error)

        return guarded

    def _fail(self, error: Exception) -> None:
        self._off = True
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        words = f"{type(error).__name__}: {error} ({place})"
        self._change(faults=(*self.training.faults, words))
        self._tell(f"the watch has switched itself off at step {self._steps}; the training goes on. {words}")
        if self._recorder is not None:
            self._recorder.remove()

    def _detach(self) -> None:
        for recorder in (self._recorder, *(m.recorder for m in (self._measurement, self._pending) if m)):
            if recorder is not None:
                recorder.remove()
        for remove in self._removals:
            remove()
        self._removals = []
        self._recorder = self._measurement = self._pending = self._snapshot = None
        _WATCHED.discard(self._eager)

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("watch", "is closed; make a new one: thalweg.watch(model, optimizer, loss_fn)")

    def _tell(self, text: str) -> None:
        if not self.quiet:
            print(f"thalweg: {printable(text)}", file=sys.stderr)

    def _remark(self, text: str) -> None:
        if text not in self.training.remarks:
            self._change(remarks=(*self.training.remarks, text))

    def _change(self, **fields: Any) -> None:
        self.training = dataclasses.replace(self.training, **fields)

    # Events -----------------------------------------------------------------------------------------------------------

    @property
    def _replays(self) -> bool:
        return self.training.model.compiled

    def _prepare(self) -> None:
        """Make ready for the next step."""
        self._call = self._targets = self._loss = self._random = self._snapshot = None
        self._forwards = 0
        if self._steps == self._due and not self._replays:
            self._recorder = self._new_recorder()

    def _on_forward(self, model: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        if self._busy:
            return
        if not torch.is_grad_enabled():
            self._evaluated_in_training += model.training
            return
        self._call = args, kwargs
        self._forwards += 1
        if self._steps == self._due and (self._replays or self._steps == 0):
            self._random = RandomState.now()
        if self._recorder is not None:
            self._recorder.begin_forward(args, kwargs)

    def _on_loss(
        self, module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object], output: object
    ) -> None:
        if self._busy or not isinstance(output, Tensor) or not output.requires_grad:
            return
        given = (*args, *kwargs.values())
        if len(given) > 1:
            self._targets = given[1]
        if output.dim() == 0:
            self._loss = output.detach()
        if self._recorder is not None:
            self._recorder.add_loss(given, output)

    def _on_step_begin(self, *_: object) -> None:
        if self._pending is not None:
            self._pending.at_next_step()
            self._finish_pending()
        if self._steps == self._due or self._lost_its_numbers(self._loss):
            recorder = self._recorder or self._new_recorder()
            recorder.remove()
            self._measurement = StepMeasurement(
                self._steps, self._eager, self.optimizer, recorder, self._forwards, self._first_values
            )
            self._measurement.before_step()
            if not recorder.has_seen or self._is_measured_twice():
                self._take_snapshot()

    def _new_recorder(self) -> Recorder:
        ranks = len(self.training.looks) % _RANKS_EVERY == 0
        return Recorder(self._eager, self.model, self.training.model.loss, self._guarded, ranks)

    def _lost_its_numbers(self, loss: Tensor | None) -> bool:
        """Whether a loss, on a device where asking costs nothing, is not finite for the first time."""
        if self._searched or loss is None or loss.device.type != "cpu" or math.isfinite(float(loss)):
            return False
        self._searched = True
        return True

    def _is_measured_twice(self) -> bool:
        """Whether the curvature is to be measured by a replay of the first step."""
        return self._steps == 0 and sum(parameter.numel() for parameter in self._eager.parameters()) <= _MOST_PARAMETERS

    def _take_snapshot(self) -> None:
        """Copy the model with the parameters that this step starts from, so that it can be repeated."""
        try:
            if self.loss_fn is not None:
                self._snapshot = Snapshot.of(self.model, self.loss_fn, self._random)
        except Exception as error:
            self._remark(f"No step was repeated: the model cannot be copied ({type(error).__name__}).")

    def _on_step_end(self, *_: object) -> None:
        self._losses.append(self._loss if self._loss is not None else math.nan)
        self._note_rates()
        self._keep_rows()
        if self._measurement is not None:
            self._measurement.after_step()
            self._pending, self._measurement = self._measurement, None
            self._due = next_look(self._steps)
        self._recorder = None
        snapshot, call, targets, loss = self._snapshot, self._call, self._targets, self._loss
        self._steps += 1
        if snapshot is not None and call is not None and targets is not None:
            self._replay(snapshot, *call, targets, loss)
            snapshot = None
        self._prepare()
        # Where the targets are not known yet, `step` tells them.
        self._snapshot, self._call = snapshot, call

    def _on_told(self, x: object, y: object, loss: object) -> None:
        if isinstance(loss, Tensor) and loss.numel() == 1:
            if self._losses:
                self._losses[-1] = loss.detach().reshape(())
            if self._recorder is None and self._lost_its_numbers(loss.detach().reshape(())):
                self._due = self._steps
                self._prepare()
        elif loss is not None:
            self._say_once(f"watch.step: loss: expected a tensor with one number, received {_in_words(loss)}")
        if self._pending is not None and self._pending.step == self._steps - 1:
            self._pending.recorder.add_step(x, y, loss)
        if self._snapshot is not None:
            args, kwargs = self._call or _as_call(x)
            self._replay(self._snapshot, args, kwargs, y, loss if isinstance(loss, Tensor) else None)
            self._snapshot = None
        if isinstance(y, Tensor) and self.training.model.loss.module is False:
            self._remember_rows(x, y)

    def _say_once(self, text: str) -> None:
        if text not in self.training.remarks:
            self._remark(text)
            self._tell(text)

    def _note_rates(self) -> None:
        rates = tuple(as_float(group.get("lr", math.nan)) for group in self.optimizer.param_groups)
        known = self.training.rates
        if not known or known[-1][1] != rates:
            self._change(rates=(*known, (self._steps, rates)))

    def _keep_rows(self) -> None:
        if self._call is not None and isinstance(self._targets, Tensor):
            args, kwargs = self._call
            inputs: object = dict(kwargs) if kwargs and not args else args[0] if len(args) == 1 else args
            self._remember_rows(inputs, self._targets)

    def _remember_rows(self, inputs: object, targets: Tensor) -> None:
        if not targets.dim():
            return
        self._recent.append((inputs, targets))
        while sum(len(rows) for _, rows in self._recent[1:]) >= _KEPT_ROWS:
            del self._recent[0]

    # Looks ------------------------------------------------------------------------------------------------------------

    def _replay(
        self,
        snapshot: Snapshot,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        targets: object,
        loss: Tensor | None,
    ) -> None:
        """Repeat the step that has just ended, where hooks did not see it, or for what they cannot see."""
        self._busy = True
        try:
            measurement = self._pending
            if measurement is None or measurement.step != self._steps - 1:
                return
            if not measurement.recorder.has_seen:
                seen = snapshot.recorded(args, kwargs, targets, self.training.model.loss, self._guarded)
                measurement.take_replay(seen)
            if measurement.step == 0:
                known = math.nan if loss is None else float(loss.detach())
                measurement.curvature = snapshot.curvature(args, kwargs, targets, known)
        except Exception as error:
            self._remark(f"Step {self._steps - 1} could not be repeated: {type(error).__name__}.")
        finally:
            self._busy = False

    def _finish_pending(self) -> None:
        measurement, self._pending = self._pending, None
        if measurement is None:
            return
        look = measurement.look()
        losses = fetched(self._losses)
        self._losses = []
        known = self.training.nonfinite
        nonfinite = known or first_nonfinite(look)
        self._change(
            looks=(*self.training.looks, look),
            losses=(*self.training.losses, *losses),
            steps=self._steps,
            nonfinite=nonfinite,
        )
        if self._folder is not None:
            self._folder.add_look(look, losses, self.training)
        for writer in self._writers:
            writer.add_look(look)
        if len(self.training.looks) == _LIVE_STEP or nonfinite is not known:
            self._report_severe()
        self._card.show(self.training, self._severe)

    def _finish(self) -> None:
        """Take in all that was seen so far."""
        self._finish_pending()
        losses = fetched(self._losses)
        self._losses = []
        self._change(losses=(*self.training.losses, *losses), steps=self._steps)
        last = self.training.final or (self.training.epochs[-1] if self.training.epochs else None)
        if self._recent and (last is None or last.step < self._steps):
            self._change(final=self._evaluated(None))

    def _try_reference(self) -> None:
        """Learn the latest rows, and the validation rows, by another learner, unless the model is near perfect."""
        last = latest(self.training)
        rows = _joined(self._recent)
        near = last is not None and last.training is not None and last.training.score > _NEAR
        if rows is None or near or self._referred == self._steps:
            return
        training, validation = _as_arrays(rows), self._validation and _as_arrays(self._validation)
        if training is not None:
            task = measurements_of_watch(self.training).task
            self._change(reference=reference_scores(training, validation, task))
            self._referred = self._steps

    def _replace_a_row(self) -> None:
        """Find whether the outputs of a row depend on other rows."""
        x = self._recent[-1][0] if self._recent else None
        if not isinstance(x, Tensor) or self.training.mixing is not None:
            return
        self._busy = True
        try:
            self._change(mixing=mixing_place(self._eager, x.detach()))
        except Exception as error:
            self._remark(f"No row was replaced: {type(error).__name__}.")
        finally:
            self._busy = False

    def _report_severe(self) -> None:
        told = {finding.code for finding in self._severe}
        for finding in severe_at_once(measurements_of_watch(self.training)):
            if finding.code not in told:
                told.add(finding.code)
                self._severe.append(finding)
                self._tell(finding_in_words(finding))

    # Epochs -----------------------------------------------------------------------------------------------------------

    def _on_epoch(self, validation: tuple[object, Tensor] | None) -> None:
        if validation is not None and not _is_pair(validation):
            self._say_once(f"watch.epoch: validation: expected (inputs, targets), received {_in_words(validation)}")
            validation = None
        self._finish_pending()
        losses = fetched(self._losses)
        self._losses = []
        self._change(losses=(*self.training.losses, *losses), steps=self._steps)
        is_due = len(self.training.epochs) == self._epoch_due
        if is_due:
            self._epoch_due = next_look(self._epoch_due)
        epoch = self._evaluated(validation) if is_due else self._plain_epoch()
        self._epoch_start = self._steps
        self._validation = validation or self._validation
        self._evaluated_in_training = 0
        self._change(epochs=(*self.training.epochs, epoch))
        if self._folder is not None:
            self._folder.add_epoch(epoch, losses)
        for writer in self._writers:
            writer.add_epoch(epoch)
        self._report_severe()
        self._card.show(self.training, self._severe)

    def _plain_epoch(self) -> WatchedEpoch:
        seen = [loss for loss in self.training.losses[self._epoch_start :] if math.isfinite(loss)]
        return WatchedEpoch(
            epoch=len(self.training.epochs),
            step=self._steps,
            steps=self._steps - self._epoch_start,
            loss=math.fsum(seen) / len(seen) if seen else math.nan,
            root_training=self.model.training,
            evaluated_in_training=self._evaluated_in_training,
        )

    def _evaluated(self, validation: tuple[object, Tensor] | None) -> WatchedEpoch:
        """The epoch with the scores of the latest batches and of the validation rows."""
        evaluating = self.training.looks[-1].evaluating if self.training.looks else ()
        self._busy = True
        try:
            found: Fields = {}
            rows = _joined(self._recent)
            if rows is not None:
                with in_mode(self._eager, False):
                    found["training"] = self._scores(rows)
                with in_mode(self._eager, True, evaluating):
                    found["training_as_trained"] = self._scores(rows)
            if validation is not None:
                with in_mode(self._eager, False):
                    found["validation"] = self._scores(validation)
                if any(module.training for module in self._eager.modules()):
                    with in_mode(self._eager, None):
                        found["validation_as_found"] = self._scores(validation)
        finally:
            self._busy = False
        return dataclasses.replace(self._plain_epoch(), **found)

    def _scores(self, rows: tuple[object, Tensor]) -> Any:
        chunk = max((len(targets) for _, targets in self._recent), default=_KEPT_ROWS)
        inputs, targets = rows
        return set_scores(self._eager, self.loss_fn, self.training.model.loss, inputs, targets, max(chunk, _KEPT_ROWS))


def _check(model: object, optimizer: object, loss_fn: object) -> None:
    """Raise InputError for arguments that cannot be watched."""
    if not isinstance(model, nn.Module):
        raise InputError("watch", f"model: expected a torch.nn.Module, received {received(model)}")
    if not isinstance(optimizer, Optimizer):
        raise InputError("watch", f"optimizer: expected a torch.optim.Optimizer, received {received(optimizer)}")
    if loss_fn is not None and not callable(loss_fn):
        raise InputError("watch", f"loss_fn: expected a module or a function, received {received(loss_fn)}")
    if next(model.parameters(), None) is None:
        raise InputError("watch", f"model: {type(model).__name__} has no parameters: there is nothing to train")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError("watch", "model: its parameters are on the meta device: use model.to_empty(device=...) first")
    if eager(model) in _WATCHED:
        raise InputError("watch", "model: it is watched already: close that watch first")


def _as_arrays(rows: tuple[object, Tensor]) -> tuple[np.ndarray, np.ndarray] | None:
    """The first tensor of the inputs, and the targets, as arrays; None where they have other rows."""
    x = any_tensor([rows[0]])
    if x is None or not x.dim() or len(x) != len(rows[1]):
        return None
    return exact(x).cpu().numpy(), rows[1].detach().cpu().numpy()


def _in_words(value: object) -> str:
    return f"one of shape {tuple(value.shape)}" if isinstance(value, Tensor) else received(value)


def _as_call(x: object) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """Arguments and keywords of the model for what `step` was told as its inputs."""
    if isinstance(x, Mapping):
        return (), x
    return (tuple(x), {}) if isinstance(x, tuple | list) else ((x,), {})


def _is_pair(rows: object) -> bool:
    return isinstance(rows, tuple | list) and len(rows) == 2 and isinstance(rows[1], Tensor) and bool(rows[1].dim())


def _joined(batches: Sequence[tuple[object, Tensor]]) -> tuple[object, Tensor] | None:
    """Batches of equal form in one; the last of them where they have other forms; None without one."""
    if not batches:
        return None
    inputs = [inputs for inputs, _ in batches]
    targets = [targets for _, targets in batches]
    plain = [x for x in inputs if isinstance(x, Tensor)]
    same = len(plain) == len(batches) and len({x.shape[1:] for x in plain}) == 1
    by_row = all(len(x) == len(y) for x, y in zip(plain, targets, strict=False))
    if same and by_row and len({y.shape[1:] for y in targets}) == 1:
        return torch.cat(plain), torch.cat(targets)
    return batches[-1]


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[..., Any] | None = None,
    *,
    folder: str | Path | None = None,
    writers: Sequence[Writer] = (),
    quiet: bool = False,
) -> Watch:
    """Watch a PyTorch training; see `Watch` for the arguments.

    >>> model = nn.Linear(2, 1)
    >>> handle = watch(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    >>> handle.close()
    """
    return Watch(model, optimizer, loss_fn, folder=folder, writers=writers, quiet=quiet)
