"""Whether this process was forked from one that had JAX: it lacks XLA's threads, so compiled programs never end."""

from __future__ import annotations

import os
import sys

_forked_from_jax = False


def _after_fork() -> None:
    global _forked_from_jax
    _forked_from_jax = _forked_from_jax or "jax" in sys.modules


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def forked_from_jax() -> bool:
    """Whether this process, or one above it, was forked after JAX was loaded. A process that starts anew was not.

    >>> forked_from_jax()
    False
    """
    return _forked_from_jax
