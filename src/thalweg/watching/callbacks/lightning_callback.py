"""A callback for Lightning."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from .watching_callback import WatchingCallback


class LightningCallback(WatchingCallback, Callback):
    """Watches a training of Lightning: `Trainer(callbacks=[LightningCallback()])`.

    See `WatchingCallback` for the arguments; without `loss_fn` the loss is the module of torch.nn's losses that the
    LightningModule holds, if it holds one.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach the watch to the first optimizer."""
        losses = [module for module in pl_module.modules() if isinstance(module, nn.modules.loss._Loss)]
        self.begin(pl_module, trainer.optimizers[0], losses[0] if losses else None)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Tell the watch of the rows and the loss of a step."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if self.watch is not None and isinstance(batch, tuple | list) and len(batch) == 2:
            x, y = batch
            self.watch.step(x, y, loss)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the watch of the epoch."""
        if self.watch is not None:
            self.watch.epoch()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the watch off."""
        self.end()
