"""Which cases learn: each is trained with several seeds, and its score is compared with what its rows allow.

    python clinic/learns.py [CASE ...] [--jobs N] [--json FILE]

prints a table and writes learns.json. With cases, only these are trained again.

The score of a program is measured on its training rows, with its last weights, whatever loss it trains with: accuracy
(of a row with several labels, all must be right), or R² for numbers. A program learns with a seed if it closes three
quarters of the gap between the best constant answer and the attainable score. A case learns if most of its seeds do.

The attainable score is, of 100 rows or more, that of a random forest on rows that it has not seen (cross-validation
with five parts); of fewer rows, the score of memorizing them. If it is hardly better than the constant answer, no case
learns.
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

from case_index import Case, all_cases, unknown_names
from make_data import make_data
from thalweg.data import Dataset
from thalweg.experiments.experiment import Trial
from thalweg.experiments.results import TrialResult, read_trial
from thalweg.experiments.runner import run_trials
from thalweg.experiments.variation import Arm
from thalweg.parts.settings import Off
from thalweg.spec.complete import completed
from thalweg.spec.differences import canonical_json
from thalweg.spec.spec import CompleteSpec
from thalweg.spec.toml import read_spec

RESULTS = Path(__file__).parent / "learns.json"
SEEDS = 5
# A training of more updates than this is repeated with fewer seeds.
MANY_UPDATES = 40_000
FEWER_SEEDS = 3
# A run learns if it closes this fraction of the gap between the constant and the attainable score.
SHARE = 0.75
# If the gap is smaller than this, there is nothing to learn.
LEAST_GAP = 0.05
# Of fewer rows than this, memorizing is the attainable score.
FEW_ROWS = 100
# The forest is trained on at most this many rows.
MOST_ROWS = 5000


class Range(NamedTuple):
    """Scores on given rows: of the best constant answer, and the attainable one."""

    constant: float
    attainable: float

    def share(self, score: float) -> float:
        """The fraction of the gap between the two that a score closes; 0 if there is no gap."""
        gap = self.attainable - self.constant
        return (score - self.constant) / gap if gap >= LEAST_GAP else 0.0


class Outcome(NamedTuple):
    """The result of a training with one seed."""

    seed: int
    loss: float
    """Final loss on the training rows."""
    score: float
    """Accuracy or R² on the training rows."""
    diverged: str
    """Where and when it diverged; empty if it did not."""
    learned: bool


class Verdict(NamedTuple):
    """The outcomes of a case over its seeds."""

    case: Case
    measure: str
    rows: Range
    outcomes: tuple[Outcome, ...]

    @property
    def learned(self) -> int:
        """The number of seeds that learn."""
        return sum(outcome.learned for outcome in self.outcomes)

    @property
    def learns(self) -> bool:
        """Whether most of the seeds learn."""
        return 2 * self.learned > len(self.outcomes)

    def described(self) -> dict[str, object]:
        """The entry of the case in learns.json."""
        return {
            "case": self.case.origin,
            "role": self.case.role,
            "faults": self.case.faults,
            "learns": self.learns,
            "learned": self.learned,
            "measure": self.measure,
            **self.rows._asdict(),
            "seeds": [outcome._asdict() for outcome in self.outcomes],
        }


def score_of(task: str, y: np.ndarray, answers: np.ndarray) -> float:
    """Accuracy over rows, or R² of targets (n, outputs)."""
    if task == "regression":
        return float(1 - ((y - answers) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())
    right = y == answers
    return float(np.mean(right if y.ndim == 1 else right.all(axis=1)))


def range_of(data: Dataset) -> Range:
    """The constant and the attainable score on training rows."""
    x = data.x
    y = data.y
    if len(y) < FEW_ROWS:
        _, group = np.unique(x, axis=0, return_inverse=True)
        best = _memorized_score(data.task, y, group.ravel())
    else:
        part = np.random.default_rng(0).permutation(len(y))[:MOST_ROWS]
        forest = RandomForestRegressor if data.task == "regression" else RandomForestClassifier
        targets = y.ravel() if data.task == "regression" else y
        folds = KFold(5, shuffle=True, random_state=0)
        answers = cross_val_predict(forest(random_state=0), x[part], targets[part], cv=folds)
        best = score_of(data.task, y[part], answers.reshape(y[part].shape))
    constant = _memorized_score(data.task, y, np.zeros(len(y), int))
    return Range(constant, max(best, constant))


def _memorized_score(task: str, y: np.ndarray, group: np.ndarray) -> float:
    """The score of the best answers that are the same for all rows of a group."""
    answers = np.empty_like(y)
    for number in np.unique(group):
        targets = y[group == number]
        values, counts = np.unique(targets, axis=0, return_counts=True)
        answers[group == number] = targets.mean(axis=0) if task == "regression" else values[counts.argmax()]
    return score_of(task, y, answers)


def verdicts(chosen: Sequence[Case], jobs: int | None = None) -> list[Verdict]:
    """Train each case with its seeds; progress goes to stderr."""
    make_data()
    prepared = {entry.case.name: entry for entry in _prepare(chosen)}
    outcomes: dict[str, dict[int, Outcome]] = {name: {} for name in prepared}
    trials = [_trial(name, entry.spec, seed) for name, entry in prepared.items() for seed in range(entry.seeds)]

    def on_finished(trial: Trial, path: Path) -> None:
        name = trial.arm.label
        entry = prepared[name]
        outcomes[name][trial.seed] = outcome_of(entry.measure, entry.rows, trial.seed, read_trial(path))
        print(f"{sum(map(len, outcomes.values()))} of {len(trials)}: {name}, seed {trial.seed}", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="thalweg-") as folder:
        if failed := run_trials(trials, Path(folder), on_finished, jobs):
            raise next(iter(failed.values()))
    return [
        Verdict(entry.case, entry.measure, entry.rows, tuple(outcomes[name][seed] for seed in range(entry.seeds)))
        for name, entry in prepared.items()
    ]


class _Prepared(NamedTuple):
    """A case before its training."""

    case: Case
    spec: CompleteSpec
    seeds: int
    """Number of seeds."""
    measure: str
    """accuracy or r2."""
    rows: Range


def _prepare(chosen: Sequence[Case]) -> Iterator[_Prepared]:
    ranges: dict[str, Range] = {}
    for case in chosen:
        spec = dataclasses.replace(read_spec(str(case.path)), probes=Off())
        data = spec.prepared_data.load(seed=0).train
        assert isinstance(data, Dataset)
        # Programs on the same rows share the range; the scaling of the inputs makes no difference to a forest.
        rows = canonical_json([spec.data.source.describe(), spec.data.test, spec.data.validation])
        if rows not in ranges:
            ranges[rows] = range_of(data)
        whole = completed(spec, data)
        yield _Prepared(case, whole, seeds_of(whole, len(data)), measure_of(data), ranges[rows])


def measure_of(data: Dataset) -> str:
    """The measure that scores answers on these rows: accuracy or r2."""
    return "r2" if data.task == "regression" else "accuracy"


def outcome_of(measure: str, rows: Range, seed: int, result: TrialResult) -> Outcome:
    """The outcome of a finished training."""
    measures = result.measures["training"]
    score = measures[measure]
    return Outcome(
        seed=seed,
        loss=measures["loss"],
        score=score,
        diverged=result.diverged,
        learned=not result.diverged and rows.share(score) >= SHARE,
    )


def read_verdicts(file: Path = RESULTS) -> list[Verdict]:
    """The verdicts in a file of results."""
    results = json.loads(file.read_text())
    return [
        Verdict(
            case,
            entry["measure"],
            Range(entry["constant"], entry["attainable"]),
            tuple(Outcome(**outcome) for outcome in entry["seeds"]),
        )
        for case in all_cases()
        if (entry := results.get(case.name))
    ]


def seeds_of(spec: CompleteSpec, rows: int) -> int:
    """Number of seeds for a training on a data set of that size."""
    size = spec.training.batch_size
    updates = spec.training.epochs * (-(-rows // size) if isinstance(size, int) else 1)
    return FEWER_SEEDS if updates > MANY_UPDATES else SEEDS


def _trial(name: str, spec: CompleteSpec, seed: int) -> Trial:
    whole = dataclasses.replace(spec, training=dataclasses.replace(spec.training, seed=seed))
    return Trial(Arm(name, ()), seed, whole, f"{name} {seed}")


def table(chosen: Sequence[Verdict]) -> str:
    """The verdicts as a table in Markdown."""
    head = "| case | role | final loss by seed | measure by seed | constant, attainable | learns | record |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *map(_row, chosen)])


def _row(verdict: Verdict) -> str:
    losses = " ".join("diverged" if o.diverged else f"{o.loss:.3g}" for o in verdict.outcomes)
    scores = " ".join("-" if o.diverged else f"{o.score:.2f}" for o in verdict.outcomes)
    learns = f"{'yes' if verdict.learns else 'no'}, {verdict.learned} of {len(verdict.outcomes)}"
    limits = f"{verdict.rows.constant:.2f}, {verdict.rows.attainable:.2f}"
    measure = "R²" if verdict.measure == "r2" else "accuracy"
    case = verdict.case
    cells = (case.name, case.role, losses, f"{measure} {scores}", limits, learns, case.facts["record"])
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names or numbers of cases [default: all]")
    parser.add_argument("--jobs", type=int, help="processes [default: one for each core]")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file of results")
    options = parser.parse_args()
    if unknown := unknown_names(options.cases):
        parser.error(f"unknown case: {', '.join(sorted(unknown))}")
    chosen = [case for case in all_cases() if not options.cases or {case.origin, case.name} & {*options.cases}]
    new = verdicts(chosen, options.jobs)
    before = read_verdicts(options.json) if options.cases and options.json.exists() else []
    results = {verdict.case.name: verdict.described() for verdict in (*before, *new)}
    options.json.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    print(table(new))


if __name__ == "__main__":
    main()
