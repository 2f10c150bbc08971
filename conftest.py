"""Modules that need a library which is not installed cannot be collected; Keras is tested on PyTorch."""

import os
from importlib.util import find_spec

os.environ.setdefault("KERAS_BACKEND", "torch")

CALLBACKS = ("keras", "lightning", "skorch", "transformers")
NEED_TORCH = (
    *(f"src/thalweg/watching/{name}" for name in ("handle.py", "looks/*", "recipes/*", "callbacks/*")),
    "tests/watching/recipes/ring_recipes.py",
)

collect_ignore_glob = [
    *(name for name in NEED_TORCH if not find_spec("torch")),
    *(f"src/thalweg/watching/callbacks/{name}_callback.py" for name in CALLBACKS if not find_spec(name)),
]
