"""The runs and experiments of a folder: their list, their reports, and their curves side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.files import Json, JsonObject, read_bytes
from ..core.locks import is_locked
from ..core.printable import printable
from ..experiments.experiment import Experiment
from ..experiments.results import EXPERIMENT_FILE, TRIALS
from ..runs.load import load
from ..runs.run_folder import REPORT_FILE, RESULT_FILE, RunRow, list_runs, read_history
from ..spec.spec import data_name
from ..spec.toml import read_spec_table
from ..watching.folder import is_watch_folder, list_watches

MOST_COMPARED = 12
_MOST_POINTS = 1000
_LARGEST_REPORT = 2**28


@dataclass(frozen=True)
class Study:
    """A folder of runs, experiments and watched trainings.

    Names are printable: those of the list, which may differ from the names on the disk by escapes. Any other name is
    unknown, so that no request leads out of the folder.

    Attributes:
        folder: the folder; it need not exist yet.
    """

    folder: Path

    def entries(self) -> list[JsonObject]:
        """One object for each run, experiment and watched training, with all that a list is sorted and filtered by.

        `name`; `kind`: run, experiment or watch; `data` and `network` in words; `epochs`; `score` with its `measure`,
        that of the rows furthest from the training; `status`; `outcome` in a sentence; `finished`: date and time;
        `seconds`; `trials`: how many of an experiment are `done`, and their `total`; `report`: whether it has one.
        """
        if not self.folder.is_dir():
            return []
        return [*self._runs(), *map(self.experiment, self._experiments()), *self._watches()]

    def report(self, name: str) -> str:
        """The page of a run or an experiment: its file, or for a run without one made now.

        Raises:
            KeyError: there is no such run or experiment.
            InputError: it has no report yet, or is damaged.
        """
        path = self._paths()[name]
        if os.path.lexists(path / REPORT_FILE):
            return read_bytes(path / REPORT_FILE, _LARGEST_REPORT).decode("utf-8", "replace")
        if not os.path.isfile(path / "spec.toml"):
            raise InputError(name, "has no report yet")
        return load(path).report()

    def curves(self, names: Sequence[str]) -> list[JsonObject]:
        """The measures by epoch of some runs, at most 1000 points of each; what is not finite is None.

        Raises:
            KeyError: there is no such run.
            InputError: there are too many, or one is damaged.
        """
        if len(names) > MOST_COMPARED:
            raise InputError("names", f"expected at most {MOST_COMPARED} runs, received {len(names)}")
        paths = self._paths()
        return [{"name": name, "curves": _curves(read_history(paths[name]))} for name in names]

    def experiment_path(self, name: str) -> Path:
        """The folder of an experiment. Raises KeyError if there is no such experiment."""
        return self._experiments()[name]

    def experiment(self, name: str) -> JsonObject:
        """The entry of an experiment, from its files alone. Raises KeyError if there is no such experiment."""
        path = self.experiment_path(name)
        done = sum(1 for _ in (path / TRIALS).glob(f"*/{RESULT_FILE}"))
        entry = _entry(name, "experiment", report=(path / REPORT_FILE).is_file())
        try:
            experiment = Experiment.of(read_spec_table(str(path / EXPERIMENT_FILE)), name)
            entry["data"] = data_name(experiment.spec(experiment.arms[0]))
        except InputError as error:
            return {**entry, "status": "damaged", "outcome": printable(str(error))}
        total = trials_of(experiment)
        running = is_locked(path)
        ended = bool(entry["report"]) and not running
        return {
            **entry,
            "network": f"{len(experiment.arms)} arms",
            "trials": {"done": done, "total": max(done, total)},
            "status": "running" if running else "finished" if ended else "interrupted",
            "outcome": f"{done} of {max(done, total)} trials",
        }

    def _runs(self) -> list[JsonObject]:
        return [
            {
                **_entry(printable(row.name), "run", report=bool(row.measures)),
                "data": printable(row.data),
                "network": printable(row.network),
                "epochs": row.epochs,
                "status": row.status,
                "outcome": printable(row.outcome),
                "finished": printable(row.finished),
                "seconds": row.seconds,
                **_score(row),
            }
            for row in list_runs(self.folder)
        ]

    def _watches(self) -> list[JsonObject]:
        return [
            {
                **_entry(printable(row.name), "watch", report=False),
                "network": printable(row.model),
                "epochs": row.epochs,
                "outcome": printable(row.outcome),
            }
            for row in list_watches(self.folder)
        ]

    def _experiments(self) -> dict[str, Path]:
        return {name: path for name, path in self._paths().items() if os.path.isfile(path / EXPERIMENT_FILE)}

    def _paths(self) -> dict[str, Path]:
        """The folders of runs and experiments by their printable names."""
        if not self.folder.is_dir():
            return {}
        folders = (path for path in sorted(self.folder.iterdir()) if path.is_dir() and not is_watch_folder(path))
        kept = (path for path in folders if any(map(os.path.isfile, (path / "spec.toml", path / EXPERIMENT_FILE))))
        return {printable(path.name): path for path in kept}


def trials_of(experiment: Experiment) -> int:
    """The number of trainings of an experiment, those with fresh seeds too."""
    seeds = experiment.seeds
    return len(experiment.arms) * seeds.count + len(experiment.contenders) * len(seeds.fresh_numbers)


def _entry(name: str, kind: str, report: bool) -> JsonObject:
    return {
        "name": name,
        "kind": kind,
        "data": "",
        "network": "",
        "epochs": 0,
        "score": None,
        "measure": "",
        "status": "finished",
        "outcome": "",
        "finished": "",
        "seconds": 0.0,
        "trials": None,
        "report": report,
    }


def _score(row: RunRow) -> JsonObject:
    score = row.score
    return {"score": _finite(score.value), "measure": f"{score.rows} {printable(score.measure)}"} if score else {}


def _curves(history: Sequence[Mapping[str, float]]) -> JsonObject:
    chosen = np.unique(np.linspace(0, len(history) - 1, min(len(history), _MOST_POINTS)).astype(int))
    names = dict.fromkeys(name for record in history for name in record)
    return {printable(name): [_finite(history[index].get(name, math.nan)) for index in chosen] for name in names}


def _finite(value: float) -> Json:
    return float(value) if math.isfinite(value) else None
