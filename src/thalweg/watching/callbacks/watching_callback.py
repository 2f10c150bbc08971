"""What the callbacks of all libraries have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from ...core.errors import InputError
from ...doctor.diagnosis import Diagnosis
from ..handle import Watch


class WatchingCallback:
    """Watches a training of another library.

    Args:
        loss_fn: the loss, where the library does not name it.
        folder: a new folder that keeps what is seen, as in `thalweg.watch`.
        quiet: whether severe findings are not told on stderr while the training runs.
    """

    def __init__(
        self, loss_fn: Callable[..., object] | None = None, *, folder: str | Path | None = None, quiet: bool = False
    ) -> None:
        super().__init__()
        self.loss_fn = loss_fn
        self.folder = folder
        self.quiet = quiet
        self.watch: Watch | None = None

    def begin(self, model: nn.Module, optimizer: Optimizer, loss_fn: Callable[..., object] | None = None) -> Watch:
        """Attach a watch; that of an earlier training is closed."""
        self.end()
        self.watch = Watch(model, optimizer, self.loss_fn or loss_fn, folder=self.folder, quiet=self.quiet)
        return self.watch

    def end(self) -> None:
        """Take the watch off the model; what it has seen stays."""
        if self.watch is not None:
            self.watch.close()

    def diagnose(self) -> Diagnosis:
        """Why the network did not learn, or the evidence that it is healthy. Raises InputError before a training."""
        if self.watch is None:
            raise InputError(type(self).__name__, "no training has begun: give it to the trainer as a callback first")
        return self.watch.diagnose()
