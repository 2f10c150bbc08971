"""Probes: measurements of single steps of a training, which cannot change it."""

from ..parts.settings import Full, Light, Off, Probes, Standard
from ..parts.task_metrics import (
    BalancedMetric,
    ClassificationMetric,
    RegressionMetric,
    Residuals,
    Right,
    RightByClass,
    TaskMetric,
    confusion_matrix,
)
from .records import Observations, Record

__all__ = [
    "BalancedMetric",
    "ClassificationMetric",
    "Full",
    "Light",
    "Observations",
    "Off",
    "Probes",
    "Record",
    "RegressionMetric",
    "Residuals",
    "Right",
    "RightByClass",
    "Standard",
    "TaskMetric",
    "confusion_matrix",
]
