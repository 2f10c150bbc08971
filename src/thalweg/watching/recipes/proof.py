"""The result of remedy trials of a recipe: verdicts on the remedies, and the lines of PyTorch of the repair."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.files import Json
from ...experiments.remedy_trials.proof import RemedyTrials
from ...pages.blocks import Block, CodeBlock, Heading, Table, Text
from ...pages.numbers import number
from .edits import lines_of
from .random_change import SPACE

LOOP_REMARK = (
    "This was trained in the plain loop of the recipe. If the recipe learns and your own training does not, the fault"
    " is in your loop, not in the model, the data, the loss or the optimizer."
)
"""What a recipe that learns says of the user's own loop."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RecipeProof(RemedyTrials):
    """Remedies of a recipe tried in paired trials, and the repaired recipe.

    Attributes:
        changes: places of the recipe with their repaired values; None where nothing helps.
    """

    subject = "recipe"
    space = SPACE

    changes: dict[str, Json] | None

    @property
    def lines(self) -> str:
        """The lines of PyTorch to write, in the order in which they belong into the program; "" where nothing helps."""
        return lines_of(self.changes) if self.changes else ""

    @property
    def _repair_blocks(self) -> list[Block]:
        blocks: list[Block] = []
        if self.changes:
            blocks += [
                Heading("The repaired recipe"),
                Table("What is changed", ("place", "new value"), [(k, number(v)) for k, v in self.changes.items()]),
                Text("The lines to write:"),
                CodeBlock(self.lines),
            ]
        return [*blocks, Text(LOOP_REMARK)]

    @property
    def _repaired_json(self) -> Json:
        return {"changes": dict(self.changes), "lines": self.lines} if self.changes else None

    @property
    def _repaired_file(self) -> tuple[str, str]:
        return "repaired.py", f"{self.lines}\n" if self.changes else ""
