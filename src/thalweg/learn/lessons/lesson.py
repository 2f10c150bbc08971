"""What a lesson is: parameters that may be changed, and a page that the engine works out from them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...core.progress import ProgressMessage
from ...pages.blocks import Block
from ...pages.page import Page
from ...parts.part import Part


@dataclass(frozen=True)
class Lesson(Part, ABC, family="lesson"):
    """A short page of text, formulas, the engine's numbers, figures, and things to try.

    The fields of a lesson are its parameters. `quick` are the values that some of them have in its quick form, whose
    claims still hold.
    """

    title: ClassVar[str]
    subject: ClassVar[str]
    """What one learns, in one line."""
    quick: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def tell(self) -> Iterator[Block | ProgressMessage]:
        """The blocks of the page, one after another, each when it is worked out."""

    def in_short(self) -> Lesson:
        """The quick form."""
        return dataclasses.replace(self, **self.quick)

    def page(self, watch: Callable[[ProgressMessage], None] = lambda working: None) -> Page:
        """The whole page; `watch` hears what is being computed."""
        blocks = []
        for block in self.tell():
            if isinstance(block, ProgressMessage):
                watch(block)
            else:
                blocks.append(block)
        described = {name: value for name, value in self.describe().items() if name != "kind"}
        settings = tuple((name, str(value)) for name, value in described.items())
        return Page(self.title, tuple(blocks), self.subject, settings)
