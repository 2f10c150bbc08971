"""Fill the doctor's `Measurements` from a watched training."""

from __future__ import annotations

from ..doctor.measurements import Measurements
from .facts import WatchedModel, WatchedTraining


class WatchMeasurements(Measurements):
    """The measurements of a watched training: those of every training, and the facts that only a loop of the user's own
    has. Checks of such facts stand in `watching/checks/`, are registered by `watching.registry.watch_check`, and read
    `watched`.

    Args:
        watched: all that the watch has seen.
        sources: facts and quantities, as for `Measurements`.
    """

    def __init__(self, watched: WatchedTraining, **sources: object) -> None:
        super().__init__(**sources)
        self.watched = watched

    @property
    def model(self) -> WatchedModel:
        """Model, loss and optimizer when the watch attached."""
        return self.watched.model


def measurements_of_watch(training: WatchedTraining) -> WatchMeasurements:
    """The measurements of a watched training; all of them are computed on first use."""
    return WatchMeasurements(training)
