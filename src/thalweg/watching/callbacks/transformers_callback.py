"""A callback for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback

from .watching_callback import WatchingCallback


class TransformersCallback(WatchingCallback, TrainerCallback):
    """Watches a training of Hugging Face's Trainer: `Trainer(..., callbacks=[TransformersCallback()])`.

    See `WatchingCallback` for the arguments. The loss is the one that the model returns; targets are its `labels`.
    """

    def on_train_begin(
        self, args: object, state: object, control: object, *, model: nn.Module, optimizer: Optimizer, **kwargs: object
    ) -> None:
        """Attach the watch, and remember what each call of the model gets and returns."""
        # Accelerate wraps the optimizer that steps.
        self.begin(model, getattr(optimizer, "optimizer", optimizer))
        self._call: tuple[Mapping[str, object], object] = {}, None
        self._hook: RemovableHandle = model.register_forward_hook(self._remember, with_kwargs=True)

    def _remember(self, model: nn.Module, args: object, inputs: Mapping[str, object], outputs: object) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
        if model.training:
            self._call = inputs, loss

    def on_optimizer_step(self, args: object, state: object, control: object, **kwargs: object) -> None:
        """Tell the watch of the rows and the loss of a step."""
        inputs, loss = self._call
        if self.watch is not None and loss is not None:
            self.watch.step(dict(inputs), inputs.get("labels"), loss)

    def on_epoch_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        """Tell the watch of the epoch."""
        if self.watch is not None:
            self.watch.epoch()

    def on_train_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        """Take the watch off."""
        self._hook.remove()
        self.end()
