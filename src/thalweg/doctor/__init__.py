"""The doctor: what keeps a network from learning, with the evidence."""

from .case import Case
from .examination import diagnose
from .findings import SEVERITIES, Cause, Diagnosis, Finding, Learned, Remedy, Severity, Stage

__all__ = [
    "SEVERITIES",
    "Case",
    "Cause",
    "Diagnosis",
    "Finding",
    "Learned",
    "Remedy",
    "Severity",
    "Stage",
    "diagnose",
]
