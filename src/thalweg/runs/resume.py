"""How an interrupted run is resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import InputError, Problem
from ..core.files import remove
from ..data import Split
from ..doctor.findings import Finding
from ..engine.engine import make_engine
from ..parts.metric_schedules import metric_schedules
from ..probes.boundary_frames import FRAMES, BoundaryFrames
from ..spec.spec import WholeSpec
from ..spec.toml import differences
from ..training.callbacks import Progress
from ..training.checkpoints import (
    Checkpoint,
    check_records,
    load_snapshot,
    newest,
    remove_remains,
)
from ..training.session import start_state
from .load import spec_in
from .run import STATE, Run
from .run_folder import read_records, read_result, write_spec
from .train import _trained, check, fingerprints


def resume(
    folder: str | Path,
    settings: Sequence[str] = (),
    *,
    data: Any = None,
    accept_changes: bool = False,
    progress: bool = True,
) -> Run:
    """Go on with a training that was stopped or broken off, from its newest whole checkpoint.

    It ends with the same weights, bit for bit, as if it had not stopped. `settings` change the spec, as
    `training.epochs=40`; `data` gives anew what the spec can not hold, rows that were in memory. Raises InputError
    where the spec or the rows have changed since, naming each change, unless `accept_changes` is true; where there is
    no checkpoint; and where the training had come to its end.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> run = train(["dense 1", "sigmoid"], "and", epochs=2, engine="eager", folder=folder, progress=False)
    >>> run = resume(folder, ["training.epochs=5"], accept_changes=True, progress=False)
    >>> len(run.history)
    5
    """
    from ..core.progress import loading
    from .display import show_finding, shown

    with shown(quiet=not progress) as watch:
        return resume_run(
            Path(folder),
            settings,
            data=data,
            accept_changes=accept_changes,
            watch=watch,
            loading=loading(quiet=not progress),
            warn=show_finding if progress else None,
        )


def resume_run(
    path: Path,
    settings: Sequence[str] = (),
    changes: Sequence[tuple[str, Any]] = (),
    data: Any = None,
    accept_changes: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
    told: Callable[[WholeSpec, Split], None] = lambda spec, split: None,
    loading: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[Finding], None] | None = None,
) -> Run:
    """What `resume` does, with the watchers of `run_spec`; `changes` are places of the spec with their new values."""
    spec = spec_in(path, settings, changes)
    if data is not None:
        spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, source=data))
    checkpoint, facts = newest(path)
    differing = differences(facts["spec"], spec.describe())
    _refuse(path, differing, accept_changes)
    ended = read_result(path) if (path / "result.json").exists() else {"interrupted": True}
    if not ended["interrupted"] and not differing:
        fix = "Change the spec to go on nevertheless, as with --set training.epochs=N --accept-changes"
        raise InputError(str(path), f"has nothing left to do: {ended['outcome']} {fix}")
    split = spec.data.load(spec.training.seed, loading)
    engine = make_engine(spec.training.engine, spec.training.precision, spec.training.device)
    prints = fingerprints(split)
    rows = [f"the {name} rows" for name in {**facts["rows"], **prints} if facts["rows"].get(name) != prints.get(name)]
    _refuse(path, rows, accept_changes)
    training = spec.training
    start = start_state(spec.network, spec.optimizer, training.seed, split.train.features, training.average)
    snapshot = load_snapshot(checkpoint, start)
    history = tuple(record for record in read_records(path / "metrics.jsonl") if record["step"] <= snapshot.state.step)
    snapshot = _still_valid(snapshot._replace(history=history), spec, [*differing, *(f"data: {name}" for name in rows)])
    check_records(snapshot, check(spec, split).per_epoch)
    told(spec, split)
    remove_remains(path, checkpoint)
    # What an earlier end has left is true no longer.
    step, film = int(snapshot.state.step), BoundaryFrames.load(path)
    records = [record for record in read_records(path / "probes.jsonl") if record["step"] < step]
    for name in (
        "result.json",
        "report.html",
        "probes.jsonl",
        FRAMES.with_suffix(".json"),
        FRAMES,
        STATE.with_suffix(".json"),
        STATE,
    ):
        remove(path / name)
    write_spec(path, spec)
    film = film.before(step) if film else None
    return _trained(spec, split, engine, watch, path, snapshot, records, film, (), warn)


def _still_valid(snapshot: Checkpoint, spec: WholeSpec, changes: Sequence[str]) -> Checkpoint:
    """The snapshot without what was found by parts of the spec that have changed: values of rates, the best epoch."""
    counters = snapshot.counters
    if any(change.startswith("optimizer") for change in changes):
        counters = counters._replace(rates=tuple(rate.start() for rate in metric_schedules(spec.optimizer)))
    another_measure = any(change.startswith(("stopping.measure", "data")) for change in changes)
    newly_kept = spec.stopping.keeps_best and not snapshot.best and counters.best is not None
    if another_measure or newly_kept:
        counters = counters._replace(best=None, best_epoch=0, waited=0)
        return snapshot._replace(counters=counters, best=())
    return snapshot._replace(counters=counters)


def _refuse(folder: Path, changes: Sequence[str], accept: bool) -> None:
    if changes and not accept:
        fix = "undo this, or go on with the new spec: --accept-changes (accept_changes=True)"
        raise InputError(str(folder), [Problem("changed", change) for change in changes] + [Problem("", fix)])
