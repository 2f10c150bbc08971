"""Suspects: settings and parts of a spec that could be put back, each with the change that does it.

A setting that departs from its default is a suspect, and so is a part that differs from its neighbours. No rule is
needed for any of them: a new part is a suspect by being a part.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...core.files import Json
from ...pages.numbers import count_noun
from ...parts.layers import Activation
from ...parts.part import Layer, Part, options_of
from ...spec.spec import CompleteSpec
from ...training.paired import ROWS, Changes
from ...training.row_edits import RowEdit
from ..findings import Finding, Remedy
from ..registry import CODES, SETTING, STUCK

# Settings that say where and how long a training runs, and which rows it has: no defect of a network.
_OF_THE_MACHINE = frozenset({"epochs", "seed", "engine", "device"})
_OF_THE_ROWS = frozenset({"source", "target", "task", "validation", "test", "split", "memory", "scale"})
# A layer of fewer units than this fraction of both neighbours is narrow, and is made as wide as the narrower of them.
_NARROW = 1 / 4
# The nearness of rows, and of another optimizer.
_ROWS = 20
_RULE = 199
_RATE_FACTORS = (10.0, 100.0, 0.1, 0.01)
_LONGER = 4
_PENALTY = "regularization-too-strong"
# The first remedies of a finding take its cause away; the others make up for it.
_REMEDIES = 2


class Suspect(NamedTuple):
    """Something that may prevent learning, and the change that takes it away.

    Attributes:
        code: the code of the finding, if the change helps.
        place: the setting or the part.
        remedy: the change.
        nearness: its distance from the beginning of a training, for the order of equal suspects: rows, network, loss,
            optimizer, length.
        finding: the finding of a check that it comes from; None: no check named it.
        compensates: whether the change may make up for another fault: another rate, batch, rule or length.
        rows: the change of the rows, where it is not one of the spec.
    """

    code: str
    place: str
    remedy: Remedy
    nearness: float
    finding: Finding | None = None
    compensates: bool = False
    rows: RowEdit | None = None

    @property
    def changes(self) -> Changes:
        """What is tried."""
        return self.remedy.changes if self.rows is None else ((ROWS, self.rows),)


def suspects(
    spec: CompleteSpec, findings: Sequence[Finding], learning_rate: float, widths: Sequence[int]
) -> tuple[Suspect, ...]:
    """All suspects of a training, each effect once: first those that checks have found.

    Args:
        spec: the completed spec.
        findings: the findings of the checks, with their remedies.
        learning_rate: the largest learning rate of the training; NaN if unknown.
        widths: the number of inputs, and the width of the network after each layer.
    """
    named = {finding.code for finding in findings if finding.severity != "note"}
    found = [
        *_of_findings(findings),
        *_departures(spec),
        *(suspect for suspect in _of_neighbours(spec, widths) if suspect.code not in named),
        *_amounts(spec, learning_rate),
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
            nearness = min(code.rank, _ROWS) if finding.place.startswith("data") else code.rank
            # Another rule makes up for many faults.
            if any(path == "optimizer" for path, _ in remedy.changes):
                nearness = max(nearness, _RULE)
            yield Suspect(finding.code, finding.place, remedy, nearness, finding)


def _departures(spec: CompleteSpec) -> Iterator[Suspect]:
    """Settings with another value than their default, each put back to it."""
    yield from _of_part("data", spec.data, _OF_THE_ROWS, _ROWS)
    for name in ("init", "bias_init"):
        if getattr(spec.network, name) is not None:
            yield _setting(f"network.{name}", 35)
    for index, layer in enumerate(spec.network.layers):
        yield from _of_part(f"network.layers.{index}", layer, frozenset(), 35)
        if layer.transparent:
            yield _without(spec, index)
    yield from _of_part("loss", spec.loss, frozenset(), 45)
    yield from _of_part("regularization", spec.regularization, frozenset({"biases"}), CODES[_PENALTY].rank, _PENALTY)
    yield from _of_part("training", spec.training, _OF_THE_MACHINE | {"batch_size", "precision"}, 65)
    if any(_departs(spec.stopping, field) for field in options_of(type(spec.stopping))):
        yield _setting("stopping", 66)
    if isinstance(spec.optimizer.describe().get("learning_rate"), str | dict):
        constant = Remedy("the default learning rate, constant", (("optimizer.learning_rate", None),))
        yield Suspect("decayed-rate", "optimizer.learning_rate", constant, CODES["decayed-rate"].rank + 0.5)
    yield from _of_part("optimizer", spec.optimizer, frozenset({"learning_rate"}), 105)
    if spec.training.precision == "float32":
        yield _setting("training.precision", 106)


def _of_part(
    place: str, part: Part, without: frozenset[str], nearness: float, code: str = SETTING
) -> Iterator[Suspect]:
    for field in options_of(type(part)):
        if field.name not in without and _departs(part, field):
            yield _setting(f"{place}.{field.name}", nearness, code)


def _departs(part: Part, field: dataclasses.Field[object]) -> bool:
    return field.default is not dataclasses.MISSING and getattr(part, field.name) != field.default


def _setting(place: str, nearness: float, code: str = SETTING) -> Suspect:
    return Suspect(code, place, Remedy(f"the default of {place}", ((place, None),)), nearness)


def _without(spec: CompleteSpec, index: int) -> Suspect:
    """The network without one of its layers."""
    layer = spec.network.layers[index]
    layers = [part.describe() for part in spec.network.layers]
    code = "dropout-too-strong" if layer.drop_rate else SETTING
    left: list[Json] = [*layers[:index], *layers[index + 1 :]]
    return Suspect(
        code,
        f"network.layers.{index}",
        Remedy(f"the network without {layer.kind} (layer {index + 1})", (("network.layers", left),)),
        CODES[code].rank if code != SETTING else 36,
    )


def _of_neighbours(spec: CompleteSpec, widths: Sequence[int]) -> Iterator[Suspect]:
    """Layers that are not what their neighbours suggest: narrow ones, other activations, none between two layers."""
    layers = spec.network.layers
    weighted = [index for index, layer in enumerate(layers) if layer.has_weights]
    for before, index, after in zip([-1, *weighted], weighted, weighted[1:], strict=False):
        beside = min(widths[before + 1], widths[after + 1])
        width = widths[index + 1]
        if width < max(_NARROW * beside, 2):
            wide = max(beside, 8)
            yield Suspect(
                "too-narrow",
                f"network.layers.{index}",
                Remedy(f"{count_noun(wide, 'unit')} in layer {index + 1}", ((f"network.layers.{index}.width", wide),)),
                37,
            )
    hidden = [index for index, layer in enumerate(layers[:-1]) if _acts([layer])]
    kinds = Counter(layers[index].kind for index in hidden)
    if len(kinds) > 1:
        usual = kinds.most_common(1)[0][0]
        for index in hidden:
            if layers[index].kind != usual:
                remedy = Remedy(f"{usual} in layer {index + 1}", ((f"network.layers.{index}", usual),))
                yield Suspect(SETTING, f"network.layers.{index}", remedy, 38)
    bare = [index for index, after in itertools.pairwise(weighted) if not _acts(layers[index:after])]
    if bare:
        described: list[Json] = []
        for index, layer in enumerate(layers):
            if not (layer.is_identity and index - 1 in bare):
                described += [layer.describe(), "relu"] if index in bare else [layer.describe()]
        remedy = Remedy("relu after each hidden layer", (("network.layers", described),))
        yield Suspect("linear-stack", f"network.layers.{bare[0]}", remedy, 39)


def _acts(layers: Iterable[Layer]) -> bool:
    return any(isinstance(layer, Activation) and not layer.is_identity for layer in layers)


def _amounts(spec: CompleteSpec, learning_rate: float) -> Iterator[Suspect]:
    """Numbers without a right value: the batch, the rate, the rule, the widths, the length."""
    place = "optimizer.learning_rate"
    if np.isfinite(learning_rate) and learning_rate > 0:
        for factor in _RATE_FACTORS:
            rate = float(f"{learning_rate * factor:.3g}")
            code = "lr-too-low" if factor > 1 else "lr-too-high"
            yield Suspect(
                code, place, Remedy(f"a learning rate of {rate:g}", ((place, rate),)), CODES[code].rank, None, True
            )
    if isinstance(spec.optimizer.describe().get("learning_rate"), int | float):
        default = next(field.default for field in options_of(type(spec.optimizer)) if field.name == "learning_rate")
        if isinstance(default, float) and default != learning_rate:
            code = "lr-too-low" if default > learning_rate else "lr-too-high"
            remedy = Remedy(f"a learning rate of {default:g}", ((place, default),))
            yield Suspect(code, place, remedy, CODES[code].rank)
    if spec.training.batch_size != 32:
        yield Suspect(
            "batch-size",
            "training.batch_size",
            Remedy("batches of 32", (("training.batch_size", 32),)),
            198,
            None,
            True,
        )
    if spec.optimizer.kind != "adam":
        yield Suspect(SETTING, "optimizer", Remedy("Adam at 0.001", (("optimizer", "adam"),)), _RULE, None, True)
    epochs = spec.training.epochs * _LONGER
    longer = Remedy(count_noun(epochs, "epoch"), (("training.epochs", epochs),))
    yield Suspect("epochs-too-few", "training.epochs", longer, CODES["epochs-too-few"].rank, None, True)
