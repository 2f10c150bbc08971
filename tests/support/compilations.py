"""How many programs JAX has compiled, as JAX itself reports it."""

from __future__ import annotations

import jax.monitoring

_names: list[str] = []


def _listen(event: str, duration: float, **facts: object) -> None:
    if event == "/jax/core/compile/jaxpr_to_mlir_module_duration":
        _names.append(str(facts["fun_name"]))


jax.monitoring.register_event_duration_secs_listener(_listen)


def compilations(function: str = "") -> int:
    """Programs that were compiled since this file was imported: all, or those of the function of that name."""
    return sum(not function or name == f"jit({function})" for name in _names)
