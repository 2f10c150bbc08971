"""The page and the JSON of a comparison of two runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import shortened
from ...core.files import JsonObject
from ...data import Source
from ...pages import figures
from ...pages.blocks import Block, Bullets, Chart, Facts, Formula, Heading, SideBySide, Table, Text
from ...pages.numbers import Share, count_noun, measure_name, measured, number
from ...pages.numbers import difference as difference_of
from ...pages.page import Page
from ...spec.differences import Change
from ...spec.values import shell_text
from ..experiment import plain_value
from .findings import Findings
from .interventions import MOST_ALONE, Effect, Explanation
from .lockstep import Lockstep, QuantityPair
from .record import FactPair, RecordedPart, changes_training
from .rows import SetDifference

if TYPE_CHECKING:
    import plotly.graph_objects as go

_LONGEST_VALUE = 60
_MOST_QUANTITIES = 24
_NOT_RECORDED = "not recorded"
_VERDICTS = {
    "same": "The trainings are the same to the bit.",
    "rounding": "The trainings differ by rounding only.",
    "differs": "The trainings differ.",
}


def diff_page(found: Findings) -> Page:
    """The comparison of two runs as a page."""
    one, other = found.names
    blocks = (
        *_losses(found),
        *_parting(found),
        *_outcome(found),
        *_explanation(found),
        *_spec(found),
        *_rows(found),
        *_versions(found),
        *_method(found),
    )
    return Page(f"What differs: {one} and {other}", blocks, summary(found))


def summary(found: Findings) -> str:
    """The result in two or three sentences."""
    return " ".join([_VERDICTS[found.verdict], *_where_in_words(found), *_explained_in_words(found)])


def _where_in_words(found: Findings) -> list[str]:
    replayed = found.lockstep
    if replayed is None:
        return [f"They cannot be replayed: {shortened(found.why_not_replayed, 300)}."]
    if replayed.parting:
        return [f"They part at step {replayed.parting.step}: {_comparison_in_words(replayed.parting)}."]
    steps = count_noun(replayed.steps, "step")
    if replayed.verdict == "same":
        sentences = [f"Replayed here, {steps} of both are equal to the bit."]
    else:
        distances = replayed.weights[np.isfinite(replayed.weights)]
        first = int(np.argmax(distances > 0)) if (distances > 0).any() else 0
        grows = f"; this grows by a factor of {number(replayed.growth, 4)} a step" if replayed.growth > 0 else ""
        sentences = [
            f"Rounding only in {steps} that were replayed: the weights differ by {number(float(distances[first]), 2)}"
            f" before step {first + 1}, and by {number(float(distances[-1]), 2)} before the last one{grows}."
        ]
    if found.records[0].steps != found.records[1].steps:
        one, other = (number(record.steps) for record in found.records)
        sentences.append(f"One training is longer: {one} and {other} updates.")
    if any(each and not each.holds for each in found.reproductions):
        sentences.append("A replay here does not give the recorded losses: versions, the machine or the rows differ.")
    elif found.verdict == "differs" and found.records[0].steps == found.records[1].steps == replayed.steps:
        sentences.append(
            "The outcomes differ by what is made of the steps: averaged weights, or those of the best epoch."
        )
    return sentences


def _comparison_in_words(part: QuantityPair) -> str:
    if part.name == "rows":
        return f"the rows ({part.remark})"
    place = (
        f"the {part.name}" + (f" of layer {part.layer}" if part.layer else "") + (f", {part.part}" if part.part else "")
    )
    if part.remark:
        return f"{place} ({part.remark})"
    return f"{place}, by {number(part.difference, 2)} of its size, where rounding explains {number(part.bound, 2)}"


def _explained_in_words(found: Findings) -> list[str]:
    explaining = [effect for effect in found.explanation.effects if effect.verdict == "explains"]
    if explaining:
        effect = explaining[0]
        return [f"{effect.label} explains {number(Share(effect.share), 3)} of the difference of the outcomes."]
    return []


def _losses(found: Findings) -> Iterator[Block]:
    names = found.names
    histories = dict(zip(names, (record.run.history for record in found.records), strict=True))
    replayed = found.lockstep
    parting = None
    label = ""
    if replayed and replayed.parting:
        parting = (replayed.parting.step - 0.5) / found.records[0].run.per_epoch + 0.5
        label = f"step {replayed.parting.step}: {replayed.parting.name}"
    elif replayed is None and found.recorded_loss and found.recorded_loss.beyond:
        parting = found.recorded_loss.step / found.records[0].run.per_epoch
        label = f"epoch {number(parting)}: loss"
    last = [record.run.history[-1]["loss"] if record.run.history else math.nan for record in found.records]
    caption = f"Last epoch: {number(last[0])} and {number(last[1])}."
    if label:
        caption += f" They part at {label}."
    yield Chart(figures.paired_losses(histories, parting, label), caption)


def _parting(found: Findings) -> Iterator[Block]:
    yield Heading("Where the trainings part")
    replayed = found.lockstep
    if replayed is None:
        yield Text(f"They cannot be replayed here: {found.why_not_replayed}.")
    else:
        yield Facts(
            [
                ("first weights", _verdict_in_words(replayed.start)),
                ("rows of the first batch", _verdict_in_words(replayed.first_rows)),
                ("steps compared", f"{number(replayed.steps)} of {number(replayed.planned)}; {replayed.ended}"),
            ]
        )
        rows = [
            (part.name, part.layer, part.part, _number_or_words(part), part.bound, part.verdict)
            for part in _important(replayed.quantities)
        ]
        step = replayed.quantities[0].step
        columns = ("quantity", "layer", "array", "difference", "rounding", "verdict")
        yield Table(
            f"Step {step} of both trainings from the same state, in the order of computation", columns, rows, digits=2
        )
        if replayed.steps > 2 and (replayed.weights > 0).any():
            yield Chart(_growth(found), _growth_caption(replayed.growth))
    yield Table("What both runs recorded", ("record", "first difference"), _recorded(found))


def _important(quantities: tuple[QuantityPair, ...]) -> list[QuantityPair]:
    """The quantities up to the first that differs and some after it, or the largest of many."""
    first = next((index for index, part in enumerate(quantities) if part.verdict == "differs"), 0)
    start = max(0, min(first - _MOST_QUANTITIES // 2, len(quantities) - _MOST_QUANTITIES))
    return list(quantities[start : start + _MOST_QUANTITIES])


def _number_or_words(part: QuantityPair) -> float | str:
    return part.difference if math.isfinite(part.difference) else part.remark or "not a number"


def _verdict_in_words(part: QuantityPair) -> str:
    if part.verdict == "same":
        return "equal to the bit"
    if part.verdict == "rounding":
        return f"equal up to rounding ({number(part.difference, 2)})"
    return f"differ: {_comparison_in_words(part)}"


def _growth(found: Findings) -> go.Figure:
    replayed = found.lockstep
    assert replayed
    steps = np.arange(1, len(replayed.weights) + 1)
    series = {"weights before the step": replayed.weights, "loss of the step": replayed.loss}
    shown = {name: values for name, values in series.items() if (values > 0).any()}
    return figures.curves(steps, shown, "Distance of both trainings", "step", "relative difference", log=True)


def _growth_caption(growth: float) -> str:
    words = "Relative difference of all weights, and of the losses."
    return f"{words} That of the weights grows by a factor of {number(growth, 4)} a step." if growth > 0 else words


def _recorded(found: Findings) -> list[tuple[str, str]]:
    rows = [("losses of the epochs", _recorded_in_words(found.recorded_loss))]
    layers = [record.run.observations.layers for record in found.records]
    probed = all(record.run.records for record in found.records)
    probes = "the layers differ" if layers[0] != layers[1] else _recorded_in_words(found.recorded_probe)
    rows.append(("probes", probes if probed else _NOT_RECORDED))
    for name, each in zip(found.names, found.reproductions, strict=True):
        words = "not replayed for a whole epoch"
        if each:
            by = "to the bit" if each.difference == 0 else f"up to {number(each.difference, 2)}"
            by = by if each.holds else f"not: they differ by {number(each.difference, 2)}"
            words = f"{by} in {count_noun(each.epochs, 'epoch')}"
        rows.append((f"a replay gives the losses of {name}", words))
    return rows


def _recorded_in_words(part: RecordedPart | None) -> str:
    if part is None:
        return "none"
    layer = f" of layer {part.layer}" if part.layer else ""
    size = "more than" if part.beyond else "no more than"
    return (
        f"{part.quantity}{layer} after {count_noun(part.step, 'update')}: {number(part.difference, 2)},"
        f" {size} the {number(part.bound, 2)} of rounding"
    )


def _outcome(found: Findings) -> Iterator[Block]:
    yield Heading("Outcome")
    yield Facts([(name, record.run.outcome) for name, record in zip(found.names, found.records, strict=True)])
    rows = [
        (
            each.rows,
            measure_name(each.measure),
            *(measured(each.measure, value) for value in each.values),
            difference_of(each.measure, each.values[1] - each.values[0]),
        )
        for each in found.outcomes
    ]
    yield Table("Measures at the end of both trainings", ("set", "measure", *found.names, "difference"), rows)


def _explanation(found: Findings) -> Iterator[Block]:
    explanation = found.explanation
    yield Heading("What explains the outcome")
    if not explanation.effects:
        yield Text(f"Nothing was tried: {explanation.remark}.")
        yield from _untried(found)
        return
    if explanation.score:
        measure = explanation.score.measure
        worse, better = (number(measured(measure, value)) for value in explanation.scores)
        assert found.better is not None
        yield Text(
            f"Each setting of {found.names[found.better]} was put into the spec of {found.names[1 - found.better]}, and"
            f" taken away from its own, in paired trials of {count_noun(len(explanation.seeds), 'seed')} and"
            f" {number(explanation.epochs[0])} and {number(explanation.epochs[1])} epochs. The specs reach {worse} and"
            f" {better} {measure_name(measure)} on the {explanation.score.rows} rows there; the difference to explain"
            f" is {difference_of(measure, explanation.gap)}."
        )
    if explanation.remark:
        yield Text(f"{explanation.remark[:1].upper()}{explanation.remark[1:]}.")
    rows = [_effect_row(found, effect) for effect in explanation.effects]
    columns = ("setting", "worse run", "better run", "put back", "taken away", "share", "verdict", "remark")
    yield Table("Settings that take part in the training", columns, rows, digits=3)
    yield from _untried(found)


def _effect_row(found: Findings, effect: Effect) -> tuple[object, ...]:
    score = found.explanation.score
    measure = score.measure if score else ""
    values = [
        ", ".join(_value(change.before) for change in effect.changes),
        ", ".join(_value(change.after) for change in effect.changes),
    ]
    gains = [
        difference_of(measure, gain) if math.isfinite(gain) else None for gain in (effect.restored, -effect.removed)
    ]
    share = Share(round(effect.share, 9)) if math.isfinite(effect.share) else None
    return (effect.label, *values, *gains, share, effect.verdict, shortened(effect.remark, 120))


def _untried(found: Findings) -> Iterator[Block]:
    """What cannot be put back."""
    items = []
    if any(each.same is False for each in found.rows) and not any(c.path.startswith("data.") for c in found.changes):
        items.append("The rows differ though the [data] sections do not: they cannot be put back by a setting.")
    if any(pair.differs for pair in found.versions):
        items.append("Versions differ: they cannot be put back here; install the other ones and train again.")
    if any(pair.differs for pair in found.machine[:3]):
        items.append("The machines differ: their effect cannot be tried here.")
    if idle := [change.path for change in found.changes if not changes_training(change)]:
        items.append(f"Not tried, because they change a training by rounding at most: {', '.join(idle)}.")
    if items:
        yield Bullets(items)


def _spec(found: Findings) -> Iterator[Block]:
    yield Heading("Specs")
    if not found.changes:
        yield Text("The completed specs are equal.")
        return
    rows = [(change.path, _value(change.before), _value(change.after)) for change in found.changes]
    yield Table("Settings of the completed specs that differ", ("setting", *found.names), rows)


def _value(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Source):
        value = value.describe()
    return shortened(shell_text(value), _LONGEST_VALUE)


def _rows(found: Findings) -> Iterator[Block]:
    yield Heading("Rows")
    table = [
        (each.name, *map(_count, each.counts), *map(_print, each.fingerprints), _same_in_words(each))
        for each in found.rows
    ]
    one, other = found.names
    columns = ("set", f"rows of {one}", f"rows of {other}", f"CRC-32 of {one}", f"CRC-32 of {other}", "rows")
    yield Table("Sets of rows", columns, table)
    yield from _missing_rows(found)
    for each in found.rows:
        if each.first:
            rows = [(change.row, change.column, *change.values) for change in each.first]
            yield Table(
                f"The first values of the {each.name} rows that differ", ("row, from 0", "column", one, other), rows
            )
        if each.differing and not each.reordered and len(each.columns) > 1:
            yield Table(f"Rows of the {each.name} set that differ, by column", ("column", "rows"), each.columns[:12])
    if (train := next(iter(found.rows), None)) and train.targets and any(a != b for _, (a, b) in train.targets):
        targets = [(name, *values) for name, values in train.targets]
        yield Table(f"Targets of the {train.name} rows", ("measure", one, other), targets)
    names = [record.run.preprocessing.feature_names for record in found.records]
    for words, (mine, theirs) in ((one, (names[0], names[1])), (other, (names[1], names[0]))):
        if only := [name for name in mine if name not in theirs]:
            yield Text(f"Columns of {words} alone: {shortened(', '.join(only), 300)}.")


def _missing_rows(found: Findings) -> Iterator[Block]:
    for name, record in zip(found.names, found.records, strict=True):
        if record.missing:
            yield Text(f"The rows of {name} are not there any more: {record.missing}.")


def _count(count: int | None) -> object:
    return "–" if count is None else count


def _print(code: int | None) -> str:
    return _NOT_RECORDED if code is None else f"{code:08x}"


def _same_in_words(each: SetDifference) -> str:
    if each.reordered:
        return "the same in another order"
    if each.differing:
        return f"{number(each.differing)} differ"
    return {True: "the same", False: "differ", None: "not known"}[each.same]


def _versions(found: Findings) -> Iterator[Block]:
    yield Heading("Versions and machine")
    tables = [
        Table(caption, ("name", *found.names, "differs"), [_pair_row(pair) for pair in pairs])
        for caption, pairs in (("Versions", found.versions), ("Machine", found.machine))
    ]
    yield SideBySide(tables)
    yield Text("Number of threads, and the processor of a GPU: not recorded.")


def _pair_row(pair: FactPair) -> tuple[str, ...]:
    values = (value or _NOT_RECORDED for value in pair.values)
    return (pair.name, *values, {True: "yes", False: "no", None: "not known"}[pair.differs])


def _method(found: Findings) -> Iterator[Block]:
    yield Heading("How it is judged")
    yield Formula(
        "difference = |a - b| / max(|a|, |b|)\n"
        "rounding   = g(n) + (max |q(perturbed) - q| + 2 |q(rounded) - q|) / |q|\n"
        "g(n)       = exp(6 √n u + n u² / (1 - u)) - 1"
    )
    yield Text(
        "u is the unit roundoff of the coarser precision, n the number of terms of the longest chain of sums of a"
        " step. Each step of the second training is computed from the state and the rows of the first one, so that"
        " rounding of earlier steps takes no part. q(perturbed) is a quantity from numbers that are changed by g(n),"
        " q(rounded) the one of the coarser precision; both are computed where the difference exceeds g(n)."
    )
    yield Text(
        "A setting explains the outcome if it makes up two thirds of the difference or more. It has no effect if its"
        f" effect is at most one row, or two standard errors over the seeds. More than {MOST_ALONE} settings are tried"
        " in groups, which are halved where they have an effect."
    )


# --- JSON


def described(found: Findings) -> JsonObject:
    """The comparison as JSON; numbers that are not finite are null."""
    return {
        "verdict": found.verdict,
        "summary": summary(found),
        "runs": [str(record.run.folder) if record.run.folder else None for record in found.records],
        "spec": [_change_json(change) for change in found.changes],
        "rows": [_set_json(each) for each in found.rows],
        "versions": {pair.name: list(pair.values) for pair in found.versions},
        "machine": {pair.name: list(pair.values) for pair in found.machine},
        "outcomes": [plain_value(each._asdict()) for each in found.outcomes],
        "recorded_loss": _part_json(found.recorded_loss),
        "recorded_probe": _part_json(found.recorded_probe),
        "replay": _replay_json(found.lockstep) if found.lockstep else None,
        "why_not_replayed": found.why_not_replayed,
        "reproduced": [each.holds if each else None for each in found.reproductions],
        "better": found.better,
        "explanation": _explanation_json(found.explanation),
    }


def _set_json(each: SetDifference) -> JsonObject:
    return {
        "name": each.name,
        "counts": list(each.counts),
        "fingerprints": list(each.fingerprints),
        "same": each.same,
        "differing": each.differing,
        "reordered": each.reordered,
        "columns": dict(each.columns),
        "first": [plain_value(change._asdict()) for change in each.first],
        "targets": {name: [_finite(value) for value in values] for name, values in each.targets},
    }


def _replay_json(replayed: Lockstep) -> JsonObject:
    return {
        "verdict": replayed.verdict,
        "steps": replayed.steps,
        "planned": replayed.planned,
        "ended": replayed.ended,
        "parting": _pair_json(replayed.parting) if replayed.parting else None,
        "start": _pair_json(replayed.start),
        "first_rows": _pair_json(replayed.first_rows),
        "growth": _finite(replayed.growth),
        "weights": [_finite(value) for value in replayed.weights],
        "loss": [_finite(value) for value in replayed.loss],
        "quantities": [_pair_json(part) for part in replayed.quantities],
    }


def _explanation_json(explanation: Explanation) -> JsonObject:
    score = explanation.score
    return {
        "measure": score.measure if score else None,
        "rows": score.rows if score else None,
        "seeds": list(explanation.seeds),
        "epochs": list(explanation.epochs),
        "scores": [_finite(value) for value in explanation.scores],
        "gap": _finite(explanation.gap),
        "remark": explanation.remark,
        "effects": [_effect_json(effect) for effect in explanation.effects],
    }


def _effect_json(effect: Effect) -> JsonObject:
    return {
        "settings": [_change_json(change) for change in effect.changes],
        "restored": _finite(effect.restored),
        "removed": _finite(effect.removed),
        "share": _finite(effect.share),
        "verdict": effect.verdict,
        "remark": effect.remark,
    }


def _change_json(change: Change) -> JsonObject:
    return {"path": change.path, "before": plain_value(change.before), "after": plain_value(change.after)}


def _pair_json(part: QuantityPair) -> JsonObject:
    numbers: JsonObject = {"difference": _finite(part.difference), "bound": _finite(part.bound)}
    return {**part._asdict(), **numbers, "verdict": part.verdict}


def _part_json(part: RecordedPart | None) -> JsonObject | None:
    return None if part is None else {**part._asdict(), "difference": _finite(part.difference), "beyond": part.beyond}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
