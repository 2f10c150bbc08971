"""From findings to causes: what explains what, and what comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .findings import SEVERITIES, Cause, Finding

# The roots first: what is wrong whatever else is, then what the numbers enter with, what they begin with, what becomes
# of them, how the steps go. A finding explains those behind it that EXPLAINS names.
ORDER = (
    "wrong-gradient",
    "step-activation",
    "init-symmetric",
    "output-activation",
    "unshuffled",
    "regularization-too-strong",
    "decayed-rate",
    "dropout-too-strong",
    "missing-input-scaling",
    "missing-target-scaling",
    "init-too-large",
    "init-too-small",
    "data-unlearnable",
    "exploding",
    "lr-too-high",
    "dying-relu",
    "vanishing",
    "oscillating-loss",
    "lr-too-low",
    "epochs-too-few",
    "loss",
    "batch-size",
    "saturating-hidden",
    "imbalance",
    "constant-input",
    "leak",
    "overfitting",
    "mismatch",
    "duplicate-input",
    "encoding-bug",
    "step-too-long",
    "step-too-short",
    "noisy-gradient",
    "loss-at-start",
    "cannot-memorise",
    "blind",
    "plateau",
)
_STUCK = ("blind", "plateau", "cannot-memorise", "step-too-long", "step-too-short", "noisy-gradient")
_BROKEN = (
    "exploding",
    "dying-relu",
    "saturating-hidden",
    "oscillating-loss",
    "lr-too-high",
    "loss-at-start",
    "vanishing",
)
EXPLAINS: dict[str, tuple[str, ...]] = {
    "wrong-gradient": (*_BROKEN, *_STUCK, "lr-too-low", "epochs-too-few"),
    "step-activation": (*_STUCK, "vanishing", "dying-relu", "lr-too-low", "epochs-too-few"),
    "init-symmetric": (*_STUCK, "vanishing", "lr-too-low", "epochs-too-few", "init-too-small"),
    "output-activation": (*_STUCK, "dying-relu", "lr-too-low", "loss-at-start", "loss", "epochs-too-few", "vanishing"),
    "unshuffled": (*_STUCK, "oscillating-loss"),
    "regularization-too-strong": (*_STUCK, "vanishing", "dying-relu", "lr-too-low"),
    "decayed-rate": (*_STUCK, "lr-too-low", "epochs-too-few"),
    "dropout-too-strong": (*_STUCK, *_BROKEN, "overfitting", "epochs-too-few", "lr-too-low"),
    "missing-input-scaling": (*_BROKEN, *_STUCK, "epochs-too-few", "lr-too-low"),
    "missing-target-scaling": (*_BROKEN, *_STUCK, "epochs-too-few", "lr-too-low"),
    "init-too-large": (*_BROKEN, *_STUCK),
    "init-too-small": ("vanishing", "dying-relu", "lr-too-low", "epochs-too-few", *_STUCK),
    "exploding": (*_STUCK, "lr-too-high", "oscillating-loss", "loss-at-start"),
    "vanishing": (*_STUCK, "lr-too-low", "epochs-too-few", "saturating-hidden"),
    "dying-relu": (*_STUCK, "vanishing", "lr-too-low", "epochs-too-few"),
    "data-unlearnable": (*_STUCK, "dying-relu", "overfitting", "epochs-too-few", "lr-too-low"),
    "lr-too-high": ("dying-relu", "vanishing", "saturating-hidden", "overfitting", "oscillating-loss", *_STUCK),
    "oscillating-loss": _STUCK,
    "lr-too-low": ("epochs-too-few", *_STUCK),
    "epochs-too-few": _STUCK,
    "loss": _STUCK,
    "imbalance": _STUCK,
    "constant-input": _STUCK,
    "saturating-hidden": _STUCK,
}


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the most severe first, and of the same severity the roots first."""
    return tuple(sorted(findings, key=lambda f: (-SEVERITIES.index(f.severity), ORDER.index(f.code))))


def causes(findings: Sequence[Finding]) -> tuple[Cause, ...]:
    """The findings above a note that no other of them explains, each with those that it explains.

    First comes the cause of the most severe finding, its own or one that it explains; of such the root first.
    """
    above = sorted((f for f in findings if f.severity != "note"), key=lambda f: ORDER.index(f.code))
    found, explained = [], set[str]()
    for number, finding in enumerate(above):
        if finding.code in explained:
            continue
        codes = {*EXPLAINS.get(finding.code, ()), finding.code}
        own = tuple(other for other in above[number + 1 :] if other.code in codes)
        explained |= codes
        found.append(Cause(finding, own))
    return tuple(sorted(found, key=lambda cause: -max(_weight(f) for f in (cause.finding, *cause.explains))))


def _weight(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)
