"""The doctor: finds what prevents a network from learning, with evidence."""

from .diagnosis import Diagnosis
from .examination import diagnose
from .findings import SEVERITIES, Cause, Finding, Learned, Remedy, Severity, Stage
from .measurements import Measurements
from .step_statistics import StepStatistics

__all__ = [
    "SEVERITIES",
    "Cause",
    "Diagnosis",
    "Finding",
    "Learned",
    "Measurements",
    "Remedy",
    "Severity",
    "Stage",
    "StepStatistics",
    "diagnose",
]
