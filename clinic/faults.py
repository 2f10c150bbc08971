"""Shared by injected.py and unseen.py: tables of specs, and the codes that are right answers for a fault."""

from __future__ import annotations

from typing import Any, NamedTuple

from thalweg.spec.spec import Spec

# Codes that are right answers for each kind of fault, the main one first.
HIGH = "lr-too-high, step-too-long, oscillating-loss, exploding, dying-relu, saturating-hidden"
LOW = "lr-too-low, step-too-short, epochs-too-few"
SHORT = "epochs-too-few, lr-too-low, step-too-short"
INPUTS = "missing-input-scaling, lr-too-high, step-too-long, saturating-hidden, dying-relu, exploding"
TARGETS = "missing-target-scaling, lr-too-low, lr-too-high, step-too-long, step-too-short, epochs-too-few, exploding"
SMALL = "init-too-small, vanishing, blind"
LARGE = "init-too-large, saturating-hidden, exploding, step-too-long, lr-too-high"
STILL = "output-activation, loss"
DECAY = "decayed-rate, lr-too-low, step-too-short, epochs-too-few"
ORDERED = "unshuffled, lr-too-high, oscillating-loss, step-too-long"
HIDDEN = "vanishing, saturating-hidden, init-too-small, blind"
PENALTY = "regularization-too-strong, blind, vanishing"
DEAD = "dying-relu, vanishing, blind, too-narrow"


class InjectedFault(NamedTuple):
    """A healthy spec with a fault put into it."""

    kind: str
    """Kind of the fault; the rates are reported by kind."""
    base: str
    """Name of the healthy spec."""
    spec: Spec
    faults: tuple[str, ...]
    """Codes that are right answers, the main one first."""
    always: bool = False
    """Whether the fault is one even if the network learns."""


def table(
    data: str | dict[str, Any],
    layers: list[Any],
    init: str,
    optimizer: dict[str, Any],
    epochs: int,
    batch: int = 32,
    **more: Any,
) -> dict[str, Any]:
    """The table of a spec, with rows held out for validation and test."""
    section = {"source": data, "validation": 0.15, "test": 0.15}
    # Training a small network in NumPy takes less time than compiling a program for it.
    training = {"epochs": epochs, "batch_size": batch, "engine": "eager", "precision": "float32"}
    network = {"layers": layers, "init": init}
    return {"data": section, "network": network, "optimizer": optimizer, "training": training, **more}


def stack(depth: int, width: int, activation: str, *output: str) -> list[Any]:
    """Hidden layers of one kind, and the output layers."""
    return [*[f"dense {width}", activation] * depth, *output]
