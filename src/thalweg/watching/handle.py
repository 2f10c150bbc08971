"""`thalweg.watch`: the handle of a watched training."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import sys
import traceback
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.errors import InputError
from ..core.files import commit
from ..core.printable import printable, received
from ..doctor.diagnosis import Diagnosis
from ..doctor.findings import Finding
from ..doctor.render import finding_in_words
from ..pages.page import Page
from .card import NotebookCard, card_page
from .checks import severe_at_once
from .facts import Look, SetScores, WatchedEpoch, WatchedTraining
from .folder import WatchFolder
from .looks.evaluation import differs_in_training, in_mode, set_scores
from .looks.follower import Follower
from .looks.listeners import Listener, Switch
from .looks.measure_step import first_nonfinite
from .looks.recent_rows import Rows, as_arrays, is_rows
from .looks.row_mixing import dependence
from .looks.schedule import next_look
from .looks.structure import described, eager
from .looks.tensors import Fields
from .measurements.measure_watch import measurements_of_watch
from .measurements.watch_measurements import latest
from .reference import reference_scores
from .report import watch_diagnosis, watch_page
from .writers import Writer

T = TypeVar("T")

_LIVE_STEP = 3
# A score that no reference needs to judge.
_NEAR = 0.95
# Passes in which chance averages out: its deviation is a quarter then.
_PASSES = 16

_WATCHED: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_OPEN: weakref.WeakSet[Watch] = weakref.WeakSet()


def _leave() -> None:
    """A process that was forked from this one trains on its own."""
    for each in _OPEN:
        each._switch.off = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)


class Watch:
    """Watches a training that you write yourself, and says why it does not learn.

    Weights, buffers, random states and gradients are the same with it and without it, to the bit. It looks at the first
    six steps, then at ever rarer ones.

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

    >>> import torch
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
        self.training = WatchedTraining(described(model, optimizer, loss_fn))
        self._folder = WatchFolder(Path(folder), self.training.model) if folder is not None else None
        self._writers = tuple(writers)
        self._switch = Switch(self._fail)
        self._closed = False
        self._validation: Rows | None = None
        self._referred = -1
        self._epoch_start = 0
        self._epoch_due = 0
        self._severe: list[Finding] = []
        self._card = NotebookCard()
        self._follower = Follower(
            model, optimizer, loss_fn, self.training.model, self._guarded, self._add_look, self._remark
        )
        _WATCHED.add(self._follower.model)
        _OPEN.add(self)

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
        self._guarded(self._take_step)(x, y, loss)

    def epoch(self, validation: tuple[object, Tensor] | None = None) -> None:
        """Tell that an epoch has ended.

        Args:
            validation: inputs and targets of other rows, in the form of `step`. At most 1024 of them are evaluated.

        Raises:
            InputError: the watch is closed.
        """
        self._check_open()
        self._guarded(self._take_epoch)(validation)

    def diagnose(self) -> Diagnosis:
        """The diagnosis of the training so far."""
        self._guarded(self._finish)()
        self._guarded(self._try_reference)()
        self._guarded(self._replace_a_row)()
        return watch_diagnosis(self.training)

    def page(self) -> Page:
        """The diagnosis with the charts of the training, as a page."""
        return watch_page(self.training, self.diagnose())

    def report(self, file: str | Path) -> Path:
        """Write the page as an HTML document that needs no network. Returns its path.

        Raises InputError where the file cannot be written.
        """
        path = Path(file)
        commit(path, self.page().html().encode())
        return path

    def close(self) -> None:
        """Take off all hooks. What was seen stays, and can be diagnosed."""
        if self._closed:
            return
        self._guarded(self._finish)()
        self._closed = self._switch.off = True
        self._follower.detach()
        _WATCHED.discard(self._follower.model)
        _OPEN.discard(self)
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

    def _guarded(self, function: Callable[..., T]) -> Listener[T]:
        """The function without effect once the watch is off; an error inside of it switches the watch off."""
        return Listener(function, self._switch)

    def _fail(self, error: Exception) -> None:
        self._switch.off = True
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        words = f"{type(error).__name__}: {error} ({place})"
        self._change(faults=(*self.training.faults, words))
        self._tell(f"the watch has switched itself off; the training goes on. {words}")
        self._follower.remove_hooks()

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

    def _say_once(self, text: str) -> None:
        if text not in self.training.remarks:
            self._remark(text)
            self._tell(text)

    # What is seen -----------------------------------------------------------------------------------------------------

    def _take_step(self, x: object, y: object, loss: object) -> None:
        single = isinstance(loss, Tensor) and loss.numel() == 1
        if loss is not None and not single:
            self._say_once(f"watch.step: loss: expected a tensor with one number, received {_in_words(loss)}")
        self._follower.on_told(x, y, loss if isinstance(loss, Tensor) and single else None)

    def _take_losses(self) -> list[float]:
        losses = self._follower.take_losses()
        self._change(losses=(*self.training.losses, *losses), steps=self._follower.steps, rates=self._follower.rates)
        return losses

    def _add_look(self, look: Look) -> None:
        losses = self._take_losses()
        known = self.training.nonfinite
        nonfinite = known or first_nonfinite(look)
        self._change(looks=(*self.training.looks, look), nonfinite=nonfinite)
        if self._folder is not None:
            self._folder.add_look(look, losses, self.training)
        for writer in self._writers:
            writer.add_look(look)
        if len(self.training.looks) == _LIVE_STEP or nonfinite is not known:
            self._report_severe()
        self._card.show(self.training, self._severe)

    def _finish(self) -> None:
        """Take in all that was seen so far."""
        self._follower.finish_look()
        self._take_losses()
        last = latest(self.training)
        if self._follower.rows.last is not None and (last is None or last.step < self.training.steps):
            self._change(final=self._evaluated(self._validation))

    def _try_reference(self) -> None:
        """Learn the latest rows, and the validation rows, by another learner, unless the model is near perfect."""
        last = latest(self.training)
        rows = self._follower.rows.joined()
        near = last is not None and last.training is not None and last.training.score > _NEAR
        if rows is None or near or self._referred == self.training.steps:
            return
        training, validation = as_arrays(rows), self._validation and as_arrays(self._validation)
        if training is not None:
            task = measurements_of_watch(self.training).task
            self._change(reference=reference_scores(training, validation, task))
            self._referred = self.training.steps

    def _replace_a_row(self) -> None:
        """Find whether the outputs of a row depend on other rows, or on chance."""
        rows = self._follower.rows.last
        if rows is None or not isinstance(rows[0], Tensor) or self.training.mixing is not None:
            return
        try:
            with self._follower.busy():
                self._change(**dependence(self._follower.model, rows[0].detach())._asdict())
                if self.training.chance:
                    self._change(averaged=self._averaged())
        except Exception as error:
            self._remark(f"No row was replaced: {type(error).__name__}.")

    def _report_severe(self) -> None:
        told = {finding.code for finding in self._severe}
        for finding in severe_at_once(measurements_of_watch(self.training)):
            if finding.code not in told:
                told.add(finding.code)
                self._severe.append(finding)
                self._tell(finding_in_words(finding))

    # Epochs -----------------------------------------------------------------------------------------------------------

    def _take_epoch(self, validation: Rows | None) -> None:
        if validation is not None and not is_rows(validation):
            self._say_once(f"watch.epoch: validation: expected (inputs, targets), received {_in_words(validation)}")
            validation = None
        self._follower.finish_look()
        losses = self._take_losses()
        is_due = len(self.training.epochs) == self._epoch_due
        if is_due:
            self._epoch_due = next_look(self._epoch_due)
        epoch = self._evaluated(validation) if is_due else self._plain_epoch()
        self._epoch_start = self.training.steps
        self._validation = validation or self._validation
        self._follower.evaluated_in_training = 0
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
            step=self.training.steps,
            steps=self.training.steps - self._epoch_start,
            loss=math.fsum(seen) / len(seen) if seen else math.nan,
            root_training=self.model.training,
            evaluated_in_training=self._follower.evaluated_in_training,
        )

    def _evaluated(self, validation: Rows | None) -> WatchedEpoch:
        """The epoch with the scores of the latest batches and of the validation rows."""
        evaluating = self.training.looks[-1].evaluating if self.training.looks else ()
        model, rows = self._follower.model, self._follower.rows.joined()
        found: Fields = {}
        with self._follower.busy():
            if rows is not None:
                with in_mode(model, False):
                    found["training"] = found["training_as_trained"] = self._scores(rows)
                if differs_in_training(model):
                    with in_mode(model, True, evaluating):
                        found["training_as_trained"] = self._scores(rows)
            if validation is not None:
                found |= self._validated(model, validation)
        return dataclasses.replace(self._plain_epoch(), **found)

    def _validated(self, model: nn.Module, validation: Rows) -> Fields:
        """The scores of the validation rows; none where the model does not take them."""
        found: Fields = {}
        try:
            with in_mode(model, False):
                found["validation"] = self._scores(validation)
            if any(module.training for module in model.modules()):
                with in_mode(model, None):
                    found["validation_as_found"] = self._scores(validation)
        except Exception as error:
            self._say_once(f"watch.epoch: validation: it cannot be evaluated: {type(error).__name__}: {error}")
        return found

    def _scores(self, rows: Rows, passes: int = 1) -> SetScores:
        follower, loss = self._follower, self.training.model.loss
        return set_scores(follower.model, self.loss_fn, loss, *rows, follower.rows.chunk, follower.taken, passes)

    def _averaged(self) -> SetScores | None:
        """The latest batches by the mean outputs of several passes in evaluation mode."""
        rows, model = self._follower.rows.joined(), self._follower.model
        if rows is None:
            return None
        with in_mode(model, False):
            return self._scores(rows, _PASSES)


def _check(model: object, optimizer: object, loss_fn: object) -> None:
    """Raise InputError for arguments that cannot be watched."""
    if not isinstance(model, nn.Module):
        raise InputError("watch", f"model: expected a torch.nn.Module, received {received(model)}")
    if not isinstance(optimizer, Optimizer):
        raise InputError("watch", f"optimizer: expected a torch.optim.Optimizer, received {received(optimizer)}")
    if inspect.isclass(loss_fn):
        name = loss_fn.__name__
        raise InputError("watch", f"loss_fn: expected a module or a function, received the class {name}: use {name}()")
    if loss_fn is not None and not callable(loss_fn):
        raise InputError("watch", f"loss_fn: expected a module or a function, received {received(loss_fn)}")
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise InputError("watch", "model: its lazy modules have no parameters yet: call the model on a batch first")
    if next(model.parameters(), None) is None:
        raise InputError("watch", f"model: {type(model).__name__} has no parameters: there is nothing to train")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError("watch", "model: its parameters are on the meta device: use model.to_empty(device=...) first")
    if eager(model) in _WATCHED:
        raise InputError("watch", "model: it is watched already: close that watch first")


def _in_words(value: object) -> str:
    return f"one of shape {tuple(value.shape)}" if isinstance(value, Tensor) else received(value)


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

    Args:
        model: any `nn.Module`, compiled or wrapped by DistributedDataParallel too.
        optimizer: any optimizer of PyTorch.
        loss_fn: the loss; where it is a function, call `watch.step(x, y, loss)` after `optimizer.step()`.
        folder: a new folder that keeps what is seen, for `thalweg doctor FOLDER`.
        writers: further places for the numbers, such as `TensorBoardWriter`.
        quiet: whether severe findings are not shown while the training runs.

    >>> import torch
    >>> model = nn.Linear(2, 1)
    >>> handle = watch(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    >>> handle.close()
    """
    return Watch(model, optimizer, loss_fn, folder=folder, writers=writers, quiet=quiet)
