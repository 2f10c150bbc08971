"""Probes: measurements of single steps of a training, which cannot change it."""

from ..parts.metrics import (
    LARGER_IS_BETTER,
    BalancedMetric,
    ClassificationMetric,
    Metric,
    RegressionMetric,
    Residuals,
    Right,
    RightByClass,
    confusion_matrix,
)
from ..parts.settings import Full, Light, Off, Probes, Standard
from .records import Observations, Record

__all__ = [
    "LARGER_IS_BETTER",
    "BalancedMetric",
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
    "RightByClass",
    "Standard",
    "confusion_matrix",
]
