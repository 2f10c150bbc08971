"""All checks, in the order in which they run: what is imported from here is complete."""

from ..registry import CHECKS, CODES, explanation_graph, ordered_codes

from . import row_checks  # isort: skip
from . import set_checks  # isort: skip
from . import row_fault_checks  # isort: skip
from . import row_value_checks  # isort: skip
from . import row_relation_checks  # isort: skip
from . import unmeasured_checks  # isort: skip
from . import static_checks  # isort: skip
from . import shape_checks  # isort: skip
from . import init_checks  # isort: skip
from . import training_checks  # isort: skip
from . import memory_checks  # isort: skip

__all__ = [
    "CHECKS",
    "CODES",
    "explanation_graph",
    "init_checks",
    "memory_checks",
    "ordered_codes",
    "row_checks",
    "row_fault_checks",
    "row_relation_checks",
    "row_value_checks",
    "set_checks",
    "shape_checks",
    "static_checks",
    "training_checks",
    "unmeasured_checks",
]
