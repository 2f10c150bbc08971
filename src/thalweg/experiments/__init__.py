"""Controlled experiments: a spec with variations and seeds -> trials -> a comparison."""

from .compare import compare, run_experiment
from .comparison import Comparison
from .experiment import Compare, Experiment, Seeds
from .ranking import ArmResult
from .tuned import TunedComparison
from .variation import Arm, Axis, Range

__all__ = [
    "Arm",
    "ArmResult",
    "Axis",
    "Compare",
    "Comparison",
    "Experiment",
    "Range",
    "Seeds",
    "TunedComparison",
    "compare",
    "run_experiment",
]
