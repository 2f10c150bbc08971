"""The shell: `thalweg train`, `lr-range`, `predict`, `runs`, `report`, `explain`, `lesson`.

What takes time to import is imported when it is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXIT_WRONG, EXIT_INPUT, EXIT_DIVERGED, EXIT_INTERRUPTED = 1, 2, 3, 130
_MANY_CLASSES = 12

app = typer.Typer(
    name="thalweg",
    help="A training laboratory for neural networks: train, see every number, find out why a network does not learn.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SpecName = Annotated[
    str | None, typer.Argument(help="A TOML file, or the name of an example or of a data source.", show_default=False)
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Set a value of the spec: section.key=value. May be repeated.")
]
DataFile = Annotated[str | None, typer.Option("--data", help="A CSV, TSV or Parquet file, or a folder of IDX files.")]
Target = Annotated[str | None, typer.Option("--target", help="The column of the file to predict.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The folder that holds MNIST's files.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Decides weights, splits and the order of samples.")]
EngineName = Annotated[str | None, typer.Option("--engine", help="compiled (XLA) or eager (NumPy, float64).")]
DeviceName = Annotated[str | None, typer.Option("--device", help="cpu or gpu.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run [default: runs/NAME-TIME].")]
SheetFile = Annotated[
    Path | None, typer.Option("--out", help="Write to this file; its suffix names the form: .html, .md, .json, .txt.")
]
SheetForm = Annotated[str | None, typer.Option("--format", help="text, html, markdown or json.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def main() -> None:
    """Run the shell command: a user's mistake is one message on stderr and exit code 2, never a traceback."""
    from .errors import InputError

    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; there is nobody to tell.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None:
            _fail(f"{error.filename}: can not be used: {error.strerror}")
        # What was printed and not written yet would fail a second time when Python ends.
        sys.stdout = None
        _fail(f"the output can not be written: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    print(f"thalweg: {message}", file=sys.stderr)
    sys.exit(EXIT_INPUT)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from importlib import metadata

        print(metadata.version("thalweg"))
        raise typer.Exit


@app.command()
def train(
    spec: SpecName = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="How often all training rows are seen.")] = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run, which was stopped or broken off.")
    ] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --resume: go on though spec or rows have changed.")
    ] = False,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network and write a run with its report.

    \b
    thalweg train digits
    thalweg train examples/rings.toml --epochs 50 --set optimizer.learning_rate=0.01
    thalweg train --data titanic.csv --target survived
    thalweg train --resume runs/digits-20260102-101500
    """
    from .errors import InputError

    changes = _changes(data, target, data_dir, epochs, seed, engine, device)
    if resume is not None:
        if spec is not None or out is not None:
            raise InputError(
                "--resume", f"goes on in {resume} with the spec there, and takes no other SPEC and no --out"
            )
        _resume(resume, changes, settings or [], accept_changes, json, quiet)
        return

    _train(*_spec_and_name("train", spec, data, changes, settings or []), out, json, quiet)


def _changes(
    data: str | None,
    target: str | None,
    data_dir: Path | None,
    epochs: int | None,
    seed: int | None,
    engine: str | None,
    device: str | None,
) -> list[tuple[str, Any]]:
    """Places of a spec with the values that options gave them."""
    given = {
        "data.source": str(Path(data).resolve()) if data and Path(data).exists() else data,
        "data.target": target,
        "data.source.folder": str(data_dir.resolve()) if data_dir else None,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.engine": engine,
        "training.device": device,
    }
    return [(path, value) for path, value in given.items() if value is not None]


def _spec_and_name(
    command: str, spec: str | None, data: str | None, changes: list[tuple[str, Any]], settings: list[str]
) -> tuple[Any, str]:
    """The spec that a command's arguments describe, and a short name for what comes of it."""
    from .errors import InputError
    from .spec import assign, read_table, set_value, spec_of

    if spec is None and data is None:
        raise InputError(
            command, f"expected a spec, or --data FILE --target COLUMN; `thalweg {command} digits` is a first try"
        )
    table: dict[str, Any] = read_table(spec) if spec else {}
    for path, value in changes:
        set_value(table, path, value)
    for assignment in settings:
        assign(table, assignment)
    return spec_of(table, spec or command), Path(spec or data or "run").stem


def _train(spec: Any, name: str, out: Path | None, json: bool, quiet: bool) -> None:
    from .display import loading, shown
    from .folders import new_folder
    from .trainer import run_spec

    with shown(quiet) as watch:
        run = run_spec(spec, watch, out or new_folder(name), _told(json or quiet), loading(quiet))
    _tell(run, json)


def _resume(
    folder: Path, changes: list[tuple[str, Any]], settings: list[str], accept: bool, json: bool, quiet: bool
) -> None:
    from .display import loading, shown
    from .trainer import resume_run

    with shown(quiet) as watch:
        run = resume_run(
            folder,
            settings,
            changes=changes,
            accept_changes=accept,
            watch=watch,
            told=_told(json or quiet),
            loading=loading(quiet),
        )
    _tell(run, json)


def _told(quiet: bool) -> Any:
    from .folders import network_in_words

    def told(spec: Any, split: Any) -> None:
        if quiet:
            return
        print(f"network: {network_in_words(spec.network)};  loss: {spec.loss.kind};  optimizer: {spec.optimizer.kind}")
        for note in split.notes:
            print(f"note: {note}")

    return told


def _tell(run: Any, json: bool) -> None:
    """Print what came of a run; exit with its code where it did not come to its end."""
    if json:
        _print_json(
            {
                "folder": str(run.folder),
                "outcome": run.outcome,
                "measures": run.measures,
                "confusion": run.confusion,
                "facts": run.facts,
            }
        )
    else:
        _print_measures(run)
    if run.diverged:
        fix = f"thalweg train --resume {run.folder} --set ... --accept-changes"
        print(f"thalweg: {run.outcome} What was good is kept; to go on with another setting: {fix}", file=sys.stderr)
        sys.exit(EXIT_DIVERGED)
    if run.interrupted:
        print(f"thalweg: {run.outcome} To go on: thalweg train --resume {run.folder}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1))


def _print_measures(run: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=run.outcome, title_justify="left", title_style="bold")
    table.add_column("set")
    names = list(next(iter(run.measures.values())))
    names_of_sets = list(run.measures)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for part, measures in run.measures.items():
        table.add_row(part, *(_number(name, measures[name]) for name in names))
    console = Console(soft_wrap=True)
    console.print(table)
    if run.confusion is not None and len(run.confusion) <= _MANY_CLASSES:
        matrix = Table(title=f"true classes and what was said, {names_of_sets[-1]} set", title_justify="left")
        matrix.add_column("true")
        for name in run.preprocessing.target_names:
            matrix.add_column(name, justify="right")
        for name, counts in zip(run.preprocessing.target_names, run.confusion, strict=True):
            matrix.add_row(name, *(str(count) if count else "·" for count in counts))
        console.print(matrix)
    for remark in run.remarks:
        console.print(remark, highlight=False)
    console.print(f"report: {run.folder / 'report.html'}", highlight=False)


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if name == "accuracy" else f"{value:.4g}"


@app.command()
def lr_range(
    spec: SpecName = None,
    low: Annotated[float, typer.Option("--low", help="The rate that a sweep starts with.")] = 1e-6,
    high: Annotated[float, typer.Option("--high", help="The rate that a sweep ends with.")] = 10.0,
    steps: Annotated[int, typer.Option("--steps", help="Updates of a sweep.")] = 200,
    sweeps: Annotated[int, typer.Option("--sweeps", help="Sweeps, each with other weights and order.")] = 3,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page with the curve [default: runs/NAME-lr-range-TIME.html].")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a learning rate: short trainings with a rising rate show where the loss falls and where it blows up.

    \b
    thalweg lr-range digits
    thalweg lr-range examples/rings.toml --low 1e-4 --steps 400
    """
    from .files import commit
    from .folders import new_folder
    from .lr_range import range_test

    changes = _changes(data, target, data_dir, None, seed, engine, device)
    described, name = _spec_and_name("lr-range", spec, data, changes, settings or [])
    found = range_test(described, low=low, high=high, steps=steps, sweeps=sweeps, progress=not quiet)
    path = out or Path(f"{new_folder(f'{name}-lr-range')}.html")
    commit(path, found.report().encode())
    if json:
        numbers = {"rates": found.rates.tolist(), "smoothed": found.smoothed.tolist()}
        numbers["losses"] = [losses.tolist() for losses in found.losses]
        words = ("chosen", "reason", "remarks", "choices", "fell", "lowest", "blew_up")
        _print_json({"page": str(path)} | {word: getattr(found, word) for word in words} | numbers)
    else:
        print("\n".join([found.outcome, found.reason, *found.remarks, f"curve: {path}"]))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    file: Annotated[
        Path, typer.Argument(help="A CSV, TSV or Parquet file with the columns that the run was trained on.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this CSV file instead of stdout.")] = None,
) -> None:
    """Predict the rows of a file with a trained network; prints CSV."""
    from .data import read_table
    from .files import commit
    from .runs import load, prediction_table

    content = prediction_table(load(run), read_table(file)).write_csv().encode()
    if out is None:
        sys.stdout.write(content.decode())
    else:
        commit(out, content)
        print(out)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List the runs of a folder."""
    from .errors import InputError
    from .folders import list_runs

    if not folder.is_dir():
        raise InputError(str(folder), "is no folder of runs; `thalweg train digits` makes the first run in runs/")
    rows = list_runs(folder)
    if json:
        _print_json([row._asdict() for row in rows])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(rows)} runs in {folder}", title_justify="left")
    for column in ("run", "data", "network", "epochs", "result", "outcome"):
        table.add_column(column, overflow="fold")
    for row in rows:
        name, measures = next(reversed(row.measures.items()), ("", {}))
        result = f"{name}: " + ", ".join(f"{k.replace('_', ' ')} {_number(k, v)}" for k, v in measures.items())
        table.add_row(row.name, row.data, row.network, str(row.epochs), result if measures else "", row.outcome)
    Console().print(table)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file [default: report.html of the run].")
    ] = None,
) -> None:
    """Write the report of a run anew, and print its path."""
    from .files import commit
    from .runs import load

    path = out or run / "report.html"
    commit(path, load(run).report().encode())
    print(path)


@app.command()
def explain(
    spec: Annotated[
        str | None,
        typer.Argument(
            help="A TOML file, the name of an example or of a data source, or the folder of a run.", show_default=False
        ),
    ] = None,
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
    from .display import working
    from .explanation import explain as told
    from .worksheet import form_of

    wanted = form_of(out, "json" if json else form)
    of_run = Path(spec) / "spec.toml" if spec else None
    changes = _changes(data, target, data_dir, None, seed, None, None)
    name = str(of_run) if of_run and of_run.is_file() else spec
    described, _ = _spec_and_name("explain", name, data, changes, settings or [])
    with working(quiet) as watch:
        sheet = told(described, step, sample, check, watch)
    _hand_over(sheet, wanted, out)


@app.command()
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
    from .display import working
    from .lessons.shelf import lesson as lesson_of
    from .lessons.shelf import settings_of
    from .worksheet import form_of

    if every:
        _write_lessons(name, settings, quick, out, form, json, quiet)
        return
    if name is None:
        _list_lessons(settings, out, form, json)
        return
    wanted = form_of(out, "json" if json else form)
    chosen = lesson_of(name, settings_of(settings or []), quick)
    with working(quiet) as watch:
        sheet = chosen.sheet(watch)
    _hand_over(sheet, wanted, out)


def _write_lessons(
    name: str | None,
    settings: list[str] | None,
    quick: bool,
    out: Path | None,
    form: str | None,
    json: bool,
    quiet: bool,
) -> None:
    from .display import working
    from .errors import InputError
    from .files import commit
    from .lessons.shelf import INDEX, site

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
    from .errors import InputError
    from .lessons.shelf import chapters

    if settings or out or form:
        raise InputError("lesson", "expected the name of a lesson; `thalweg lesson` lists them")
    _list_kinds("Lessons: thalweg lesson NAME", "what it shows", chapters(), json)


def _list_kinds(title: str, told: str, groups: Mapping[str, Sequence[Any]], json: bool) -> None:
    """List lessons or exercises: the name of each and its subject, below the name of its group if that has one."""
    if json:
        listed = (kind for kinds in groups.values() for kind in kinds)
        _print_json([{"name": kind.kind, "title": kind.title, "subject": kind.subject} for kind in listed])
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


def _hand_over(sheet: Any, form: str, out: Path | None) -> None:
    """Print a worksheet in that form, or write it to a file and print the file's name."""
    from .files import commit
    from .worksheet import FORMS, show

    if out is not None:
        commit(out, FORMS[form](sheet).encode())
        print(out)
    elif form == "text":
        from rich.console import Console

        show(sheet, Console())
    else:
        sys.stdout.write(FORMS[form](sheet))


@app.command()
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
    from .errors import InputError
    from .exercises import EXERCISES, Exercise
    from .worksheet import form_of

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
    _hand_over(chosen.sheet(solved=solution), wanted, out)
    if not solution and out is None and wanted == "text" and sys.stdin.isatty() and sys.stdout.isatty():
        _ask(chosen)


def _lettered(answers: list[str]) -> dict[str, str]:
    """Answers as the shell writes them, `a=0.5`, by their letters."""
    from .errors import InputError

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
    from .worksheet import as_json

    verdicts = chosen.check(answers)
    right = all(verdict.right for verdict in verdicts.values())
    if json:
        from json import loads

        told = {letter: {"answer": answers[letter], **verdicts[letter]._asdict()} for letter in verdicts}
        worked = {"solution": loads(as_json(chosen.sheet(solved=True)))} if solution else {}
        _print_json({"exercise": chosen.kind, "seed": chosen.seed, "right": right, "answers": told, **worked})
    else:
        for letter, verdict in verdicts.items():
            print(f"({letter}) {_said(verdict)}")
        if solution:
            _hand_over(chosen.sheet(solved=True), "text", None)
    if not right:
        sys.exit(EXIT_WRONG)


def _said(verdict: Any) -> str:
    return f"{'✓' if verdict.right else '✗'} {verdict.says}"


def _ask(chosen: Any) -> None:
    """Ask the parts of an exercise on the terminal, each until it is right or left out; Ctrl-D ends it."""
    from .errors import InputError

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
