"""Commands that tell and teach: one step number by number, lessons, exercises."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import (
    EXIT_WRONG,
    DataDir,
    DataFile,
    Json,
    Quiet,
    Seed,
    Settings,
    SheetFile,
    SheetForm,
    SpecOrRun,
    Target,
    changes_of,
    hand_over,
    print_json,
    spec_and_name,
)


def explain(
    spec: SpecOrRun = None,
    step: Annotated[int, typer.Option("--step", help="The step to tell, from 1; the training runs up to it.")] = 1,
    sample: Annotated[int | None, typer.Option("--sample", help="Single out this row of the batch, from 0.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare each gradient with finite differences.")] = False,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell one whole training step number by number: forward, loss, backward, gradients, optimizer, update.

    \b
    thalweg explain xor
    thalweg explain digits --step 100 --sample 0 --check
    thalweg explain runs/digits-20260102-101500 --step 5 --out step.html
    """
    from ..core.progress import working
    from ..insight.explain import explain as told
    from ..pages.page import form_of

    wanted = form_of(out, "json" if json else form)
    changes = changes_of(data, target, data_dir, None, seed, None, None)
    described = _spec_or_run("explain", spec, data, changes, settings)
    with working(quiet) as watch:
        sheet = told(described, step, sample, check, watch)
    hand_over(sheet, wanted, out)


def gradient_flow(
    spec: SpecOrRun = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of the weights.")] = 20,
    rows: Annotated[int, typer.Option("--rows", help="Training rows to measure with.")] = 256,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how delta shrinks or grows by depth before training, and what theory says of the initialisation.

    \b
    thalweg gradient-flow deep-plain
    thalweg gradient-flow digits --set network.init=glorot_normal --seeds 50 --out flow.html
    """
    from ..core.progress import working
    from ..insight.gradient_flow import gradient_flow as measured
    from ..pages.page import form_of

    wanted = form_of(out, "json" if json else form)
    changes = changes_of(data, target, data_dir, None, seed, None, None)
    described = _spec_or_run("gradient-flow", spec, data, changes, settings)
    with working(quiet) as watch:
        sheet = measured(described, seeds, rows, watch).page()
    hand_over(sheet, wanted, out)


def _spec_or_run(
    command: str, spec: str | None, data: str | None, changes: list[tuple[str, Any]], settings: list[str] | None
) -> Any:
    """The spec that a command's arguments describe, which may also be that of a run, by its folder."""
    of_run = Path(spec) / "spec.toml" if spec else None
    name = str(of_run) if of_run and of_run.is_file() else spec
    return spec_and_name(command, name, data, changes, settings or [])[0]


def lesson(
    name: Annotated[str | None, typer.Argument(help="The name of a lesson.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set a parameter of the lesson: name=value. May be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The short form, which takes seconds.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Write all lessons into the folder --out, linked.")] = False,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Work a lesson out on the real engine; without a name list all lessons.

    \b
    thalweg lesson
    thalweg lesson gradient-step --set learning_rate=0.3
    thalweg lesson vanishing --quick --out vanishing.html
    thalweg lesson --all --out site
    """
    from ..core.progress import working
    from ..learn.lessons.catalogue import lesson as lesson_of
    from ..learn.lessons.catalogue import settings_of
    from ..pages.page import form_of

    if every:
        _write_lessons(name, settings, quick, out, form, json, quiet)
        return
    if name is None:
        _list_lessons(settings, out, form, json)
        return
    wanted = form_of(out, "json" if json else form)
    chosen = lesson_of(name, settings_of(settings or []), quick)
    with working(quiet) as watch:
        sheet = chosen.page(watch)
    hand_over(sheet, wanted, out)


def _write_lessons(
    name: str | None,
    settings: list[str] | None,
    quick: bool,
    out: Path | None,
    form: str | None,
    json: bool,
    quiet: bool,
) -> None:
    from ..core.errors import InputError
    from ..core.files import commit
    from ..core.progress import working
    from ..learn.lessons.catalogue import INDEX, site

    if name is not None or settings:
        raise InputError("--all", "writes every lesson as it is, and takes no name and no --set")
    if json or form not in (None, "html"):
        raise InputError("--all", "writes HTML, and takes no other --format")
    if out is None:
        raise InputError("--all", "needs the folder to write into: thalweg lesson --all --out site")
    if out.exists() and not out.is_dir():
        raise InputError("--out", f"expected a folder with --all, received the file {out}")
    left_out = []
    with working(quiet) as watch:
        for file in site(quick, watch):
            commit(out / file.name, file.text.encode())
            left_out += [file.left_out] if file.left_out else []
    for fault in left_out:
        print(f"thalweg: left out: {fault}", file=sys.stderr)
    print(out / INDEX)


def _list_lessons(settings: list[str] | None, out: Path | None, form: str | None, json: bool) -> None:
    from ..core.errors import InputError
    from ..learn.lessons.catalogue import chapters

    if settings or out or form:
        raise InputError("lesson", "expected the name of a lesson; `thalweg lesson` lists them")
    _list_kinds("Lessons: thalweg lesson NAME", "what it shows", chapters(), json)


def _list_kinds(title: str, told: str, groups: Mapping[str, Sequence[Any]], json: bool) -> None:
    """List lessons or exercises: the name of each and its subject, below the name of its group if that has one."""
    if json:
        listed = (kind for kinds in groups.values() for kind in kinds)
        print_json([{"name": kind.kind, "title": kind.title, "subject": kind.subject} for kind in listed])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column(told)
    for group, kinds in groups.items():
        if group:
            table.add_row("", "")
            table.add_row(group, style="bold")
        for kind in kinds:
            table.add_row(kind.kind, kind.subject)
    Console().print(table)


def exercise(
    name: Annotated[str | None, typer.Argument(help="The name of an exercise.", show_default=False)] = None,
    answers: Annotated[
        list[str] | None,
        typer.Option("--answer", help='Check an answer: a=0.5, "b=y - t", "c=[1, 2]". May be repeated.'),
    ] = None,
    solution: Annotated[bool, typer.Option("--solution", help="Show the worked solution.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Decides the numbers of the question.")] = 0,
    out: SheetFile = None,
    form: SheetForm = None,
    json: Json = False,
) -> None:
    """Derive or compute, and have the answers checked; without a name list all exercises.

    On a terminal the parts are asked one after another. Exit code 1: an answer is wrong.

    \b
    thalweg exercise
    thalweg exercise identity-mse --answer a=0.5 --answer "b=y - t"
    thalweg exercise two-layer-gradients --seed 7 --solution
    """
    from ..core.errors import InputError
    from ..learn.exercises import EXERCISES
    from ..learn.exercises.exercise import Exercise
    from ..pages.page import form_of

    if name is None:
        if answers or solution or out or form:
            raise InputError("exercise", "expected the name of an exercise; `thalweg exercise` lists them")
        _list_kinds("Exercises: thalweg exercise NAME", "what one practises", {"": EXERCISES}, json)
        return
    if answers and (out or form):
        raise InputError("--answer", "prints its verdicts, and takes no --out and no --format; --json goes with it")
    chosen = Exercise.of({"kind": name, "seed": seed})
    if answers:
        _check_answers(chosen, _lettered(answers), solution, json)
        return
    wanted = form_of(out, "json" if json else form)
    hand_over(chosen.page(solved=solution), wanted, out)
    if not solution and out is None and wanted == "text" and sys.stdin.isatty() and sys.stdout.isatty():
        _ask(chosen)


def _lettered(answers: list[str]) -> dict[str, str]:
    """Answers as the shell writes them, `a=0.5`, by their letters."""
    from ..core.errors import InputError

    found: dict[str, str] = {}
    for answer in answers:
        letter, equals, text = answer.partition("=")
        if not equals or not letter.strip():
            raise InputError("--answer", f"expected letter=answer, as in a=0.5; received {answer!r}")
        if letter.strip() in found:
            raise InputError("--answer", f"expected one answer to {letter.strip()}, received two")
        found[letter.strip()] = text.strip()
    return found


def _check_answers(chosen: Any, answers: dict[str, str], solution: bool, json: bool) -> None:
    verdicts = chosen.check(answers)
    right = all(verdict.right for verdict in verdicts.values())
    if json:
        from json import loads

        told = {letter: {"answer": answers[letter], **verdicts[letter]._asdict()} for letter in verdicts}
        worked = {"solution": loads(chosen.page(solved=True).json())} if solution else {}
        print_json({"exercise": chosen.kind, "seed": chosen.seed, "right": right, "answers": told, **worked})
    else:
        for letter, verdict in verdicts.items():
            print(f"({letter}) {_said(verdict)}")
        if solution:
            hand_over(chosen.page(solved=True), "text", None)
    if not right:
        sys.exit(EXIT_WRONG)


def _said(verdict: Any) -> str:
    return f"{'✓' if verdict.right else '✗'} {verdict.says}"


def _ask(chosen: Any) -> None:
    """Ask the parts of an exercise on the terminal, each until it is right or left out; Ctrl-D ends it."""
    from ..core.errors import InputError

    print("\nType each answer; Enter leaves one out, Ctrl-D ends.")
    wrong: set[str] = set()
    for letter, task in chosen.tasks().items():
        while True:
            try:
                text = input(f"({letter}) {task.asks} ").strip()
            except EOFError:
                print()
                sys.exit(EXIT_WRONG if wrong else 0)
            except KeyboardInterrupt:
                print()
                raise
            if not text:
                break
            try:
                verdict = chosen.check({letter: text})[letter]
            except InputError as error:
                print(error)
                continue
            print(_said(verdict))
            if verdict.right:
                wrong.discard(letter)
                break
            wrong.add(letter)
    if wrong:
        sys.exit(EXIT_WRONG)
