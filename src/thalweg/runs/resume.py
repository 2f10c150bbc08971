"""How an interrupted run is resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from ..core.errors import InputError, Problem
from ..core.files import remove
from ..core.progress import loading
from ..parts.schedules.metric_schedules import metric_schedules
from ..parts.settings import Precision
from ..probes.boundary_frames import FRAMES, BoundaryFrames
from ..probes.records import Record
from ..spec.differences import differences
from ..spec.spec import CompleteSpec
from ..training.callbacks import Callback
from ..training.checkpoints import Checkpoint, check_records, fingerprints, load_checkpoint, newest, remove_remains
from ..training.session import Session
from .display import shown
from .load import spec_in
from .recording import RunBuilder
from .run import STATE, Run
from .run_folder import read_records, read_result, write_spec
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

    It ends with the same weights, bit for bit, as if it had not been interrupted.

    Args:
        folder: the folder of the run.
        settings: changes of the spec, such as "training.epochs=40".
        data: rows that were in memory, which the spec cannot hold.
        accept_changes: whether to resume although the spec or the rows have changed.
        progress: whether progress and severe findings are shown on stderr.

    Raises:
        InputError: the spec or the rows have changed (each change is named), the folder has no checkpoint, or the
            training is already complete.

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
    spec = spec_in(folder, settings, changes)
    if data is not None:
        spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, source=data))
    path, facts = newest(folder)
    changed = differences(facts["spec"], spec.describe())
    _refuse(folder, changed, accept_changes)
    result = read_result(folder) if (folder / "result.json").exists() else None
    if result and not result["interrupted"] and not changed:
        fix = "To train it further, change the spec, for example with --set training.epochs=N --accept-changes"
        raise InputError(str(folder), f"training is already complete: {result['outcome']} {fix}")
    # The rows of runs before this was said were of 32 bits on every engine.
    precision: Precision = "float64" if facts["preprocessing"].get("precision") == "float64" else "float32"
    session = Session(spec, spec.data.load(spec.training.seed, on_load, precision))
    session.check()
    _ = session.engine
    prints = fingerprints(session.split)
    names = {**facts["rows"], **prints}
    rows = [f"the {name} rows" for name in names if facts["rows"].get(name) != prints.get(name)]
    _refuse(folder, rows, accept_changes)
    checkpoint = load_checkpoint(path, session.start)
    history = tuple(record for record in read_records(folder / "metrics.jsonl") if record["step"] <= checkpoint.step)
    checkpoint = _still_valid(
        checkpoint._replace(history=history), spec, [*changed, *(f"data: {name}" for name in rows)]
    )
    check_records(checkpoint, session.batches.per_epoch)
    on_session(session)
    remove_remains(folder, path)
    builder = _resumed_builder(session, folder, checkpoint.step)
    write_spec(folder, spec)
    return record_training(session, builder, folder, callbacks, warn, checkpoint)


def _resumed_builder(session: Session, folder: Path, step: int) -> RunBuilder:
    """The probes of a training that is resumed at a step. Removes files of an earlier end, which are no longer true."""
    frames = BoundaryFrames.load(folder)
    records = [record for record in read_records(folder / "probes.jsonl") if record["step"] < step]
    for name in (
        "result.json",
        "report.html",
        "probes.jsonl",
        FRAMES.with_suffix(".json"),
        FRAMES,
        STATE.with_suffix(".json"),
        STATE,
    ):
        remove(folder / name)
    return RunBuilder(session, records=cast(list[Record], records), frames=frames.before(step) if frames else None)


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
