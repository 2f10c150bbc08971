"""Experiments that the page starts: each a process of its own, which ends with the server and leaves its trials."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tomli_w

from ..core.errors import InputError
from ..core.files import JsonObject, commit
from ..core.machine import available_cores
from ..core.printable import printable
from ..data import Data, Source
from ..experiments.experiment import Experiment
from ..experiments.results import EXPERIMENT_FILE
from ..experiments.variation import flattened_vary
from ..parts.settings import Probes
from ..runs.run_folder import new_folder
from ..spec.spec import Spec
from .specs import FilesAllowed
from .study import Study, trials_of

LOG_FILE = "messages.txt"
_MOST_RUNNING = 2
_MOST_TRIALS = 2000
_LOG_TAIL = 2000
_STOP_SECONDS = 0.5
_VALIDATION = 0.2


class ExperimentProcesses:
    """Starts, watches and stops experiments in the folder of a study.

    An experiment is the shell command `thalweg experiment`, whose progress goes to a file. What its folder says is true
    after a restart of the server too: finished trials are kept, and `resume` runs those that are missing.

    Args:
        study: the folder.
        allowed: the files that specs may name. Uploads are copied to the experiment: they go with the server.
    """

    def __init__(self, study: Study, allowed: FilesAllowed) -> None:
        self._study = study
        self._allowed = allowed
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, spec: Mapping[str, object], vary: object, seeds: object) -> str:
        """Start an experiment in a new folder, and return its name.

        Arms are compared on validation rows: a spec without them gets some. Probes are off, as in every experiment.

        Args:
            spec: the tables of the spec.
            vary: the [vary] table.
            seeds: the number of seeds, or the [seeds] table.

        Raises:
            InputError: with every problem of the experiment; it is too large; or too many run already.
        """
        _check_size(vary)
        base = _with_validation(Spec.of(spec))
        experiment = Experiment.of({**base.describe(), "vary": vary, "seeds": seeds})
        if trials_of(experiment) > _MOST_TRIALS:
            raise InputError(
                "experiment", f"expected at most {_MOST_TRIALS:,} trials, received {trials_of(experiment):,}"
            )
        for arm in experiment.arms:
            self._allowed.check(experiment.spec(arm))
        self._check_room()
        path = new_folder("experiment", self._study.folder)
        tables = {**experiment.describe(), "data": self._with_own_files(base.data, path).describe()}
        commit(path / EXPERIMENT_FILE, tomli_w.dumps(tables).encode())
        self._run(path.name, path)
        return path.name

    def _with_own_files(self, data: Data, path: Path) -> Data:
        """The data with copies of their uploads in a folder."""
        source = data.source.describe()
        uploads = [name for name in data.source.named_files if self._allowed.is_upload(name)]
        for name in uploads:
            copy = path / Path(name).name
            commit(copy, Path(name).read_bytes())
            source = {option: str(copy) if value == name else value for option, value in source.items()}
        return replace(data, source=Source.of(source)) if uploads else data

    def resume(self, name: str) -> None:
        """Run the missing trials of an experiment.

        Raises:
            KeyError: there is no such experiment.
            InputError: it runs, or too many others do.
        """
        path = self._study.experiment_path(name)
        if self._study.experiment(name)["status"] == "running" or self._runs(name):
            raise InputError(name, "is running")
        self._check_room()
        self._run(name, path)

    def entries(self) -> list[JsonObject]:
        """The entries of the study, with the status of the own processes."""
        return [self._with_status(entry) for entry in self._study.entries()]

    def state(self, name: str) -> JsonObject:
        """The entry of an experiment in the list, with the last line of its messages and the command that resumes it.

        Raises KeyError if there is no such experiment.
        """
        path = self._study.experiment_path(name)
        command = f"thalweg experiment {path / EXPERIMENT_FILE} --out {path}"
        entry = self._with_status(self._study.experiment(name))
        return {**entry, "message": _last_line(path / LOG_FILE), "command": printable(command)}

    def _with_status(self, entry: JsonObject) -> JsonObject:
        """An entry that is running as soon as its process is, and has failed where that ended with an error."""
        process = self._processes.get(str(entry["name"]))
        if process is None:
            return entry
        code = process.poll()
        if code is None:
            return {**entry, "status": "running"}
        return {**entry, "status": "failed"} if code > 0 and entry["status"] == "interrupted" else entry

    def stop(self, name: str) -> None:
        """End an experiment; its finished trials are kept.

        Raises:
            KeyError: there is no such experiment.
            InputError: it runs, but another process has started it.
        """
        self._study.experiment_path(name)
        if self._runs(name):
            _end([self._processes[name]])
        elif self._study.experiment(name)["status"] == "running":
            raise InputError(name, "was started elsewhere; end it there")

    def close(self) -> None:
        """End all experiments."""
        _end([process for name, process in self._processes.items() if self._runs(name)])

    def _runs(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def _check_room(self) -> None:
        running = [name for name in self._processes if self._runs(name)]
        if len(running) >= _MOST_RUNNING:
            raise InputError("experiment", f"{' and '.join(running)} are running; stop one, or wait until it has ended")

    def _run(self, name: str, path: Path) -> None:
        # One core is left to the training on the page.
        jobs = max(1, len(available_cores()) - 1)
        command = [sys.executable, "-m", "thalweg", "experiment", str(path / EXPERIMENT_FILE), "--out", str(path)]
        with open(path / LOG_FILE, "wb") as log:
            self._processes[name] = subprocess.Popen(
                [*command, "--jobs", str(jobs)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )


def _with_validation(spec: Spec) -> Spec:
    if spec.data.validation:
        return replace(spec, probes=Probes.of("off"))
    return replace(spec, probes=Probes.of("off"), data=replace(spec.data, validation=_VALIDATION))


def _check_size(vary: object) -> None:
    """Raise InputError where all combinations of the axes are too many to be listed."""
    if not isinstance(vary, Mapping):
        return
    arms = math.prod(map(_settings, flattened_vary(vary).values()))
    if arms > _MOST_TRIALS:
        raise InputError("vary", f"expected at most {_MOST_TRIALS:,} combinations, received {arms:,}")


def _settings(axis: object) -> int:
    """The number of settings of an axis: a list of values or a table of named arms; a range has none of its own."""
    return max(1, len(axis)) if isinstance(axis, list) or (isinstance(axis, dict) and "kind" not in axis) else 1


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + _STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(path: Path) -> str:
    """The last line of a file of messages, in printable characters; "" where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL))
            lines = file.read(_LOG_TAIL).decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((printable(line) for line in reversed(lines) if line.strip()), "")
