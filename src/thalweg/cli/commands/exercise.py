"""`thalweg exercise`: ask for numbers and formulas, and check the answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, PageFile, PageForm
from ..output import EXIT_WRONG, print_catalogue, print_json, write_page
from ..registry import command

if TYPE_CHECKING:
    from ...learn.answers import AnswerCheck
    from ...learn.exercise import Exercise


@command(position=140)
def exercise(
    name: Annotated[str | None, typer.Argument(help="The name of an exercise.", show_default=False)] = None,
    answers: Annotated[
        list[str] | None,
        typer.Option("--answer", help='Check an answer: a=0.5, "b=y - t", "c=[1, 2]". May be repeated.'),
    ] = None,
    solution: Annotated[bool, typer.Option("--solution", help="Show the worked solution.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the numbers in the question.")] = 0,
    out: PageFile = None,
    form: PageForm = None,
    json: Json = False,
) -> None:
    """Show an exercise, and check your answers. Without a name, list all exercises.

    On a terminal, the command asks for one answer after another. Exit code 1: an answer is wrong.

    \b
    thalweg exercise
    thalweg exercise identity-mse --answer a=0.5 --answer "b=y - t"
    thalweg exercise two-layer-gradients --seed 7 --solution
    """
    from ...core.errors import InputError
    from ...learn.exercise import Exercise
    from ...learn.exercises import EXERCISES
    from ...pages.page import form_of

    if name is None:
        if answers or solution or out or form:
            raise InputError("exercise", "expected the name of an exercise; `thalweg exercise` lists them")
        print_catalogue("Exercises: thalweg exercise NAME", "subject", {"": EXERCISES}, json)
        return
    if answers and (out or form):
        raise InputError("--answer", "prints its verdicts, so it takes no --out and no --format; --json is possible")
    chosen = Exercise.of({"kind": name, "seed": seed})
    if answers:
        _check_answers(chosen, _by_letter(answers), solution, json)
        return
    form = form_of(out, "json" if json else form)
    write_page(chosen.page(solved=solution), form, out)
    if not solution and out is None and form == "text" and sys.stdin.isatty() and sys.stdout.isatty():
        _ask(chosen)


def _by_letter(answers: list[str]) -> dict[str, str]:
    """Answers such as `a=0.5`, as a dict from letter to answer."""
    from ...core.errors import InputError

    by_letter: dict[str, str] = {}
    for answer in answers:
        letter, equals, text = answer.partition("=")
        letter = letter.strip()
        if not equals or not letter:
            raise InputError("--answer", f"expected letter=answer, as in a=0.5; received {answer!r}")
        if letter in by_letter:
            raise InputError("--answer", f"expected one answer to {letter}, received two")
        by_letter[letter] = text.strip()
    return by_letter


def _check_answers(chosen: Exercise, answers: dict[str, str], solution: bool, json: bool) -> None:
    from ...core.errors import InputError, Problem

    verdicts: dict[str, AnswerCheck] = {}
    unreadable: list[InputError] = []
    for letter, text in answers.items():
        try:
            verdicts |= chosen.check({letter: text})
        except InputError as error:
            unreadable.append(error)
    right = all(verdict.right for verdict in verdicts.values())
    problems = [Problem(error.subject, str(problem)) for error in unreadable for problem in error.problems]
    if json:
        if problems:
            raise InputError("exercise", problems)
        from json import loads

        checked = {letter: {"answer": answers[letter], **verdicts[letter]._asdict()} for letter in verdicts}
        worked = {"solution": loads(chosen.page(solved=True).json())} if solution else {}
        print_json({"exercise": chosen.kind, "seed": chosen.seed, "right": right, "answers": checked, **worked})
    else:
        for letter, verdict in verdicts.items():
            print(f"({letter}) {_verdict_text(verdict)}")
        if problems:
            raise InputError("exercise", problems)
        if solution:
            write_page(chosen.page(solved=True), "text", None)
    if not right:
        sys.exit(EXIT_WRONG)


def _verdict_text(verdict: AnswerCheck) -> str:
    return f"{'✓' if verdict.right else '✗'} {verdict.says}"


def _ask(chosen: Exercise) -> None:
    """Ask for each answer on the terminal until it is right or skipped; Ctrl-D ends."""
    print("\nType each answer; Enter skips one, Ctrl-D ends.")
    wrong: set[str] = set()
    for letter, task in chosen.tasks().items():
        prompt = f"({letter}) {task.question} "
        try:
            while text := input(prompt).strip():
                right = _check_one(chosen, letter, text)
                if right:
                    wrong.discard(letter)
                    break
                if right is False:
                    wrong.add(letter)
        except EOFError:
            print()
            break
        except KeyboardInterrupt:
            print()
            raise
    if wrong:
        sys.exit(EXIT_WRONG)


def _check_one(chosen: Exercise, letter: str, text: str) -> bool | None:
    """Check one answer and print the verdict; None if the answer cannot be read."""
    from ...core.errors import InputError

    try:
        verdict = chosen.check({letter: text})[letter]
    except InputError as error:
        print(error)
        return None
    print(_verdict_text(verdict))
    return verdict.right
