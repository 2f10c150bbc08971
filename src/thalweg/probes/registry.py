"""The registry of probes: what each recorded quantity is, and the function that measures it.

A new probe needs its formula in `quantities`, a function with the decorator `probe` in `observe`, and a row in the
tests. The table in docs/probes.md is made from the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

from ..core.arrays import Array
from ..parts.settings import Full, Light, Standard

Preset = Literal["light", "standard", "full"]
PRESETS: dict[Preset, type[Light]] = {"light": Light, "standard": Standard, "full": Full}
"""The presets, each of which records all that the ones before it record."""

S = TypeVar("S")


class Recorded(NamedTuple):
    """Measured values by name."""

    whole: Mapping[str, Array] = MappingProxyType({})
    """Numbers of the whole network."""
    layers: Mapping[str, Array] = MappingProxyType({})
    """Arrays with one entry for each layer (layers, ...), NaN where a layer has no such quantity."""


class Probe(NamedTuple):
    """One probe: a few quantities that are measured together."""

    names: tuple[str, ...]
    """The names under which the quantities are recorded."""
    preset: Preset
    """The first preset that records them."""
    scope: str
    """What has the quantities: layers, some of the layers, or the whole network."""
    formula: str
    """The formulas, in the order of the names."""
    unit: str
    """The unit, or the range of the values."""
    healthy: str
    """The values of a healthy training."""
    measure: Callable[[Any], Recorded] | None
    """Measures the quantities from an observed step; None for those that the recorder computes from many batches."""


PROBES: list[Probe] = []
"""All probes, in the order of the presets and of the table in docs/probes.md."""


def probe(
    *names: str, preset: Preset, scope: str, formula: str, unit: str = "", healthy: str = ""
) -> Callable[[Callable[[S], Recorded]], Callable[[S], Recorded]]:
    """Register the decorated function as a probe; the arguments are the fields of `Probe`."""

    def register(function: Callable[[S], Recorded]) -> Callable[[S], Recorded]:
        entry = Probe(
            names=names,
            preset=preset,
            scope=scope,
            formula=formula,
            unit=unit,
            healthy=healthy,
            measure=function,
        )
        PROBES.append(entry)
        return function

    return register


def describe_probe(*names: str, preset: Preset, scope: str, formula: str, unit: str = "", healthy: str = "") -> None:
    """Register quantities that the recorder computes itself."""
    PROBES.append(
        Probe(
            names=names,
            preset=preset,
            scope=scope,
            formula=formula,
            unit=unit,
            healthy=healthy,
            measure=None,
        )
    )
