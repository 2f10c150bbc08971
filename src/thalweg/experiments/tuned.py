"""The comparison of contenders that each have the best level of an axis: chosen with some seeds, compared on others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from ..core.files import JsonObject
from ..data import Data
from ..pages.blocks import Block, Chart, Heading, Text
from ..pages.numbers import count_noun
from .charts import level_charts
from .choices import Choice, choice_notes, choices_table, levels_table, question_in_words
from .comparison import Comparison
from .experiment import Trial
from .ranking import Baseline
from .render import arms_table, pairs_blocks
from .results import TrialResult
from .variation import Axis


def unseen_measure(measure: str, results: Iterable[TrialResult]) -> str:
    """The measure over test rows, where every trial has some; otherwise over validation rows, as it is.

    >>> unseen_measure("validation_loss", [TrialResult([], {"test": {"loss": 0.5}}, "Trained.", "", 1.0)])
    'test_loss'
    """
    has_test = all("test" in result.measures for result in results)
    return f"test_{measure.removeprefix('validation_')}" if has_test else measure


def rows_in_words(measure: str, data: Data) -> str:
    """Which rows the contenders are compared on, and whether the levels were chosen on some of them."""
    if measure.startswith("validation"):
        return (
            "There are no test rows: they are compared on the validation rows of the fresh seeds. The levels were"
            " chosen on validation rows of other seeds."
        )
    if data.source.draws_rows:
        return "They are compared on test rows that each fresh seed draws anew; no level was chosen on them."
    if data.keeps_test_rows:
        return "They are compared on test rows that are the same for all seeds; no level was chosen on them."
    return (
        "They are compared on test rows. Each seed splits the same rows anew: a test row of a fresh seed may have been"
        " a validation row when the levels were chosen. Data with a test set of their own avoid this."
    )


@dataclass(frozen=True, eq=False)
class TunedComparison(Comparison):
    """Contenders compared over fresh seeds, each with the level of an axis that was best over other seeds.

    All that a `Comparison` has is about the fresh seeds.

    Attributes:
        tuning: the comparison of all arms over the seeds that the levels were chosen with.
        choices: the choice of each contender.
        rows: which rows the contenders are compared on, in a sentence.
    """

    tuning: Comparison = field(kw_only=True)
    choices: tuple[Choice, ...] = field(kw_only=True)
    rows: str = field(kw_only=True)

    @property
    def axis(self) -> Axis:
        """The axis whose best level was chosen."""
        axis = self.tuning.experiment.nuisance
        assert axis is not None
        return axis

    @property
    def stages(self) -> tuple[Comparison, ...]:
        """The comparison that the levels were chosen by, and this one."""
        return self.tuning, self

    @property
    def evidence(self) -> str:
        """What the evidence supports and what it does not, in sentences."""
        return " ".join([super().evidence, *choice_notes(self.choices, self.axis.name)])

    @cached_property
    def baseline(self) -> Baseline:
        """The baseline that [compare] names; otherwise none, because the arms are compared in pairs."""
        return super().baseline if self.experiment.compare.baseline else Baseline(None)

    def _row(self, trial: Trial) -> dict[str, str | float]:
        """A row of the table, with the test measures too: no level was chosen by them."""
        result = self.results.get(trial.key)
        test = result.measures.get("test", {}) if result else {}
        return super()._row(trial) | {f"test_{name}": value for name, value in test.items()}

    def _rows(self) -> list[dict[str, str | float]]:
        """The rows of both stages; the column "stage" tells them apart."""
        stages = (("tuning", self.tuning._rows()), ("fresh seeds", super()._rows()))
        return [{"stage": stage, **row} for stage, rows in stages for row in rows]

    @cached_property
    def _charts(self) -> list[Chart]:
        chosen = {choice.contender: choice.best.arm for choice in self.choices if choice.best}
        return [*level_charts(self.tuning.experiment, self.axis, self.tuning.ranking, chosen), *super()._charts]

    def _answer(self, most_rows: int) -> list[Block]:
        name = self.axis.name
        fresh = {arm.label: arm for arm in self.arms}
        return [
            Text(f"{question_in_words(self.tuning.experiment, self.choices, name)} {self.rows}"),
            Text(self.evidence),
            choices_table(self.choices, name, self.tuning.ranking, fresh, self.measure),
            *([arms_table(self.ranking, most_rows)] if self.baseline.label else []),
            *pairs_blocks(self.ranking),
        ]

    def _details(self) -> list[Block]:
        return [
            Heading(f"How the best {self.axis.name} was chosen"),
            levels_table(self.choices, self.axis.name, self.tuning.ranking),
            *super()._details(),
        ]

    @property
    def _held_out(self) -> list[Block]:
        """Nothing: where there are test rows, all arms are compared on them."""
        return []

    @property
    def _summary_line(self) -> str:
        trials = sum(len(stage.trials) for stage in self.stages)
        line = (
            f"{count_noun(len(self.choices), 'arm')}, each at its best {self.axis.name}: {count_noun(trials, 'trial')}."
        )
        return f"{line} The best: {self.best.label}."

    def describe(self) -> JsonObject:
        """The results as JSON: those of the fresh seeds, and below "tuning" how the levels were chosen."""
        choices: list[JsonObject] = [
            {
                "arm": choice.contender,
                "best": choice.best.arm.label if choice.best else None,
                "level": choice.best.setting.value if choice.best else None,
                "edge": choice.edge or None,
                "tied": list(choice.tied),
                "trials": len(choice.levels) * self.tuning.ranking.seeds,
                "diverged": choice.diverged,
            }
            for choice in self.choices
        ]
        tuning = {name: value for name, value in self.tuning.describe().items() if name in ("measure", "arms", "seeds")}
        pairs: list[JsonObject] = [
            {
                "first": pair.first,
                "second": pair.second,
                "difference": pair.difference and pair.difference.describe(),
                "first_is_better": pair.better,
            }
            for pair in self.ranking.pairs
        ]
        return super().describe() | {
            "rows": self.rows,
            "pairs": [*pairs],
            "choices": [*choices],
            "tuning": tuning,
        }
