"""Checks of facts that only a training loop of the user's own has; they join the checks of `doctor.checks`."""

from ...doctor import checks as _doctor_checks  # noqa: F401  isort: skip  (its codes are registered first)
from ..registry import severe_at_once
from . import graph_checks, loss_checks, row_checks, step_checks

__all__ = ["graph_checks", "loss_checks", "row_checks", "severe_at_once", "step_checks"]
