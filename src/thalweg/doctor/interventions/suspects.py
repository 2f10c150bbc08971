"""Suspects: settings and parts of a spec that could be put back, each with the change that does it.

A setting that departs from its default is a suspect, and so is a part that differs from its neighbours. No rule is
needed for any of them: a new part is a suspect by being a part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...core.files import Json
from ...pages.numbers import count_noun
from ...parts.optimizers import Adam
from ...parts.part import Layer, Part, options_of
from ...parts.settings import BATCH_SIZE, Stopping
from ...spec.spec import CompleteSpec
from ..findings import Finding, Remedy
from ..registry import CODES, PLACES, SETTING, STUCK
from .network_suspects import of_network
from .suspect import Suspect, part, setting

# Settings that say where and how long a training runs, and which rows it has: no defect of a network.
_OF_THE_MACHINE = frozenset({"epochs", "seed", "engine", "device"})
_OF_THE_ROWS = frozenset({"source", "target", "task", "validation", "test", "split", "memory"})
_RATE = "optimizer.learning_rate"
_RATE_FACTORS = (10.0, 100.0, 0.1, 0.01)
_LONGER = 4
_PENALTY = "regularization-too-strong"
# The first remedies of a finding take its cause away; the others make up for it.
_REMEDIES = 2


def suspects(
    spec: CompleteSpec,
    findings: Sequence[Finding],
    learning_rate: float,
    widths: Sequence[int],
    output: Remedy,
    usual: Stopping,
) -> tuple[Suspect, ...]:
    """All suspects of a training, each effect once: first those that checks have found.

    Args:
        spec: the completed spec.
        findings: the findings of the checks, with their remedies.
        learning_rate: the largest learning rate of the training; NaN if unknown.
        widths: the number of inputs, and the width of the network after each layer.
        output: the output activation and the loss that suit the task.
        usual: how trainings of these rows stop by themselves (`spec.length.usual_stopping`).
    """
    named = {finding.code for finding in findings if finding.severity != "note"}
    found = [
        *_of_findings(findings),
        *_departures(spec, usual),
        *_of_output(output),
        *(suspect for suspect in of_network(spec.network, widths) if suspect.code not in named),
        *amounts(spec, learning_rate),
    ]
    first: dict[str, Suspect] = {}
    for suspect in found:
        first.setdefault(repr(sorted(map(repr, suspect.remedy.changes))), suspect)
    return tuple(first.values())


def _of_findings(findings: Iterable[Finding]) -> Iterator[Suspect]:
    """The first remedies of findings above a note. Symptoms only say that a network does not learn."""
    for finding in findings:
        code = CODES[finding.code]
        if finding.severity == "note" or code.group == STUCK:
            continue
        for remedy in finding.remedies[:_REMEDIES]:
            nearness = min(code.rank, PLACES["data"]) if finding.place.startswith("data") else code.rank
            # Another rule makes up for many faults.
            if any(path == "optimizer" for path, _ in remedy.changes):
                nearness = max(nearness, PLACES["optimizer"])
            yield Suspect(finding.code, finding.place, remedy, nearness, finding)


def _departures(spec: CompleteSpec, usual: Stopping) -> Iterator[Suspect]:
    """Settings with another value than their default, each put back to it."""
    stopping = spec.stopping
    yield from _of_part("data", spec.data, _OF_THE_ROWS)
    for name in ("init", "bias_init"):
        if getattr(spec.network, name) is not None:
            yield setting(f"network.{name}", None)
    yield from _of_layers(spec.network.layers)
    yield from _of_part("loss", spec.loss)
    yield from _of_part("regularization", spec.regularization, frozenset({"biases"}), _PENALTY)
    yield from _of_part("training", spec.training, _OF_THE_MACHINE | {"batch_size", "precision"})
    departing = [field.name for field in options_of(Stopping) if _departs(stopping, field)]
    if any(getattr(stopping, name) != getattr(usual, name) for name in departing):
        yield part("stopping", Remedy("all epochs, without early stopping", (("stopping", None),)))
    if isinstance(spec.optimizer.describe().get("learning_rate"), str | dict):
        constant = Remedy("the default learning rate, constant", ((_RATE, None),))
        yield part(_RATE, constant, "decayed-rate")
    yield from _of_part("optimizer", spec.optimizer, frozenset({"learning_rate"}))
    if spec.training.precision == "float32":
        yield setting("training.precision", None)


def _of_part(
    place: str, described: Part, without: frozenset[str] = frozenset(), code: str = SETTING
) -> Iterator[Suspect]:
    for field in options_of(type(described)):
        if field.name not in without and _departs(described, field):
            yield setting(f"{place}.{field.name}", field.default, code)


def _of_layers(layers: Sequence[Layer]) -> Iterator[Suspect]:
    """Options of layers with another value than their default.

    Layers of one kind mostly have an option for one reason: they are put back together, then one at a time.
    """
    places: dict[tuple[str, str], list[Suspect]] = {}
    for index, layer in enumerate(layers):
        for suspect in _of_part(f"network.layers.{index}", layer):
            name = suspect.place.rpartition(".")[2]
            places.setdefault((layer.kind, name), []).append(suspect)
    for (kind, name), alone in places.items():
        if len(alone) > 1:
            changes = tuple(change for one in alone for change in one.remedy.changes)
            label = alone[0].remedy.label.removeprefix(alone[0].place).strip()
            remedy = Remedy(f"{name} {label} in each {kind}".replace("_", " "), changes)
            yield part(alone[0].place, remedy)
        yield from alone


def _departs(described: Part, field: dataclasses.Field[object]) -> bool:
    return field.default is not dataclasses.MISSING and getattr(described, field.name) != field.default


def _of_output(output: Remedy) -> Iterator[Suspect]:
    """The output activation and the loss, where others suit the task."""
    paths = [path for path, _ in output.changes]
    if paths:
        code = "output-activation" if paths[0].startswith("network") else "loss"
        yield Suspect(code, paths[0], output, CODES[code].rank)


def amounts(spec: CompleteSpec, learning_rate: float) -> Iterator[Suspect]:
    """Numbers without a right value: the rate, the batch, the rule, the length.

    Args:
        spec: the completed spec.
        learning_rate: its largest learning rate; NaN if unknown.
    """
    if np.isfinite(learning_rate) and learning_rate > 0:
        for factor in _RATE_FACTORS:
            yield _rate(float(f"{learning_rate * factor:.3g}"), learning_rate, compensates=True)
    if isinstance(spec.optimizer.describe().get("learning_rate"), int | float):
        default = next(field.default for field in options_of(type(spec.optimizer)) if field.name == "learning_rate")
        if isinstance(default, float) and default != learning_rate:
            yield _rate(default, learning_rate, compensates=False)
    if spec.training.batch_size != BATCH_SIZE:
        # The rows of a step are those of all batches that it sums.
        summed = (("training.accumulate", None),) if spec.training.accumulate > 1 else ()
        batch = _amount("training.batch_size", f"batches of {BATCH_SIZE}", BATCH_SIZE, "batch-size")
        yield batch._replace(remedy=batch.remedy._replace(changes=(*batch.remedy.changes, *summed)))
    if spec.optimizer.kind != Adam.kind:
        yield _amount("optimizer", "Adam at 0.001", Adam.kind, SETTING)
    yield longer(spec.training.epochs)


def longer(epochs: int) -> Suspect:
    """Four times as many epochs.

    >>> longer(20).remedy.changes
    (('training.epochs', 80),)
    """
    epochs *= _LONGER
    return _amount("training.epochs", count_noun(epochs, "epoch"), epochs, "epochs-too-few")


def _rate(rate: float, now: float, compensates: bool) -> Suspect:
    code = "lr-too-low" if rate > now else "lr-too-high"
    remedy = Remedy(f"a learning rate of {rate:g}", ((_RATE, rate),))
    return Suspect(code, _RATE, remedy, CODES[code].rank, None, compensates)


def _amount(place: str, label: str, value: Json, code: str) -> Suspect:
    return part(place, Remedy(label, ((place, value),)), code)._replace(compensates=True)
