"""All checks, in the order in which they run. Importing this package registers them."""

from . import static_checks  # isort: skip
from . import init_checks  # isort: skip
from . import training_checks  # isort: skip

__all__ = ["init_checks", "static_checks", "training_checks"]
