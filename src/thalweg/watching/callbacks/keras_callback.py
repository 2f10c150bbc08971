"""A callback for Keras 3 on its torch backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
from torch import Tensor
from torch.optim import Optimizer

from ...core.errors import InputError
from .watching_callback import WatchingCallback


class KerasCallback(WatchingCallback, keras.callbacks.Callback):
    """Watches a training of Keras 3: `model.fit(x, y, callbacks=[KerasCallback()])` on the torch backend.

    See `WatchingCallback` for `folder` and `quiet`; the loss is that of the model.

    Raises:
        InputError: for another backend; models written for TensorFlow or JAX run with KERAS_BACKEND=torch, and Dense
            stacks can be converted by `thalweg.from_keras`.
    """

    def __init__(self, *, folder: str | Path | None = None, quiet: bool = False) -> None:
        if keras.backend.backend() != "torch":
            fix = "set KERAS_BACKEND=torch before keras is imported, or convert the model with thalweg.from_keras"
            raise InputError("KerasCallback", f"expected the torch backend, received {keras.backend.backend()}; {fix}")
        super().__init__(folder=folder, quiet=quiet)

    def on_train_begin(self, logs: object = None) -> None:
        """Attach the watch. Keras tells callbacks of no rows and has optimizers of its own: both are wrapped."""
        model, optimizer = self.model, self.model.optimizer
        self._originals: tuple[Callable[..., object], Callable[..., object]] = model.compute_loss, optimizer.apply
        step = _WrappedOptimizer(list(model.parameters()), optimizer)
        watch = self.begin(model, step)
        compute_loss, _ = self._originals
        call: list[object] = [None, None, None]

        def remembered(*args: object, **kwargs: object) -> object:
            loss = compute_loss(*args, **kwargs)
            names = dict(zip(("x", "y"), args, strict=False)) | kwargs
            call[:] = names.get("x"), names.get("y"), loss
            return loss

        def apply(grads: Sequence[Tensor], variables: Sequence[object] | None = None) -> None:
            step.given = grads, variables
            step.step()
            watch.step(*call)

        model.compute_loss, optimizer.apply = remembered, apply

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Tell the watch of the epoch."""
        if self.watch is not None:
            self.watch.epoch()

    def on_train_end(self, logs: object = None) -> None:
        """Take the watch off, and give the model its own methods back."""
        self.model.compute_loss, self.model.optimizer.apply = self._originals
        self.end()


class _WrappedOptimizer(Optimizer):
    """An optimizer of Keras as one of PyTorch, whose step applies what Keras hands over."""

    def __init__(self, parameters: Sequence[Tensor], inner: keras.optimizers.Optimizer) -> None:
        self.apply = inner.apply
        self.inner = inner
        self.given: tuple[Sequence[Tensor], Sequence[object] | None] = ((), None)
        super().__init__(parameters, {"lr": float(inner.learning_rate)})

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Apply the gradients that Keras has given."""
        self.param_groups[0]["lr"] = float(self.inner.learning_rate)
        self.apply(*self.given)
