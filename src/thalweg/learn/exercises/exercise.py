"""What an exercise is: a question with numbers of its own, tasks, the check of answers, and the worked solution."""

from __future__ import annotations

import itertools
import string
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ...core.arrays import Array, Tree
from ...core.errors import InputError
from ...core.expressions import FUNCTIONS
from ...core.noise import generator
from ...models.network import Network
from ...pages.blocks import ArrayBlock, Block, Formula, Heading, Suggestion, Text
from ...pages.page import Page
from ...parts.part import ForwardContext, Loss, Part
from .answers import Answer, Verdict


class Task(NamedTuple):
    """One thing that is asked: its answer, the way to it line by line, and for a formula one that is right."""

    asks: str
    answer: Answer
    way: str
    model: str = ""

    def solution(self) -> Iterator[Block]:
        """The way, and the answer that the engine gives."""
        yield Formula(self.way)
        if self.answer.names:
            yield Text(f"Typed: `{self.model}`")
        else:
            yield ArrayBlock("answer", self.answer.cases[0].right)


class Question(NamedTuple):
    """What is given, with its numbers, and what is asked."""

    given: tuple[Block, ...]
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Exercise(Part, ABC, family="exercise"):
    """A question whose numbers are drawn by `seed`, so that everybody may have others; the engine knows the answers."""

    title: ClassVar[str]
    subject: ClassVar[str]
    """What one practises, in one line."""

    seed: Annotated[int, Field(ge=0, strict=True)] = 0

    @abstractmethod
    def pose(self, rng: np.random.Generator) -> Question:
        """A question with numbers drawn from `rng`."""

    def question(self) -> Question:
        """The question; numbers at which a known mistake would give the right answer are drawn anew."""
        draws = (self.pose(generator(self.seed, "exercise", self.kind, turn)) for turn in itertools.count())
        return next(question for question in draws if all(task.answer.tells for task in question.tasks))

    def tasks(self) -> dict[str, Task]:
        """The tasks by their letters."""
        return dict(zip(string.ascii_lowercase, self.question().tasks, strict=False))

    def check(self, answers: Mapping[str, str]) -> dict[str, Verdict]:
        """The verdict on each answer by its letter. Raises InputError for an unknown letter or an unreadable answer."""
        tasks, verdicts = self.tasks(), {}
        for letter, text in answers.items():
            if letter not in tasks:
                raise InputError(f"answer {letter}", f"{self.kind} asks for {', '.join(tasks)}")
            try:
                verdicts[letter] = tasks[letter].answer.judge(text)
            except InputError as error:
                raise InputError(f"answer {letter}", error.problems) from None
        return verdicts

    def page(self, solved: bool = False) -> Page:
        """The page of the question, with its worked solution if `solved`."""
        question = self.question()
        blocks = list(question.given)
        for letter, task in zip(string.ascii_lowercase, question.tasks, strict=False):
            blocks += [Heading(f"({letter}) {task.asks}"), Text(f"Type {task.answer.wanted}.")]
            blocks += task.solution() if solved else ()
        blocks.append(_how_to_write(question.tasks))
        command = f"thalweg exercise {self.kind} --seed {self.seed}"
        if not solved:
            blocks += [
                Suggestion("Check an answer", f'{command} --answer "a=..."'),
                Suggestion("Solution", f"{command} --solution"),
            ]
        blocks.append(Suggestion("Other numbers", f"thalweg exercise {self.kind} --seed {self.seed + 1}"))
        return Page(self.title, tuple(blocks), self.subject, (("seed", str(self.seed)),))


def _how_to_write(tasks: Iterable[Task]) -> Text:
    without = {name for task in tasks for name in task.answer.without}
    functions = ", ".join(name for name in FUNCTIONS if name not in without)
    signs = "+ - * / ^, @ for the matrix product, .T, comparisons (which give 1 or 0)"
    return Text(
        f"Answers may be written with {signs}, and {functions}; sums also along an axis: `sum(x, axis=0)`. "
        "A number is right within 0.5 %, a formula where it agrees to seven digits at all points tried."
    )


class Pass(NamedTuple):
    """One way forward and back through a network: what every layer gave, and what came back."""

    outputs: tuple[Array, ...]
    loss: Array
    deltas: tuple[Array, ...]
    grads: Tree


def worked(network: Network, loss: Loss, params: tuple[Tree, ...], x: Array, t: Array) -> Pass:
    """The engine's forward and backward pass for rows x (n, features) and targets t (n, outputs)."""
    states = ((),) * len(network.layers)
    outputs, _, caches = network.forward(params, states, x, ForwardContext(training=True))
    value, delta = loss(outputs[-1], t, np.ones(len(x)))
    deltas, grads = network.backward(params, caches, delta)
    return Pass(outputs, value, deltas, grads)


def tenths(rng: np.random.Generator, *shape: int, least: int = 1, most: int = 20) -> Any:
    """Numbers to compute with by hand: ±0.1 to ±2.0 with one decimal."""
    return rng.integers(least, most + 1, shape) * rng.choice([-1, 1], shape) / 10
