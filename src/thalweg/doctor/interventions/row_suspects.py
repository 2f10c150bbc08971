"""Suspects of rows: rows, columns and targets that checks found odd, each with the change that takes them away.

No change of a spec can try them. Each is tried by a training on changed rows, scored on held-out rows, because a score
on the changed rows would be that of other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...pages.numbers import count_noun, percent
from ...training.row_edits import (
    FilledCell,
    MarkedCells,
    MoreRows,
    MovedTargets,
    RankedCells,
    RowEdit,
    WithoutColumns,
    WithoutRows,
    WithoutTarget,
)
from ..findings import Finding, Remedy
from ..measurements import Measurements
from ..registry import CODES
from .suspect import Suspect

# The largest class has more than this many times the rows of the others, on average.
_UNEQUAL = 2.0
_HALF = 1 / 2
_STRETCHED = "outlying-inputs"

_Trial = tuple[str, RowEdit]


def row_suspects(m: Measurements, findings: Sequence[Finding]) -> tuple[Suspect, ...]:
    """The suspects among the rows: those that checks have found, and classes of unequal size.

    Args:
        m: the measurements of the training.
        findings: what the checks found in them; notes count too.
    """
    return tuple(sorted([*_of_findings(m, findings), *_of_classes(m)], key=lambda suspect: suspect.nearness))


def input_suspects(m: Measurements, findings: Sequence[Finding]) -> tuple[Suspect, ...]:
    """The suspects among the inputs that leave each row its targets and what a forest learns of it, so that the score
    on the training rows judges them as it judges a setting: a scale of the inputs that few rows decide.

    Args:
        m: the measurements of the training.
        findings: what the checks found in them; notes count too.
    """
    rank = CODES[_STRETCHED].rank
    edit = RankedCells(m.column_quantiles)
    remedy = Remedy("each input by its rank among the rows", ())
    return tuple(
        Suspect(_STRETCHED, found.place, remedy, rank, found, rows=edit)
        for found in findings
        if found.code == _STRETCHED
    )


def _of_findings(m: Measurements, findings: Sequence[Finding]) -> Iterator[Suspect]:
    for finding in findings:
        trial = _TRIALS[finding.code](m) if finding.code in _TRIALS else None
        if trial is not None:
            label, change = trial
            yield Suspect(
                finding.code, finding.place, Remedy(label, ()), CODES[finding.code].rank, finding, rows=change
            )


def _of_classes(m: Measurements) -> Iterator[Suspect]:
    """Classes of unequal size, visited as often as they occur. A network may neglect the smaller ones."""
    others = (1 - m.majority) / max(m.classes - 1, 1)
    if m.classes > 1 and m.majority > _UNEQUAL * others:
        yield Suspect("imbalance", "data.order", m.remedies.balanced_order(), CODES["imbalance"].rank)


def _moved(m: Measurements) -> _Trial | None:
    shift = m.out_of_step
    if shift is None:
        return None
    where = "further on" if shift.by > 0 else "before"
    return f"the target {count_noun(abs(shift.by), 'row')} {where} for each row", MovedTargets(shift.by)


def _measured(m: Measurements) -> _Trial | None:
    found = m.filled_targets
    if found is None:
        return None
    change = WithoutTarget(found.atom.column, found.atom.value)
    return f"only the {percent(1 - found.atom.share, 2)} of the rows with other targets", change


def _near(m: Measurements) -> _Trial | None:
    found = m.far_targets
    if found is None:
        return None
    return f"the rows without the {count_noun(len(found.rows), 'target')} far away", WithoutRows(_numbers(found.rows))


def _undoubted(m: Measurements) -> _Trial | None:
    found = m.doubtful_labels
    if found is None or not len(found.rows) or found.outnumbered > _HALF:
        return None
    return f"the rows without the {count_noun(len(found.rows), 'doubtful label')}", WithoutRows(_numbers(found.rows))


def _without_copies(m: Measurements) -> _Trial | None:
    index = {name: number for number, name in enumerate(m.column_names)}
    copies = tuple(index[copy] for copy, _ in m.duplicate_columns)
    return f"the inputs without {count_noun(len(copies), 'copy', 'copies')}", WithoutColumns(copies)


def _related(m: Measurements) -> _Trial | None:
    columns = m.unrelated_columns
    return f"the inputs without {count_noun(len(columns), 'unrelated column')}", WithoutColumns(columns)


def _later(m: Measurements) -> _Trial | None:
    return "the second half of the training rows", WithoutRows(tuple(range(m.rows // 2)))


def _marked(m: Measurements) -> _Trial | None:
    cells = tuple(FilledCell(one.column, one.value, one.others) for one in m.filled_inputs)
    return f"{count_noun(len(cells), 'column')} without the frequent value, marked where it was", MarkedCells(cells)


def _more(m: Measurements) -> _Trial | None:
    return "three quarters of the validation rows to train on too", MoreRows()


def _numbers(rows: np.ndarray) -> tuple[int, ...]:
    return tuple(sorted(map(int, rows)))


_TRIALS: dict[str, Callable[[Measurements], _Trial | None]] = {
    "out-of-step": _moved,
    "filled-targets": _measured,
    "outlying-targets": _near,
    "wrong-labels": _undoubted,
    "few-training-rows": _more,
    "duplicate-input": _without_copies,
    "unrelated-input": _related,
    "filled-input": _marked,
    "drift": _later,
}
