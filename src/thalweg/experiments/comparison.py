"""The comparison of the arms of an experiment."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..core.files import JsonObject, commit
from ..core.printable import printable
from ..pages.blocks import Block, Chart, Heading, Suggestion, Text
from ..pages.latex import latex_table
from ..pages.numbers import count_noun, measure_name
from ..pages.page import Page, Paged
from ..parts.metrics import larger_is_better
from ..spec.spec import CompleteSpec
from ..spec.toml import to_toml
from .charts import charts_of
from .experiment import Experiment, Trial
from .ranking import ArmResult, AxisEffect, Baseline, Ranking, axis_effects, baseline_of
from .render import arms_table, effects_blocks, evidence, failures_table, held_out_table, pairs_blocks
from .results import EXPERIMENT_FILE, TRIALS, TrialResult

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars

# Rows of the table of arms on a page and on a terminal.
_PAGE_ROWS = 100
_SUMMARY_ROWS = 12


@dataclass(frozen=True, eq=False)
class Comparison(Paged):
    """The arms of an experiment compared with each other, paired by seed.

    Attributes:
        experiment: the experiment.
        trials: all its trials.
        results: results of the trials that ran, by key.
        failed: errors of the trials that could not run, by key.
        folder: the experiment's folder; None where nothing was kept.
        constants: accuracy (or R²) of the best constant answer on the validation rows of each arm, by label; empty
            where it is not known.
    """

    experiment: Experiment
    trials: tuple[Trial, ...]
    results: Mapping[str, TrialResult]
    failed: Mapping[str, InputError]
    folder: Path | None = None
    constants: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The arms, the best one and where more is, in two lines."""
        return printable(f"{self._title}: {self._summary_line}\n.evidence says what it shows; .report() is the page.")

    @cached_property
    def measure(self) -> str:
        """The measure that arms are compared by, as "validation_accuracy"."""
        if self.experiment.compare.measure is not None:
            return self.experiment.compare.measure
        return "validation_accuracy" if self._score_name == "accuracy" else "validation_loss"

    @property
    def _score_name(self) -> str:
        measures = next(iter(self.results.values())).measures["validation"]
        return "accuracy" if "accuracy" in measures else "r2"

    @cached_property
    def baseline(self) -> Baseline:
        """The arm that the others are compared with: the one that [compare] names, or the first one that learned."""
        if self.experiment.nuisance is not None:
            # The arms only serve to choose levels: the contenders may have a baseline.
            return Baseline(None)
        named = self.experiment.compare.baseline
        if not self.constants:
            return Baseline(named or self.experiment.arms[0].label)
        scores = {label: self._values(label, "validation", self._score_name) for label in self.trials_of}
        return baseline_of(named, scores, self.constants, self._score_name)

    @property
    def higher_is_better(self) -> bool:
        """Whether the measure grows as a network learns."""
        return larger_is_better(self.measure)

    @cached_property
    def ranking(self) -> Ranking:
        """The statistics of the arms."""
        rows, name = self.measure.split("_", 1)
        return Ranking.of(
            values={label: self._values(label, rows, name) for label in self.trials_of},
            losses={label: self._values(label, rows, "loss") for label in self.trials_of},
            measure=self.measure,
            baseline=self.baseline.label,
        )

    @property
    def arms(self) -> tuple[ArmResult, ...]:
        """The result of each arm, in the order of the experiment."""
        return self.ranking.arms

    @property
    def ranked(self) -> tuple[ArmResult, ...]:
        """The arms, best first: by fewest diverged trials, then by mean, then by validation loss."""
        return self.ranking.ranked

    @property
    def best(self) -> ArmResult:
        """The arm with the best mean over the validation rows, among those with the fewest diverged trials."""
        return self.ranking.best

    @property
    def rivals(self) -> tuple[str, ...]:
        """Labels of the arms that the evidence does not separate from the best one."""
        return self.ranking.rivals

    @property
    def unsteady(self) -> tuple[str, ...]:
        """Labels of the arms that are better than the best one where they finish, but diverge more often."""
        return self.ranking.unsteady

    @cached_property
    def effects(self) -> tuple[AxisEffect, ...]:
        """The effect of each setting of each axis; empty for a single axis, and for arms that are drawn at random."""
        return axis_effects(self.experiment, self.ranking)

    @cached_property
    def trials_of(self) -> dict[str, list[Trial]]:
        """The trials of each arm, ordered by seed."""
        trials: dict[str, list[Trial]] = {arm.label: [] for arm in self.experiment.arms}
        for trial in sorted(self.trials, key=lambda trial: trial.seed):
            trials[trial.arm.label].append(trial)
        return trials

    @cached_property
    def _results_of(self) -> dict[str, list[TrialResult | None]]:
        """The results of each arm by seed; None where a trial could not run."""
        return {label: [self.results.get(trial.key) for trial in trials] for label, trials in self.trials_of.items()}

    def _values(self, label: str, rows: str, name: str) -> np.ndarray:
        """A measure of an arm over a set of rows by seed (seeds,); NaN where a trial diverged or could not run."""
        return np.array(
            [
                result.measures[rows][name] if result and not result.diverged else math.nan
                for result in self._results_of[label]
            ]
        )

    @property
    def stages(self) -> tuple[Comparison, ...]:
        """The comparisons that this one consists of, in the order in which their trials run."""
        return (self,)

    @property
    def best_spec(self) -> CompleteSpec:
        """The completed spec of the best arm."""
        return self.trials_of[self.best.label][0].spec

    @cached_property
    def test_measures(self) -> dict[str, np.ndarray]:
        """The measures of the best arm over the test rows, (seeds,) each; empty where there are no test rows.

        They play no part in the choice of the arm.
        """
        results = [result for result in self._results_of[self.best.label] if result and not result.diverged]
        measures = [result.measures["test"] for result in results if "test" in result.measures]
        return {name: np.array([each[name] for each in measures]) for name in (measures[0] if measures else ())}

    @cached_property
    def table(self) -> polars.DataFrame:
        """One row for each trial, of all stages.

        The columns are the arm, the value of each axis, the seed, the key of the trial (its folder in `trials/`), what
        diverged and when, the number of epochs, the seconds, and the measures of training and validation rows. Measures
        of the test rows are left out: they play no part in the choice.
        """
        import polars

        return polars.DataFrame(self._rows(), infer_schema_length=None, strict=False)

    @cached_property
    def arms_table(self) -> polars.DataFrame:
        """One row for each arm, best first.

        The columns are the arm, the value of each axis, the mean of the measure with its interval, how many trials
        diverged, and the paired difference from the baseline with its interval, p-value and verdict.
        """
        import polars

        settings = {arm.label: arm.settings for arm in self.experiment.arms}
        rows = []
        for arm in self.ranked:
            row: dict[str, str | float | None] = {"arm": arm.label}
            for axis, setting in zip(self.experiment.axes, settings[arm.label], strict=True):
                row[axis.name] = setting.value
            row |= {self.measure: arm.mean, "low": arm.interval[0], "high": arm.interval[1], "diverged": arm.diverged}
            found = arm.difference
            row |= {f"difference_{name}": getattr(found, name, None) for name in ("mean", "low", "high", "p")}
            verdicts = {True: "better", False: "worse", None: "undecided"}
            row["verdict"] = verdicts[arm.better] if found else "baseline" if arm.label == self.baseline.label else None
            rows.append(row)
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)

    def _rows(self) -> list[dict[str, str | float]]:
        return [self._row(trial) for trial in self.trials]

    def _row(self, trial: Trial) -> dict[str, str | float]:
        row: dict[str, str | float] = {"arm": trial.arm.label}
        row |= {
            axis.name: setting.value for axis, setting in zip(self.experiment.axes, trial.arm.settings, strict=True)
        }
        row |= {"seed": trial.seed, "trial": trial.key, "diverged": str(self.failed.get(trial.key, ""))}
        result = self.results.get(trial.key)
        if result:
            row |= {"epochs": len(result.history), "seconds": result.seconds, "diverged": result.diverged}
            for rows in ("training", "validation"):
                row |= {f"{rows}_{name}": value for name, value in result.measures[rows].items()}
        return row

    @property
    def evidence(self) -> str:
        """What the evidence supports and what it does not, in sentences."""
        return " ".join(filter(None, [evidence(self.ranking), self.baseline.remark]))

    @cached_property
    def _charts(self) -> list[Chart]:
        return charts_of(self.experiment, self.ranking, self._results_of)

    def figures(self) -> list[go.Figure]:
        """The charts of the report as plotly figures."""
        return [chart.figure for chart in self._charts]

    def summary(self) -> Page:
        """The evidence and the best arms, for a terminal."""
        return Page(self._title, tuple(self._answer(_SUMMARY_ROWS)), self._summary_line)

    def page(self) -> Page:
        """The evidence, tables and charts."""
        blocks: list[Block] = [Heading("What the evidence says"), *self._answer(_PAGE_ROWS)]
        if self._charts:
            blocks += [Heading("Charts"), *self._charts]
        blocks += self._details()
        if failures := [failure for stage in self.stages for failure in stage._failures]:
            blocks += [Heading("Trials that did not finish"), failures_table(failures)]
        if self._charts:
            blocks += [Heading(f"The best arm: {self.best.label}"), *self._held_out, *self._commands]
        return Page(self._title, tuple(blocks), self._summary_line, self._settings)

    def _answer(self, most_rows: int) -> list[Block]:
        """The evidence and the arms, in tables of at most this many rows."""
        pairs = [] if self.baseline.label else pairs_blocks(self.ranking)
        return [Text(self.evidence), arms_table(self.ranking, most_rows), *pairs]

    def _details(self) -> list[Block]:
        """What follows the charts."""
        if not self.effects:
            return []
        return [
            Heading("Effect of each axis"),
            *effects_blocks(self.effects, self.measure, self.ranking.seeds),
        ]

    @property
    def _title(self) -> str:
        return f"Experiment {self.experiment.name}"

    @property
    def _summary_line(self) -> str:
        arms = count_noun(len(self.arms), "arm")
        trials = count_noun(len(self.trials), "trial")
        line = f"{arms}, {count_noun(self.ranking.seeds, 'seed')} each: {trials}."
        return f"{line} The best: {self.best.label}." if math.isfinite(self.best.mean) else line

    @property
    def _settings(self) -> tuple[tuple[str, str], ...]:
        experiment = self.experiment
        direction = "higher" if self.higher_is_better else "lower"
        return (
            ("arms", str(len(experiment.arms))),
            ("seeds", ", ".join(map(str, experiment.seeds.numbers))),
            ("trials", f"{len(self.results)} of {len(self.trials)}"),
            ("measure", f"{measure_name(self.measure)}, {direction} is better"),
            ("baseline", self.baseline.label or "none"),
            *(("axis", f"{axis.name} ({axis.path})" if axis.path else axis.name) for axis in experiment.axes),
        )

    @property
    def _failures(self) -> list[tuple[str, int, str]]:
        """Arm, seed and reason of each trial that diverged or could not run."""
        reasons = {key: str(error) for key, error in self.failed.items()}
        reasons |= {key: result.diverged for key, result in self.results.items() if result.diverged}
        return [(trial.arm.label, trial.seed, reasons[trial.key]) for trial in self.trials if trial.key in reasons]

    @property
    def _held_out(self) -> list[Block]:
        return [held_out_table(self.test_measures)] if self.test_measures else []

    @property
    def _commands(self) -> list[Block]:
        """The spec of the best arm, and commands to go on with."""
        blocks: list[Block] = [Suggestion("Its spec:", to_toml(self.best_spec))]
        if self.folder is not None:
            trial = self.trials_of[self.best.label][0]
            again = f"thalweg train {self.folder / 'best.toml'} --probes light"
            blocks.append(Suggestion("Train it again with a report and probes:", again))
            blocks.append(
                Suggestion(
                    "Make the report of one of its trials:", f"thalweg report {self.folder / TRIALS / trial.key}"
                )
            )
        return blocks

    def describe(self) -> JsonObject:
        """The results as JSON; a number that is not finite is null."""
        return {
            "folder": str(self.folder) if self.folder else None,
            "evidence": self.evidence,
            "measure": self.measure,
            "seeds": list(self.experiment.seeds.numbers),
            "baseline": self.baseline.label,
            "best": self.best.label,
            "arms": [_described_arm(arm) for arm in self.arms],
            "test": {name: values.tolist() for name, values in self.test_measures.items()},
            "failed": {key: str(error) for stage in self.stages for key, error in stage.failed.items()},
        }

    def save(self, folder: Path, library: Path | None = None) -> None:
        """Write the files of an experiment's folder that are made from its trials; see `report` for a shared library.

        Raises InputError where one cannot be written.
        """
        import tomli_w

        commit(folder / EXPERIMENT_FILE, tomli_w.dumps(self.stages[0].experiment.describe()).encode())
        parquet = io.BytesIO()
        self.table.write_parquet(parquet)
        commit(folder / "trials.parquet", parquet.getvalue())
        commit(folder / "trials.csv", self.table.write_csv().encode())
        commit(folder / "arms.csv", self.arms_table.write_csv().encode())
        arms = arms_table(self.ranking, len(self.arms))
        commit(folder / "arms.md", Page(self._title, (arms,)).markdown().encode())
        commit(folder / "arms.tex", latex_table(arms).encode())
        commit(folder / "best.toml", to_toml(self.best_spec).encode())
        self.report(folder / "report.html", library)


def _described_arm(arm: ArmResult) -> JsonObject:
    return {
        "arm": arm.label,
        "values": [_finite_or_none(value) for value in arm.values],
        "mean": _finite_or_none(arm.mean),
        "interval": [_finite_or_none(end) for end in arm.interval],
        "diverged": arm.diverged,
        "difference": arm.difference and arm.difference.describe(),
        "better": arm.better,
    }


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
