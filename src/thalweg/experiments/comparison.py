"""What the trials of an experiment say when they are set beside each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.files import commit
from ..core.intervals import Difference, bootstrap
from ..pages.page import Page
from ..parts.metrics import LARGER_IS_BETTER
from ..spec.spec import CompleteSpec
from ..spec.toml import to_toml
from .experiment import Experiment, Trial
from .results import Result

if TYPE_CHECKING:
    import polars

# With fewer seeds than this an interval that leaves out 0 is a hint: all differences of 4 pairs have the same sign by
# chance in one of 8 cases.
ENOUGH_SEEDS = 5


class ArmResult(NamedTuple):
    """What an arm came to: its measure by seed (NaN where a trial diverged or could not run), their mean and interval.

    `loss` is the mean validation loss, by which equal ones are ranked. `difference` is that to the baseline, over the
    seeds that both have; None where there are none, and for the baseline itself. `better` is whether its interval lies
    on the better side of 0 (True), on the worse (False), or holds it (None).
    """

    label: str
    values: np.ndarray
    mean: float
    interval: tuple[float, float]
    loss: float
    diverged: int
    difference: Difference | None
    better: bool | None


class Effect(NamedTuple):
    """What one setting of an axis does, against the one that the baseline has, while all other axes stand still.

    `by_context` are the mean differences for each combination of the other axes, `difference` is their mean, with the
    interval over the seeds. `better` is as that of an `ArmResult`.
    """

    axis: str
    setting: str
    against: str
    by_context: np.ndarray
    difference: Difference
    better: bool | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """The arms of an experiment beside each other: `table` of all trials, `arms`, the `best` one, what is proven.

    `results` are those of the trials by key, `failed` the errors of those that could not run. It shows itself in a
    notebook; `report()` is the whole of it as a page.
    """

    experiment: Experiment
    trials: tuple[Trial, ...]
    results: Mapping[str, Result]
    failed: Mapping[str, InputError]
    folder: Path | None = None

    @cached_property
    def measure(self) -> str:
        """The measure that arms are compared by, as `validation_accuracy`."""
        if self.experiment.compare.measure is not None:
            return self.experiment.compare.measure
        known = next(iter(self.results.values())).measures["validation"]
        return "validation_accuracy" if "accuracy" in known else "validation_loss"

    @property
    def higher_is_better(self) -> bool:
        """Whether the measure grows as a network learns."""
        return self.measure.removeprefix("validation_") in LARGER_IS_BETTER

    @cached_property
    def table(self) -> polars.DataFrame:
        """One row a trial: its arm, the value of each axis, seed, epochs, seconds, measures of training and validation.

        `diverged` says what went wrong and when, `trial` names its folder. The measures of the test rows are left out:
        they choose nothing.
        """
        import polars

        rows = []
        for trial in self.trials:
            result = self.results.get(trial.key)
            values = [setting.value for setting in trial.arm.settings]
            row: dict[str, Any] = {"arm": trial.arm.label}
            row |= {axis.name: value for axis, value in zip(self.experiment.axes, values, strict=True)}
            row |= {"seed": trial.seed, "trial": trial.key, "diverged": str(self.failed.get(trial.key, ""))}
            if result:
                row |= {"epochs": len(result.history), "seconds": result.seconds, "diverged": result.diverged}
                row |= {
                    f"{part}_{name}": value
                    for part in ("training", "validation")
                    for name, value in result.measures[part].items()
                }
            rows.append(row)
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)

    @cached_property
    def arms(self) -> tuple[ArmResult, ...]:
        """What each arm came to, in the order of the experiment."""
        name = self.measure.removeprefix("validation_")
        values = {arm.label: self._values(arm.label, name) for arm in self.experiment.arms}
        baseline = self.experiment.baseline.label
        return tuple(self._arm(label, values[label], values[baseline], label == baseline) for label in values)

    @cached_property
    def trials_of(self) -> dict[str, list[Trial]]:
        """The trials of each arm, by seed."""
        found: dict[str, list[Trial]] = {arm.label: [] for arm in self.experiment.arms}
        for trial in sorted(self.trials, key=lambda trial: trial.seed):
            found[trial.arm.label].append(trial)
        return found

    def _values(self, label: str, name: str) -> np.ndarray:
        results = [self.results.get(trial.key) for trial in self.trials_of[label]]
        ended = [result if result and not result.diverged else None for result in results]
        return np.array([result.measures["validation"][name] if result else math.nan for result in ended])

    def _arm(self, label: str, values: np.ndarray, base: np.ndarray, is_base: bool) -> ArmResult:
        there = values[np.isfinite(values)]
        difference = None if is_base else paired(values, base)
        better = None if difference is None else self._says(difference)
        loss, lost = _mean(self._values(label, "loss")), len(values) - there.size
        return ArmResult(label, values, _mean(values), bootstrap(there), loss, lost, difference, better)

    def _says(self, difference: Difference) -> bool | None:
        if not difference.low > 0 and not difference.high < 0:
            return None
        return (difference.mean > 0) == self.higher_is_better

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """What each setting of each axis does; empty where there is one axis, or arms are drawn at random.

        For each seed the differences are averaged over the other axes; those of trials that diverged are left out.
        """
        axes = self.experiment.axes
        taken = [tuple(setting.label for setting in arm.settings) for arm in self.experiment.arms]
        grid = itertools.product(*([setting.label for setting in axis.settings] for axis in axes))
        if len(axes) < 2 or taken != list(grid):
            return ()
        seeds = self.experiment.seeds.count
        values = np.stack([arm.values for arm in self.arms]).reshape(*(len(axis.settings) for axis in axes), seeds)
        found = []
        for place, axis in enumerate(axes):
            base = axis.settings.index(self.experiment.baseline.settings[place])
            by_setting = np.moveaxis(values, place, 0).reshape(len(axis.settings), -1, seeds)
            for number, setting in enumerate(axis.settings):
                differences = by_setting[number] - by_setting[base]
                there = np.isfinite(differences)
                difference = paired(_means(differences, there, 0), np.zeros(seeds))
                if number != base and difference is not None:
                    contexts = _means(differences, there, 1)
                    labels = setting.label, axis.settings[base].label
                    found.append(Effect(axis.name, *labels, contexts, difference, self._says(difference)))
        return tuple(found)

    @cached_property
    def ranked(self) -> tuple[ArmResult, ...]:
        """The arms, the best first: by how few of their trials diverged, their mean, and their validation loss."""
        sign = -1 if self.higher_is_better else 1
        return tuple(sorted(self.arms, key=lambda arm: (arm.diverged, sign * arm.mean, arm.loss)))

    @property
    def best(self) -> ArmResult:
        """The arm with the best mean over the validation rows, among those of which fewest trials diverged."""
        return self.ranked[0]

    @cached_property
    def _to_the_best(self) -> dict[str, bool | None]:
        """Whether an arm is better than the best one, over the seeds that both have: of all arms that share some."""
        others = [arm for arm in self.arms if arm.label != self.best.label]
        found = {arm.label: paired(arm.values, self.best.values) for arm in others}
        return {label: self._says(difference) for label, difference in found.items() if difference}

    @property
    def comparable(self) -> int:
        """How many arms share seeds with the best one, on which neither diverged."""
        return len(self._to_the_best)

    @property
    def rivals(self) -> tuple[str, ...]:
        """The arms that the evidence does not tell from the best: those whose paired difference to it may be 0."""
        return tuple(label for label, better in self._to_the_best.items() if better is None)

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The arms that are better than the best one where they do not diverge, which they do more often."""
        return tuple(label for label, better in self._to_the_best.items() if better)

    @property
    def best_spec(self) -> CompleteSpec:
        """The spec of the best arm, with nothing left open."""
        return self.trials_of[self.best.label][0].spec

    @cached_property
    def test_measures(self) -> dict[str, np.ndarray]:
        """The measures of the best arm over the test rows, by seed; empty where there are none. They chose nothing."""
        results = [self.results[t.key] for t in self.trials_of[self.best.label] if t.key in self.results]
        parts = [result.measures["test"] for result in results if "test" in result.measures and not result.diverged]
        return {name: np.array([part[name] for part in parts]) for name in (parts[0] if parts else ())}

    def page(self) -> Page:
        """The comparison as a page of text, tables and charts."""
        from .render import worksheet_of

        return worksheet_of(self)

    def summary(self) -> Page:
        """The evidence and the table of the arms."""
        from .render import summary_of

        return summary_of(self)

    @property
    def evidence(self) -> str:
        """What the evidence supports and what it does not, in plain sentences."""
        from .render import evidence_of

        return evidence_of(self)

    def figures(self) -> list[Any]:
        """The charts of the report as plotly figures."""
        from .render import charts_of

        return [chart.figure for chart in charts_of(self)]

    def report(self) -> str:
        """The comparison as one HTML page that needs no network."""
        return self.page().html()

    def save(self, folder: Path) -> None:
        """Write experiment.toml, the table as Parquet and CSV, best.toml and report.html. Raises InputError."""
        import io

        import tomli_w

        commit(folder / "experiment.toml", tomli_w.dumps(self.experiment.describe()).encode())
        parquet, csv = io.BytesIO(), io.BytesIO()
        self.table.write_parquet(parquet)
        self.table.write_csv(csv)
        commit(folder / "trials.parquet", parquet.getvalue())
        commit(folder / "trials.csv", csv.getvalue())
        commit(folder / "best.toml", to_toml(self.best_spec).encode())
        commit(folder / "report.html", self.report().encode())

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


def _means(values: np.ndarray, there: np.ndarray, axis: int) -> np.ndarray:
    """The means along an axis of what is there; NaN where there is nothing."""
    count = there.sum(axis=axis)
    return np.where(count > 0, np.where(there, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    """The mean of what is finite, to 12 digits: rounding does not decide between equal arms. NaN: there is nothing."""
    there = values[np.isfinite(values)]
    return float(f"{there.mean():.12g}") if there.size else math.nan


def paired(values: Sequence[float] | np.ndarray, base: Sequence[float] | np.ndarray) -> Difference | None:
    """Values minus base (seeds,) over the seeds that both have: the mean, and its bootstrap interval. None: no such.

    >>> paired([1.0, 2.0, np.nan], [0.5, 1.5, 1.0])
    Difference(mean=0.5, low=0.5, high=0.5)
    """
    differences = np.asarray(values, dtype=float) - np.asarray(base, dtype=float)
    differences = differences[np.isfinite(differences)]
    return Difference(float(differences.mean()), *bootstrap(differences)) if differences.size else None
