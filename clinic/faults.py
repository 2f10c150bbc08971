"""What the injected cases share: how a spec is put down, and the codes that one could rightly name for a fault."""

from __future__ import annotations

from typing import Any, NamedTuple

from thalweg.spec.spec import Spec

# What the steps of too high and of too low a rate may also be called.
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
DEAD = "dying-relu, vanishing, blind"


class Injected(NamedTuple):
    """A spec with a fault; `kind` is what the rates are told by, `always` says that it holds whatever is learnt."""

    kind: str
    base: str
    spec: Spec
    faults: tuple[str, ...]
    always: bool = False


def table(
    data: str | dict[str, Any],
    layers: list[Any],
    init: str,
    optimizer: dict[str, Any],
    epochs: int,
    batch: int = 32,
    **more: Any,
) -> dict[str, Any]:
    """A spec, with rows held out to validate and to test."""
    section = {"source": data, "validation": 0.15, "test": 0.15}
    # In NumPy a small network is trained before a program for it would be compiled.
    training = {"epochs": epochs, "batch_size": batch, "engine": "eager", "precision": "float32"}
    network = {"layers": layers, "init": init}
    return {"data": section, "network": network, "optimizer": optimizer, "training": training, **more}


def stack(depth: int, width: int, activation: str, *output: str) -> list[Any]:
    """Hidden layers of one kind, and the output."""
    return [*[f"dense {width}", activation] * depth, *output]
