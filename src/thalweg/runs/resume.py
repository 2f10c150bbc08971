"""How an interrupted run is resumed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import leaves
from ..core.errors import InputError, Problem
from ..core.files import remove
from ..core.progress import loading
from ..engine.eager import Eager
from ..engine.step import Batch, make_step
from ..pages.numbers import count_noun
from ..parts.schedules.metric_schedules import metric_schedules
from ..parts.settings import Light, Precision
from ..spec.differences import differences
from ..spec.spec import CompleteSpec
from ..training.batch_plan import as_batch
from ..training.callbacks import Callback
from ..training.checkpoints import (
    Checkpoint,
    CheckpointFacts,
    check_records,
    fingerprints,
    has_checkpoints,
    load_checkpoint,
    missing_records,
    remove_newer,
    step_of,
    whole_checkpoints,
)
from ..training.session import Session
from .display import shown
from .load import load, spec_in
from .recording import RunBuilder, recorded_frames
from .run import Run
from .run_folder import (
    REPORT_FILE,
    RESULT_FILE,
    check_format,
    read_history,
    read_observations,
    write_spec,
    writing,
)
from .train import Warn, record_training, warn


def resume(
    folder: str | Path,
    settings: Sequence[str] = (),
    *,
    data: Any = None,
    accept_changes: bool = False,
    progress: bool = True,
) -> Run:
    """Resume an interrupted training from its newest whole checkpoint.

    It ends with the same weights, bit for bit, as if it had not been interrupted. A training that was killed before its
    first checkpoint begins anew; of a run that has ended, what is missing is written.

    Args:
        folder: the folder of the run.
        settings: changes of the spec, such as "training.epochs=40".
        data: rows that were in memory, which the spec cannot hold.
        accept_changes: whether to resume although the spec or the rows have changed.
        progress: whether progress and severe findings are shown on stderr.

    Raises:
        InputError: the spec or the rows have changed (each change is named), no checkpoint is whole, another process
            writes to the folder, or the run is already complete.

    >>> import tempfile
    >>> from thalweg.runs.train import train
    >>> folder = tempfile.mkdtemp()
    >>> run = train(["dense 1", "sigmoid"], "and", epochs=2, engine="eager", folder=folder, progress=False)
    >>> run = resume(folder, ["training.epochs=5"], accept_changes=True, progress=False)
    >>> len(run.history)
    5
    """
    with shown(quiet=not progress) as display:
        return resume_run(
            Path(folder),
            settings,
            data=data,
            accept_changes=accept_changes,
            callbacks=[display],
            on_load=loading(quiet=not progress),
            warn=warn if progress else None,
        )


def resume_run(
    folder: Path,
    settings: Sequence[str] = (),
    changes: Sequence[tuple[str, Any]] = (),
    *,
    data: Any = None,
    accept_changes: bool = False,
    callbacks: Sequence[Callback] = (),
    on_session: Callable[[Session], None] = lambda session: None,
    on_load: Callable[[int, int], None] = lambda done, total: None,
    warn: Warn | None = None,
) -> Run:
    """`resume` with callbacks.

    Args:
        folder: the folder of the run.
        settings: changes of the spec as text.
        changes: places of the spec with their new values.
        data: rows that were in memory.
        accept_changes: whether to resume although the spec or the rows have changed.
        callbacks: see the training beside its probes.
        on_session: hears of the completed spec with its rows before the training is resumed.
        on_load: hears of the rows prepared so far and in all.
        warn: hears of severe findings while the training runs.

    Raises:
        InputError: see `resume`.
    """
    check_format(folder)
    with writing(folder):
        saved = spec_in(folder)
        spec = spec_in(folder, settings, changes)
        if data is not None:
            spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, source=data))
        found = _newest(folder)
        changed = differences(found.facts["spec"] if found else saved.describe(), spec.describe())
        _refuse(folder, changed, accept_changes)
        if not changed and (run := _ended(folder, found)):
            return _with_report(run, folder, spec)
        session = Session(spec, spec.data.load(spec.training.seed, on_load, _precision(spec, found)))
        session.check()
        _ = session.engine
        resumed = None
        if found:
            resumed = _checkpoint(found, session, changed, accept_changes)
            session = _with_note(session, found)
        on_session(session)
        builder = _resumed_builder(session, folder, resumed.step if resumed else 0)
        # From here on the run has not ended. What it has recorded stays until it is replaced.
        remove(folder / RESULT_FILE)
        if found:
            remove_newer(folder, found.path)
        write_spec(folder, spec)
        return record_training(session, builder, folder, callbacks, warn, resumed)


class _Found(NamedTuple):
    """The checkpoint to resume from.

    Attributes:
        path: its file.
        facts: its manifest.
        history: the records of the epochs before it.
        missing: number of epochs without a record.
    """

    path: Path
    facts: CheckpointFacts
    history: tuple[dict[str, float], ...]
    missing: int


def _newest(folder: Path) -> _Found | None:
    """The newest whole checkpoint that has all of its records, else the one that has the most.

    None for a training that was killed before its first checkpoint. Raises InputError where none is whole, and where
    a run that has ended has none.
    """
    if not has_checkpoints(folder) and not os.path.lexists(folder / RESULT_FILE):
        return None
    records = read_history(folder)
    found = []
    for path, facts in whole_checkpoints(folder):
        step = step_of(path)
        history = tuple(record for record in records if record["step"] <= step)
        found.append(_Found(path, facts, history, missing_records(history, step)))
        if not found[-1].missing:
            break
    return min(found, key=lambda checkpoint: checkpoint.missing)


def _precision(spec: CompleteSpec, found: _Found | None) -> Precision:
    """The type of the rows of a run. Rows were of 32 bits on every engine before manifests named their type."""
    if found is None:
        return spec.training.number_type
    return "float64" if found.facts["preprocessing"].get("precision") == "float64" else "float32"


def _checkpoint(found: _Found, session: Session, changed: Sequence[str], accept_changes: bool) -> Checkpoint:
    """The checkpoint with which a session is resumed. Raises InputError where its rows or its records do not fit."""
    prints = fingerprints(session.split)
    before = found.facts["rows"]
    rows = [f"the {name} rows" for name in {**before, **prints} if before.get(name) != prints.get(name)]
    _refuse(found.path.parent.parent, rows, accept_changes)
    checkpoint = load_checkpoint(found.path, session.start)._replace(history=found.history)
    if not changed and len(checkpoint.early_stopping.rates) != len(session.early_stopping.rates):
        expected = f"expected the memory of {len(session.early_stopping.rates)} rates"
        received = f"received {len(checkpoint.early_stopping.rates)}"
        raise InputError(str(found.path.with_suffix(".json")), [Problem("counters.rates", f"{expected}, {received}")])
    check_records(checkpoint, session.batches.per_epoch)
    if changed and checkpoint.reports and len(checkpoint.reports) != _reports_of_a_step(session):
        epoch = int(checkpoint.history[-1]["epoch"]) + 1 if checkpoint.history else 1
        fix = "metrics, and whether there are clipping and penalties, change between epochs alone; keep them"
        raise InputError("training", f"stopped within epoch {epoch}, whose steps have other sums; {fix}")
    return _still_valid(checkpoint, session.spec, [*changed, *(f"data: {name}" for name in rows)])


def _reports_of_a_step(session: Session) -> int:
    """The number of arrays that a step of the session reports, found by a step of one row."""
    engine = Eager()
    plan = dataclasses.replace(session.plan, accumulate=1)
    row = Batch(*(array[:1] for array in engine.place(as_batch(session.split.train.head()))))
    with np.errstate(all="ignore"):
        _, metrics = make_step(plan)(engine.place(session.start), row)
    return len(leaves(metrics))


def _with_note(session: Session, found: _Found) -> Session:
    """The session with a note on records that are missing."""
    if not found.missing:
        return session
    note = f"metrics.jsonl is damaged: the records of {count_noun(found.missing, 'epoch')} are missing"
    split = dataclasses.replace(session.split, notes=(*session.split.notes, note))
    return Session(session.spec, split)


def _ended(folder: Path, found: _Found | None) -> Run | None:
    """The run of a folder whose training has ended; None where it is to be resumed.

    It is resumed from its last checkpoint, too, where one of its files is missing or damaged.
    """
    if not os.path.lexists(folder / RESULT_FILE):
        return None
    try:
        run = load(folder)
    except InputError:
        if found is None:
            raise
        return None
    return None if run.interrupted else run


def _with_report(run: Run, folder: Path, spec: CompleteSpec) -> Run:
    """A run that has ended, with its report, which a crash may have prevented.

    Raises InputError where the report is there, so that nothing is left to do.
    """
    report = folder / REPORT_FILE
    if (
        report.is_file()
        and _is_whole(report)
        and report.stat().st_mtime_ns >= (folder / RESULT_FILE).stat().st_mtime_ns
    ):
        fix = "To train it further, change the spec, for example with --set training.epochs=N --accept-changes"
        raise InputError(str(folder), f"training is already complete: {run.outcome} {fix}")
    split = spec.data.load(spec.training.seed, precision=run.preprocessing.precision)
    run = dataclasses.replace(run, split=split)
    run.write_report(folder)
    return run


def _is_whole(report: Path) -> bool:
    with open(report, "rb") as file:
        file.seek(max(0, report.stat().st_size - 100))
        return file.read().rstrip().endswith(b"</html>")


def _resumed_builder(session: Session, folder: Path, step: int) -> RunBuilder:
    """The probes of a training that is resumed at a step, with what they recorded before it."""
    if not isinstance(session.spec.probes, Light):
        return RunBuilder(session)
    records = [record for record in read_observations(folder) if record["step"] < step]
    frames = recorded_frames(folder, session)
    if frames:
        features = session.split.train.features
        frames.check_fit(features, session.spec.network.layout((features,)).shapes[-1][0] // session.spec.loss.members)
    return RunBuilder(session, records=records, frames=frames.before(step) if frames else None)


def _still_valid(checkpoint: Checkpoint, spec: CompleteSpec, changes: Sequence[str]) -> Checkpoint:
    """The checkpoint without what parts of the spec found that have changed: values of rates, the best epoch."""
    memory = checkpoint.early_stopping
    if any(change.startswith("optimizer") for change in changes):
        memory = memory._replace(rates=tuple(rate.start() for rate in metric_schedules(spec.optimizer)))
    other_measure = any(change.startswith(("stopping.measure", "data")) for change in changes)
    newly_kept = spec.stopping.keeps_best and not checkpoint.best and memory.best is not None
    if other_measure or newly_kept:
        memory = memory._replace(best=None, best_epoch=0, waited=0)
        return checkpoint._replace(early_stopping=memory, best=())
    return checkpoint._replace(early_stopping=memory)


def _refuse(folder: Path, changes: Sequence[str], accept: bool) -> None:
    if changes and not accept:
        fix = "undo this, or resume with the new spec: --accept-changes (accept_changes=True)"
        raise InputError(str(folder), [Problem("changed", change) for change in changes] + [Problem("", fix)])
