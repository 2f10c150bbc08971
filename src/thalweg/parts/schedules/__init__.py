"""Schedules: rates that follow the step, and rates that follow a measure.

Every public class of the modules below is exported, and their base class.
"""

from ..part import Schedule
from .metric_schedules import *  # noqa: F403
from .step_schedules import *  # noqa: F403

__all__ = [
    "Schedule",
    *sorted(
        name
        for name, value in vars().items()
        if isinstance(value, type) and value.__module__.startswith(__name__) and not name.startswith("_")
    ),
]
