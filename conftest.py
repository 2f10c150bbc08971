"""Modules that need a library which is not installed cannot be collected."""

from importlib.util import find_spec

CALLBACKS = ("keras", "lightning", "skorch", "transformers")

collect_ignore_glob = [
    *([] if find_spec("torch") else ["src/thalweg/watching/*"]),
    *(f"src/thalweg/watching/callbacks/{name}_callback.py" for name in CALLBACKS if not find_spec(name)),
]
