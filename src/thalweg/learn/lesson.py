"""The base class of lessons: parameters that the reader may change, and a page computed by the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..core.progress import ProgressMessage
from ..pages.blocks import Block, Suggestion
from ..pages.page import Page, Paged
from ..parts.part import Part
from ..spec.spec import Spec

Chapter = Literal[
    "One unit",
    "More than a line",
    "Outputs and losses",
    "The flow of delta",
    "The way down",
    "Pictures",
    "At full size",
]
"""The chapters, in the order of teaching."""

DEEPEST_SHOWN = 6
"""Most hidden layers of a network that the playground draws."""


@dataclass(frozen=True)
class Lesson(Part, Paged, ABC, family="lesson"):
    """A short page of text, formulas, computed numbers, figures, checks and suggestions.

    The fields of a subclass are the parameters of the lesson. A subclass also sets these class variables:

    Attributes:
        title: The title of the page.
        subject: What the reader learns, in one line.
        chapter: The chapter of the lesson.
        place: The position within the chapter; lessons are ordered by it.
        quick: Values of some parameters that make the lesson short. The checks hold with them too.
    """

    title: ClassVar[str]
    subject: ClassVar[str]
    chapter: ClassVar[Chapter]
    place: ClassVar[int]
    quick: ClassVar[Mapping[str, object]] = {}

    @property
    def playground(self) -> Spec | None:
        """The training with which the playground opens this lesson; None: the lesson has none that it can show."""
        return None

    @abstractmethod
    def blocks(self) -> Iterator[Block | ProgressMessage]:
        """Yield the blocks of the page in order, each as soon as it is computed, and progress messages in between."""

    def page(self, watch: Callable[[ProgressMessage], None] = lambda message: None) -> Page:
        """The page with all blocks and the command that opens the playground; `watch` gets the progress messages."""
        blocks: list[Block] = []
        for block in self.blocks():
            if isinstance(block, ProgressMessage):
                watch(block)
            else:
                blocks.append(block)
        if self.playground:
            blocks.append(Suggestion("the network while it trains", f"thalweg playground --lesson {self.kind}"))
        parameters = {name: value for name, value in self.describe().items() if name != "kind"}
        settings = tuple((name, str(value)) for name, value in parameters.items())
        return Page(self.title, tuple(blocks), self.subject, settings)
