"""The result of remedy trials of a recipe: verdicts on the remedies, and the lines of PyTorch of the repair."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ...core.files import Json
from ...experiments.remedy_trials.proof import RemedyTrials
from ...pages.blocks import Block, CodeBlock, Heading, Table, Text
from ...pages.numbers import number
from ...pages.page import Page
from .edits import lines_of
from .random_change import SPACE

LEARNS = (
    "The recipe learns in a plain loop. If your own training does not, the fault is in your loop, not in the model, the"
    " data, the loss or the optimizer."
)
"""What a recipe that learns says of the user's own loop."""
DOES_NOT_LEARN = (
    "The recipe itself falls short in a plain loop, so the fault is in the model, the data, the loss, the optimizer or"
    " the length of the training. Your own loop was not examined."
)
"""What a recipe says that does not learn, or that a remedy makes better."""


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
        if not self.changes:
            # A recipe without effects was near the best of all arms, and no remedy was tried any further.
            return [] if self.effects else [Text(LEARNS)]
        changes = [(place, _in_words(value)) for place, value in self.changes.items()]
        return [
            Heading("The repaired recipe"),
            Table("What is changed", ("place", "new value"), changes),
            *self._lines_to_write,
            Text(DOES_NOT_LEARN),
        ]

    @property
    def _lines_to_write(self) -> list[Block]:
        return [Text("The lines to write:"), CodeBlock(self.lines)] if self.changes else []

    def summary(self) -> Page:
        """The evidence, the table of the remedies and the lines to write, for a terminal."""
        page = super().summary()
        return dataclasses.replace(page, blocks=(*page.blocks, *self._lines_to_write))

    @property
    def _repaired_json(self) -> Json:
        return {"changes": dict(self.changes), "lines": self.lines} if self.changes else None

    @property
    def _repaired_file(self) -> tuple[str, str]:
        return "repaired.py", f"{self.lines}\n" if self.changes else ""


def _in_words(value: Json) -> str:
    return ", ".join(map(number, value)) if isinstance(value, list) else number(value)
