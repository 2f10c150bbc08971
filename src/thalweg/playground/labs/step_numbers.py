"""Every number of the step that a lab shows, as a fragment of HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...core.errors import InputError
from ...core.files import JsonObject
from ...insight.explain import step_blocks
from ...insight.focus import unit_blocks, weight_blocks
from ...insight.traced_step import trace_of
from ...pages.page import Page
from ...training.session import Session
from ..live.live_training import LiveTraining

_PLACE = re.compile(r"\d{1,6}")


def step_numbers(training: LiveTraining, sample: int | None, unit: str | None, weight: str | None) -> JsonObject:
    """All numbers of the last step, or those of one unit or weight.

    Args:
        training: the training.
        sample: the row of the batch, from 0; None: all rows.
        unit: "layer.unit", counted from 0.
        weight: "layer.input.unit", counted from 0.

    Raises:
        InputError: there is no such sample, unit or weight.
    """
    start = training.last
    if sample is not None and not 0 <= sample < len(start.rows):
        raise InputError("sample", f"expected a row of the batch, 0 to {len(start.rows) - 1}, received {sample}")
    planned = Session(training.complete, training.split)
    traced = trace_of(planned if start.step < planned.batches.steps else training.session, start, sample)
    if unit is not None:
        blocks = unit_blocks(traced, *_numbers("unit", unit, 2))
    elif weight is not None:
        blocks = weight_blocks(traced, *_numbers("weight", weight, 3))
    else:
        blocks = step_blocks(traced)
    page = Page(f"Step {start.step + 1}", tuple(blocks))
    return {"step": start.step, "rows": start.rows.tolist(), "sample": sample, "blocks": page.fragment()}


def _numbers(name: str, text: str, count: int) -> Sequence[int]:
    parts = text.split(".")
    if len(parts) != count or not all(map(_PLACE.fullmatch, parts)):
        raise InputError(name, f"expected {count} numbers with points between them, received {text!r}")
    return [int(part) for part in parts]
