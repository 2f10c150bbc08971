"""The page of a watched training: the diagnosis, the curves, and what happened inside of the model."""

from __future__ import annotations

from ..doctor.diagnosis import Diagnosis
from ..pages.page import Page
from .facts import WatchedTraining


def watch_page(training: WatchedTraining, diagnosis: Diagnosis) -> Page:
    """The page of a watched training."""
    return diagnosis.page("Watched training")
