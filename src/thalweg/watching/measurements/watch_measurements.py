"""The measurements of a watched training, with the facts that only a loop of the user's own has."""

from __future__ import annotations

from ...doctor.findings import Severity
from ...doctor.measurements import LEARNED, Measurements
from ..facts import SetScores, WatchedEpoch, WatchedModel, WatchedTraining


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

    @property
    def enough(self) -> float:
        """Half of the gap: what is attainable is known from few rows, and no line was fitted on all of them."""
        return 1 / 2

    @property
    def only_line(self) -> bool:
        return False

    @property
    def below_line(self) -> bool:
        return False

    @property
    def falls_short(self) -> bool:
        return False

    @property
    def line_falls_short(self) -> bool:
        """Whether more is attainable than this network reached; asked of networks that are a line."""
        return self.learned is not None and not self.learns

    @property
    def jump(self) -> float:
        """NaN where chance takes part in every answer, also in evaluation mode: the loss then jumps at any step."""
        return float("nan") if self.watched.chance else super().jump

    def proven(self, may_be_meant: bool = False) -> Severity:
        """The severity of a step that does not do what the loss asks for: severe, unless the network came most of the
        way to a perfect score all the same.

        Args:
            may_be_meant: whether some trainings are written so on purpose. It is a note then for a network that has
                learned, and a warning where nobody means it.
        """
        learned = self.learned
        if learned is None or not learned.constant < 1:
            return "severe"
        if (learned.score - learned.constant) / (1 - learned.constant) < LEARNED:
            return "severe"
        return "note" if may_be_meant else "warning"

    @property
    def latest(self) -> WatchedEpoch | None:
        """The latest epoch of which the training rows were scored."""
        return latest(self.watched)

    @property
    def validation(self) -> SetScores | None:
        """The latest scores on validation rows."""
        return latest_validation(self.watched)


def latest(watched: WatchedTraining) -> WatchedEpoch | None:
    """The latest epoch of which the training rows were scored; None if there is none."""
    return next((epoch for epoch in reversed(_scored(watched)) if epoch.training is not None), None)


def latest_validation(watched: WatchedTraining) -> SetScores | None:
    """The latest scores on validation rows; None if there are none."""
    return next((epoch.validation for epoch in reversed(_scored(watched)) if epoch.validation is not None), None)


def _scored(watched: WatchedTraining) -> tuple[WatchedEpoch, ...]:
    return (*watched.epochs, *([watched.final] if watched.final else []))
