"""Probes: pure functions of a `Trace`, worked out beside the step, that can not disturb training."""

from .observations import Observations, Record
from .presets import Full, Light, Off, Probes, Standard
from .scores import LARGER_IS_BETTER, ClassScores, Residuals, ResidualScores, Right, Scores, confusion_matrix

__all__ = [
    "LARGER_IS_BETTER",
    "ClassScores",
    "Full",
    "Light",
    "Observations",
    "Off",
    "Probes",
    "Record",
    "ResidualScores",
    "Residuals",
    "Right",
    "Scores",
    "Standard",
    "confusion_matrix",
]
