"""Which patients learn: each is trained with several seeds, and set against what its rows allow.

    python clinic/learns.py [CASE ...] [--jobs N] [--json FILE]

prints a table, and keeps it in learns.json; with cases, those of them anew.

A program is scored on its training rows, with its last weights: by the share of rows told right (classes, or all
labels of a row), or by R² (numbers), whatever loss it trains with. Between the best answer that is always the same
(score 0) and what can be done on these rows (score 1) it has to come three quarters of the way, in most of its seeds.

What can be done: of 100 rows or more, what a random forest does on rows that it has not seen (five parts in turn); of
fewer, what whoever knows them by heart does. Where that is hardly more than the constant answer, nobody learns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_predict

from make_data import make_data
from register import Patient, patients
from thalweg.data import Dataset
from thalweg.experiments.experiment import Trial
from thalweg.experiments.results import Result, read_trial
from thalweg.experiments.runner import run_trials
from thalweg.experiments.variation import Arm
from thalweg.parts.settings import Off
from thalweg.spec.complete import completed
from thalweg.spec.differences import canonical_json
from thalweg.spec.spec import CompleteSpec
from thalweg.spec.toml import read_spec

RESULTS = Path(__file__).parent / "learns.json"
SEEDS = 5
# A training of more updates than this is tried with fewer seeds.
MANY_UPDATES, FEWER_SEEDS = 40_000, 3
SHARE = 0.75
# Less than this above the constant answer is nothing that could be learnt.
LEAST = 0.05
# Fewer rows are learnt by heart; of more than so many a forest sees a part.
FEW_ROWS, MOST_ROWS = 100, 5000


class Range(NamedTuple):
    """Scores on rows: of the best constant answer, and of what can be done."""

    constant: float
    attainable: float

    def share(self, score: float) -> float:
        """How much of the way from the one to the other; 0 where there is no way to go."""
        way = self.attainable - self.constant
        return (score - self.constant) / way if way >= LEAST else 0.0


class Outcome(NamedTuple):
    """What one seed came to."""

    seed: int
    loss: float
    score: float
    diverged: str
    learned: bool


class Verdict(NamedTuple):
    """What a patient came to over its seeds."""

    patient: Patient
    measure: str
    rows: Range
    outcomes: tuple[Outcome, ...]

    @property
    def learned(self) -> int:
        """The number of seeds that learn."""
        return sum(outcome.learned for outcome in self.outcomes)

    @property
    def learns(self) -> bool:
        """Whether most of them do."""
        return 2 * self.learned > len(self.outcomes)

    def described(self) -> dict[str, object]:
        """Itself as JSON holds it."""
        return {
            "case": self.patient.case,
            "role": self.patient.role,
            "faults": self.patient.faults,
            "learns": self.learns,
            "learned": self.learned,
            "measure": self.measure,
            **self.rows._asdict(),
            "seeds": [outcome._asdict() for outcome in self.outcomes],
        }


def score(task: str, y: np.ndarray, answers: np.ndarray) -> float:
    """The share of rows told right, or R² (n, outputs)."""
    if task == "regression":
        return float(1 - ((y - answers) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())
    right = y == answers
    return float(np.mean(right if y.ndim == 1 else right.all(axis=1)))


def range_of(data: Dataset) -> Range:
    """What a constant answer reaches on training rows, and what can be reached."""
    x, y = data.x, data.y
    if len(y) < FEW_ROWS:
        _, group = np.unique(x, axis=0, return_inverse=True)
        best = _by_heart(data.task, y, group.ravel())
    else:
        part = np.random.default_rng(0).permutation(len(y))[:MOST_ROWS]
        forest = RandomForestRegressor if data.task == "regression" else RandomForestClassifier
        targets = y.ravel() if data.task == "regression" else y
        folds = KFold(5, shuffle=True, random_state=0)
        found = cross_val_predict(forest(random_state=0), x[part], targets[part], cv=folds)
        best = score(data.task, y[part], found.reshape(y[part].shape))
    constant = _by_heart(data.task, y, np.zeros(len(y), int))
    return Range(constant, max(best, constant))


def _by_heart(task: str, y: np.ndarray, group: np.ndarray) -> float:
    """The score of the best answers that are the same for all rows of a group."""
    answers = np.empty_like(y)
    for number in np.unique(group):
        own = y[group == number]
        values, counts = np.unique(own, axis=0, return_counts=True)
        answers[group == number] = own.mean(axis=0) if task == "regression" else values[counts.argmax()]
    return score(task, y, answers)


def verdicts(chosen: Sequence[Patient], jobs: int | None = None) -> list[Verdict]:
    """Train each patient with its seeds, and judge it; progress goes to stderr."""
    make_data()
    cases = {case.patient.name: case for case in _cases(chosen)}
    found: dict[str, dict[int, Outcome]] = {name: {} for name in cases}
    trials = [_trial(name, case.spec, seed) for name, case in cases.items() for seed in range(case.seeds)]

    def finished(trial: Trial, path: Path) -> None:
        name = trial.arm.label
        case = cases[name]
        found[name][trial.seed] = outcome_of(case.measure, case.rows, trial.seed, read_trial(path))
        print(f"{sum(map(len, found.values()))} of {len(trials)}: {name}, seed {trial.seed}", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="thalweg-") as folder:
        if failed := run_trials(trials, Path(folder), finished, jobs):
            raise next(iter(failed.values()))
    return [
        Verdict(case.patient, case.measure, case.rows, tuple(found[name][seed] for seed in range(case.seeds)))
        for name, case in cases.items()
    ]


class _Case(NamedTuple):
    """What is known of a patient before it is trained."""

    patient: Patient
    spec: CompleteSpec
    seeds: int
    measure: str
    rows: Range


def _cases(chosen: Sequence[Patient]) -> Iterator[_Case]:
    ranges: dict[str, Range] = {}
    for patient in chosen:
        spec = dataclasses.replace(read_spec(str(patient.path)), probes=Off())
        data = spec.data.load(seed=0).train
        assert isinstance(data, Dataset)
        # Programs on the same rows share what can be done there; a forest does not mind how inputs are scaled.
        rows = canonical_json([spec.data.source.describe(), spec.data.test, spec.data.validation])
        if rows not in ranges:
            ranges[rows] = range_of(data)
        whole = completed(spec, data)
        yield _Case(patient, whole, seeds_of(whole, len(data)), measure_of(data), ranges[rows])


def measure_of(data: Dataset) -> str:
    """By what answers on these rows are scored."""
    return "r2" if data.task == "regression" else "accuracy"


def outcome_of(measure: str, rows: Range, seed: int, result: Result) -> Outcome:
    """What a run came to."""
    at = result.measures["training"]
    reached = at[measure]
    return Outcome(seed, at["loss"], reached, result.diverged, not result.diverged and rows.share(reached) >= SHARE)


def kept(file: Path = RESULTS) -> list[Verdict]:
    """The verdicts that a file of results holds."""
    results = json.loads(file.read_text())
    return [
        Verdict(
            patient,
            found["measure"],
            Range(found["constant"], found["attainable"]),
            tuple(Outcome(**outcome) for outcome in found["seeds"]),
        )
        for patient in patients()
        if (found := results.get(patient.name))
    ]


def seeds_of(spec: CompleteSpec, rows: int) -> int:
    """With how many seeds a training is tried."""
    size = spec.training.batch_size
    updates = spec.training.epochs * (-(-rows // size) if isinstance(size, int) else 1)
    return FEWER_SEEDS if updates > MANY_UPDATES else SEEDS


def _trial(name: str, spec: CompleteSpec, seed: int) -> Trial:
    whole = dataclasses.replace(spec, training=dataclasses.replace(spec.training, seed=seed))
    return Trial(Arm(name, ()), seed, whole, f"{name} {seed}")


def table(found: Sequence[Verdict]) -> str:
    """All verdicts as a table in Markdown."""
    head = "| patient | role | final loss by seed | measure by seed | constant, attainable | learns | record |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *map(_row, found)])


def _row(verdict: Verdict) -> str:
    losses = " ".join("diverged" if o.diverged else f"{o.loss:.3g}" for o in verdict.outcomes)
    scores = " ".join("-" if o.diverged else f"{o.score:.2f}" for o in verdict.outcomes)
    verdict_text = f"{'yes' if verdict.learns else 'no'}, {verdict.learned} of {len(verdict.outcomes)}"
    limits = f"{verdict.rows.constant:.2f}, {verdict.rows.attainable:.2f}"
    measure = "R²" if verdict.measure == "r2" else "accuracy"
    patient = verdict.patient
    cells = (patient.name, patient.role, losses, f"{measure} {scores}", limits, verdict_text, patient.facts["record"])
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="cases or patients; without any, all")
    parser.add_argument("--jobs", type=int, help="processes; one for each core unless given")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file of results")
    words = parser.parse_args()
    known = patients()
    unknown = {*words.cases} - {p.case for p in known} - {p.name for p in known}
    if unknown:
        parser.error(f"no case and no patient is called {', '.join(sorted(unknown))}")
    chosen = [p for p in known if not words.cases or {p.case, p.name} & {*words.cases}]
    found = verdicts(chosen, words.jobs)
    before = kept(words.json) if words.cases and words.json.exists() else []
    results = {verdict.patient.name: verdict.described() for verdict in (*before, *found)}
    words.json.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
