"""A callback for skorch."""

from __future__ import annotations

from skorch import NeuralNet
from skorch.callbacks import Callback

from .watching_callback import WatchingCallback


class SkorchCallback(WatchingCallback, Callback):
    """Watches a training of skorch: `NeuralNetClassifier(..., callbacks=[SkorchCallback()])`.

    See `WatchingCallback` for the arguments; the loss is the criterion of the net.
    """

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Attach the watch."""
        self.begin(net.module_, net.optimizer_, net.criterion_)

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Tell the watch of the epoch."""
        if self.watch is not None:
            self.watch.epoch()

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Take the watch off."""
        self.end()
