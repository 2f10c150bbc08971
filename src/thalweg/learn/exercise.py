"""The base class of exercises: a question with random numbers, its tasks, the check of answers, and the solution."""

from __future__ import annotations

import itertools
import string
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from ..core.arrays import Array, Grads, Params
from ..core.errors import InputError
from ..core.expressions import FUNCTIONS
from ..core.noise import generator
from ..models.network import Network
from ..pages.blocks import ArrayBlock, Block, Formula, Heading, Suggestion, Text
from ..pages.page import Page, Paged
from ..parts.part import ForwardContext, Loss, Part
from .answers import AnswerCheck, ExpectedAnswer


class Task(NamedTuple):
    """One part of a question.

    Attributes:
        question: What is asked.
        answer: Which answers are right.
        derivation: The way to the answer, one formula a line.
        model_answer: A right formula, if a formula is asked for.
    """

    question: str
    answer: ExpectedAnswer
    derivation: str
    model_answer: str = ""

    def solution(self) -> Iterator[Block]:
        """The derivation, and the answer that the engine gives."""
        yield Formula(self.derivation)
        if self.answer.names:
            yield Text(f"Typed: `{self.model_answer}`")
        else:
            yield ArrayBlock("answer", self.answer.points[0].right)


class Question(NamedTuple):
    """What is given, with its numbers, and what is asked."""

    given: tuple[Block, ...]
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Exercise(Part, Paged, ABC, family="exercise"):
    """A question whose numbers are drawn with `seed`, so that every learner can have different ones.

    A subclass sets these class variables:

    Attributes:
        title: The title of the page.
        subject: What the learner practises, in one line.
        place: The position among the exercises, which are ordered by it.
        seed: Decides the numbers of the question.
    """

    title: ClassVar[str]
    subject: ClassVar[str]
    place: ClassVar[int]

    seed: Annotated[int, Field(ge=0, strict=True)] = 0

    @abstractmethod
    def make_question(self, rng: np.random.Generator) -> Question:
        """A question with numbers drawn from `rng`."""

    def question(self) -> Question:
        """The question of this seed. Numbers at which a known mistake would give the right answer are drawn again."""
        draws = (self.make_question(generator(self.seed, "exercise", self.kind, draw)) for draw in itertools.count())
        return next(question for question in draws if all(task.answer.distinguishes for task in question.tasks))

    def tasks(self) -> dict[str, Task]:
        """The tasks by their letters: a, b, c, ..."""
        return dict(zip(string.ascii_lowercase, self.question().tasks, strict=False))

    def check(self, answers: Mapping[str, str]) -> dict[str, AnswerCheck]:
        """Check typed answers by the letters of their tasks.

        Raises InputError for an unknown letter or an answer that cannot be parsed.
        """
        tasks = self.tasks()
        checks: dict[str, AnswerCheck] = {}
        for letter, text in answers.items():
            if letter not in tasks:
                raise InputError(f"answer {letter}", f"{self.kind} asks for {', '.join(tasks)}")
            try:
                checks[letter] = tasks[letter].answer.check(text)
            except InputError as error:
                raise InputError(f"answer {letter}", error.problems) from None
        return checks

    def page(self, solved: bool = False) -> Page:
        """The page of the question, with the worked solution if `solved`."""
        question = self.question()
        blocks = list(question.given)
        for letter, task in zip(string.ascii_lowercase, question.tasks, strict=False):
            blocks += [Heading(f"({letter}) {task.question}"), Text(f"Type {task.answer.instruction}.")]
            blocks += task.solution() if solved else ()
        blocks.append(_notation(question.tasks))
        command = f"thalweg exercise {self.kind} --seed {self.seed}"
        if not solved:
            blocks += [
                Suggestion("Check an answer", f'{command} --answer "a=..."'),
                Suggestion("Solution", f"{command} --solution"),
            ]
        blocks.append(Suggestion("Other numbers", f"thalweg exercise {self.kind} --seed {self.seed + 1}"))
        return Page(self.title, tuple(blocks), self.subject, (("seed", str(self.seed)),))


def _notation(tasks: Iterable[Task]) -> Text:
    """How answers are written, and how precise they have to be."""
    excluded = {name for task in tasks for name in task.answer.without}
    functions = ", ".join(name for name in FUNCTIONS if name not in excluded)
    operators = "+ - * / ^, @ (matrix product), .T, comparisons (which give 1 or 0)"
    return Text(
        f"You can write answers with {operators}, and {functions}. Sums take an axis too: `sum(x, axis=0)`. "
        "A number is right within 0.5 %. A formula is right if it agrees to seven digits at all test points."
    )


class NetworkPass(NamedTuple):
    """One forward and backward pass through a network.

    Attributes:
        outputs: The outputs of each layer.
        loss: The mean loss of the rows.
        deltas: dL/d(output) of each layer, in the order of the layers.
        grads: dL/d(parameters) of each layer.
    """

    outputs: tuple[Array, ...]
    loss: Array
    deltas: tuple[Array, ...]
    grads: Grads


def network_pass(network: Network, loss: Loss, params: Sequence[Params], x: Array, t: Array) -> NetworkPass:
    """The engine's forward and backward pass for rows x (n, features) and targets t (n, outputs)."""
    states = ((),) * len(network.layers)
    outputs, _, caches = network.forward(params, states, x, ForwardContext(training=True))
    value, delta = loss(outputs[-1], t, np.ones(len(x)))
    deltas, grads = network.backward(params, caches, delta)
    return NetworkPass(outputs, value, deltas, grads)


def random_tenths(rng: np.random.Generator, *shape: int) -> Array:
    """Numbers that are easy to compute with by hand: ±0.1 to ±2.0 with one decimal."""
    return rng.integers(1, 21, shape) * rng.choice([-1, 1], shape) / 10
