"""Without PyTorch the modules that need it cannot be collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["src/thalweg/watching/handle.py", "src/thalweg/watching/looks/*"]
