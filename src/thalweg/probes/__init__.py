"""Probes: measurements of single steps of a training, which cannot change it."""

from ..parts.metrics import (
    LARGER_IS_BETTER,
    ClassificationMetric,
    Metric,
    RegressionMetric,
    Residuals,
    Right,
    confusion_matrix,
)
from ..parts.settings import Full, Light, Off, Probes, Standard
from .records import Observations, Record

__all__ = [
    "LARGER_IS_BETTER",
    "ClassificationMetric",
    "Full",
    "Light",
    "Metric",
    "Observations",
    "Off",
    "Probes",
    "Record",
    "RegressionMetric",
    "Residuals",
    "Right",
    "Standard",
    "confusion_matrix",
]
