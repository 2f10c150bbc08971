"""All checks, in the order in which they run: what is imported from here is complete."""

from ..registry import CHECKS, CODES, explanation_graph, ordered_codes

from . import row_checks  # isort: skip
from . import row_fault_checks  # isort: skip
from . import static_checks  # isort: skip
from . import shape_checks  # isort: skip
from . import init_checks  # isort: skip
from . import training_checks  # isort: skip

__all__ = [
    "CHECKS",
    "CODES",
    "explanation_graph",
    "init_checks",
    "ordered_codes",
    "row_checks",
    "row_fault_checks",
    "shape_checks",
    "static_checks",
    "training_checks",
]
