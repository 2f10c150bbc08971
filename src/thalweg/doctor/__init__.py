"""The doctor: what keeps a network from learning, with the evidence."""

from .findings import SEVERITIES, Cause, Diagnosis, Finding, Learned, Remedy, Severity, Stage

__all__ = [
    "SEVERITIES",
    "Cause",
    "Diagnosis",
    "Finding",
    "Learned",
    "Remedy",
    "Severity",
    "Stage",
]
