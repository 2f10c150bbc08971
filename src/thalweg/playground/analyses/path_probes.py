"""What the probes measure on the path of a lab's training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ...data import Dataset
from ...engine.eager import Eager
from ...engine.step import Batch
from ...parts.settings import Light
from ...probes.recorder import ProbeCallback
from ...probes.records import Record
from ...training.batch_plan import Chunk, as_batch
from ...training.session import Session
from ..live.trail import KeptState


class PathProbes:
    """The records of the probes for the states of a path, each of which is measured once."""

    def __init__(self) -> None:
        self._known: Mapping[int, Record] = {}

    def records(self, session: Session, path: Sequence[KeptState]) -> Sequence[Record]:
        """The records of the steps that begin at the states of a path of the session."""
        known = self._known
        new = [kept for kept in path if kept.number not in known]
        measured = _measured(session, new) if new else ()
        found = {**known, **dict(zip((kept.number for kept in new), measured, strict=False))}
        # Jobs run in threads of their own: a mapping that one of them reads is never changed.
        self._known = {kept.number: found[kept.number] for kept in path if kept.number in found}
        return [*self._known.values()]


def _measured(session: Session, path: Sequence[KeptState]) -> Sequence[Record]:
    """The records; they end with the first whose loss is not a number."""
    rows = session.split.train
    assert isinstance(rows, Dataset)
    engine = Eager(session.spec.training.number_type)
    placed = Batch(*engine.place(as_batch(rows)))
    probes = ProbeCallback(Light(every=1), session.batches, session.start.params)
    for kept in path:
        plan = dataclasses.replace(session.plan, optimizer=kept.optimizer)
        chunk = Chunk(placed, kept.rows[None], kept.checkpoint.step, 1)
        probes.on_step_begin(engine, plan, engine.place(kept.checkpoint.state), chunk, 0)
    return probes.records
