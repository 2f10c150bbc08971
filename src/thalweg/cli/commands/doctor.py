"""`thalweg doctor`: find out why a network does not learn."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import DataDir, DataFile, DeviceName, EngineName, Epochs, Json, Quiet, Seed, Settings, Target
from ..output import EXIT_INTERRUPTED, EXIT_WRONG, print_json
from ..registry import command
from ..source import GivenSource, source_of

if TYPE_CHECKING:
    from ...doctor.diagnosis import Diagnosis
    from ...experiments.remedy_trials.proof import Proof, RemedyTrials
    from ...pages.page import Page
    from ...runs.run import Run
    from ...spec.spec import Spec

KeptRun = Annotated[
    Path | None,
    typer.Option("--out", help="Keep what is trained here as a run in this folder.", show_default=False),
]
DiagnosisFile = Annotated[
    Path | None, typer.Option("--page", help="Write to this file; its suffix sets the form: .html, .md, .json, .txt.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Name causes by the checks alone, without paired runs.")]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget", help="Seconds for the paired runs that confirm causes [default: 30, or 3 times the training]."
    ),
]
Prove = Annotated[bool, typer.Option("--prove", help="Try the remedies in paired trials, and write the repaired spec.")]
TrialSeeds = Annotated[int | None, typer.Option("--seeds", help="With --prove: seeds of each trial [default: 5].")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="With --prove: time limit of the whole command.")]
Jobs = Annotated[int | None, typer.Option("--jobs", help="With --prove: processes [default: one for each core].")]
FailOn = Annotated[
    str, typer.Option("--fail-on", help="The least severe finding with exit code 1: note, warning or severe.")
]
Examined = Annotated[
    str | None,
    typer.Argument(
        help="A TOML file, the name of an example or of a data source, the folder of a run or of a watched training, or"
        " a Python file with a recipe.",
        show_default=False,
    ),
]


@command(position=60)
def doctor(
    spec: Examined = None,
    settings: Settings = None,
    data: DataFile = None,
    target: Target = None,
    data_dir: DataDir = None,
    epochs: Epochs = None,
    seed: Seed = None,
    engine: EngineName = None,
    device: DeviceName = None,
    out: KeptRun = None,
    page: DiagnosisFile = None,
    quick: Quick = False,
    budget: Budget = None,
    prove: Prove = False,
    seeds: TrialSeeds = None,
    minutes: Minutes = None,
    jobs: Jobs = None,
    fail_on: FailOn = "warning",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say why a network does not learn, and what to do about it.

    Each finding comes with its evidence. A spec is trained first; a run is examined as it is, and so is the folder of a
    training that `thalweg.watch` has watched. A Python file that defines `recipe = thalweg.Recipe(...)` or `def
    recipe()` is run, and its recipe is trained in a plain loop. Causes are confirmed by paired runs (--quick: by checks
    alone), and what they confirm goes into NAME-repaired.toml. The exit code is 0 for a healthy network, and 1 if
    something keeps it from learning. With --prove, each remedy is trained with several seeds and compared with the
    unchanged network and with a random change; what helps goes into NAME-repaired.toml.

    \b
    thalweg doctor deep-plain --prove --seeds 3 --minutes 10
    thalweg doctor examples/rings.toml --set optimizer.learning_rate=10
    thalweg doctor runs/digits-20260102-101500 --page diagnosis.html
    thalweg doctor my_training.py --prove --minutes 10 --fail-on severe
    """
    trials = _TrialOptions(quick, budget, prove, seeds, minutes, jobs, time.monotonic())
    output = _Output(page, json, fail_on)
    trials.check()
    source = source_of(
        "doctor",
        spec,
        settings=settings,
        data=data,
        target=target,
        data_dir=data_dir,
        epochs=epochs,
        seed=seed,
        engine=engine,
        device=device,
    )
    if source.watch_folder:
        diagnosis = _examine_watch(source, out, trials, output)
    elif source.recipe_file:
        diagnosis = _examine_recipe(source, out, trials, output, quiet)
    else:
        diagnosis = _examine_run(source, out, trials, output, quiet)
    output.finish(diagnosis)


def _examine_run(
    source: GivenSource, out: Path | None, trials: _TrialOptions, output: _Output, quiet: bool
) -> Diagnosis:
    """The diagnosis of a run, or of a spec that is trained first, and what follows from it."""
    run = _run_of(source, out, trials, quiet)
    diagnosis = _diagnosis_of(run, trials, quiet)
    _present(run, diagnosis, source, trials, output, out, quiet)
    return diagnosis


def _examine_recipe(
    source: GivenSource, out: Path | None, trials: _TrialOptions, output: _Output, quiet: bool
) -> Diagnosis:
    """Examine the recipe of a Python file, which is run for it; with --prove, try its remedies."""
    from ...core.progress import print_line
    from ...doctor.measurements import LEARNED
    from ...pages.blocks import Text
    from ...watching.recipes.recipe import check_torch

    check_torch()
    from ...watching.recipes.origin import load_recipe
    from ...watching.recipes.proof import DOES_NOT_LEARN, LEARNS

    path = Path(str(source.recipe_file))
    _check_recipe_options(source, trials, out)
    print_line(f"thalweg: running the code of {path}")
    diagnosis = load_recipe(path).diagnose(until=trials.until)
    page = diagnosis.page(f"Diagnosis of {path.name}")
    if diagnosis.learned and diagnosis.learned.share >= LEARNED:
        page = dataclasses.replace(page, blocks=(*page.blocks, Text(LEARNS)))
    elif not diagnosis.healthy:
        page = dataclasses.replace(page, blocks=(*page.blocks, Text(DOES_NOT_LEARN)))
    output.add_diagnosis(None, diagnosis, page)
    if trials.prove:
        output.add_proof(_prove_recipe(path, trials, out, quiet))
    return diagnosis


def _prove_recipe(path: Path, trials: _TrialOptions, out: Path | None, quiet: bool) -> RemedyTrials | None:
    """Try the remedies of a recipe; None, with the reason on stderr, where nothing can be tried."""
    from ...core.progress import working
    from ...experiments.remedy_trials.score import NoScoreError
    from ...watching.recipes.proving import prove_recipe

    reason = _out_of_time(trials)
    if not reason:
        try:
            with working(quiet) as watch:
                return prove_recipe(
                    path.resolve(),
                    seeds=5 if trials.seeds is None else trials.seeds,
                    jobs=trials.jobs,
                    minutes=trials.minutes_left,
                    folder=out,
                    watch=watch,
                )
        except NoScoreError as error:
            reason = f"no remedy was tried. {error}"
    print(f"thalweg: {reason}", file=sys.stderr)
    return None


def _check_recipe_options(source: GivenSource, trials: _TrialOptions, out: Path | None) -> None:
    """Raise InputError for options that only specs and runs have."""
    from ...core.errors import InputError

    given = [place for place, _ in source.changes]
    if source.settings or given or source.data:
        fix = "change the recipe in the file itself"
        raise InputError("doctor", f"a recipe takes no --set and no options of data and training; {fix}")
    if trials.budget is not None or (out is not None and not trials.prove):
        raise InputError("doctor", "a recipe takes no --budget, and --out only together with --prove")


def _examine_watch(source: GivenSource, out: Path | None, trials: _TrialOptions, output: _Output) -> Diagnosis:
    """The diagnosis of a watched training, from what its folder has kept."""
    from ...core.errors import InputError
    from ...watching import checks  # noqa: F401  (registers the checks of watched trainings)
    from ...watching.folder import read_watch
    from ...watching.report import watch_diagnosis, watch_page

    if source.changes or source.settings or out or trials.prove:
        raise InputError("doctor", "a watched training is examined as it is, so it takes no --set, --out or --prove")
    folder = Path(source.watch_folder or "")
    training = read_watch(folder)
    diagnosis = watch_diagnosis(training)
    output.add_diagnosis(folder, diagnosis, watch_page(training, diagnosis, f"Diagnosis of {folder.name}"))
    return diagnosis


@dataclasses.dataclass(frozen=True)
class _TrialOptions:
    """The options of the paired runs that confirm causes and, with --prove, try the remedies."""

    quick: bool
    budget: float | None
    prove: bool
    seeds: int | None
    minutes: float | None
    jobs: int | None
    began: float

    @property
    def until(self) -> float:
        """When the command is to end, as of `time.monotonic`."""
        return math.inf if self.minutes is None else self.began + 60 * self.minutes

    @property
    def minutes_left(self) -> float | None:
        """The minutes that are left for the trials; None without a limit."""
        return None if self.minutes is None else (self.until - time.monotonic()) / 60

    @property
    def seconds(self) -> float | None:
        """Seconds to confirm causes: as given, or a fifth of what is left of the minutes; None: the usual ones."""
        if self.budget is not None or self.minutes is None:
            return self.budget
        return max((self.until - time.monotonic()) / 5, 0.0)

    def check(self) -> None:
        """Raise InputError for options that do not fit, before anything is trained."""
        from ...core.errors import InputError
        from ...experiments.remedy_trials.prove import check_bounds

        options = {"--seeds": self.seeds, "--minutes": self.minutes, "--jobs": self.jobs}
        given = [name for name, value in options.items() if value is not None]
        if given and not self.prove:
            raise InputError("doctor", f"takes {', '.join(given)} only together with --prove")
        check_bounds(self.seeds, self.minutes, self.jobs)
        if self.budget is not None and self.quick:
            raise InputError("doctor", "takes --budget only without --quick")
        if self.budget is not None and not self.budget > 0:
            raise InputError("--budget", f"expected a number of seconds above 0, received {self.budget}")


class _Output:
    """Prints the results as soon as they are there, or collects them for a file or for JSON."""

    def __init__(self, file: Path | None, json: bool, fail_on: str) -> None:
        from ...core.errors import InputError, nearest
        from ...doctor.findings import SEVERITIES
        from ...pages.page import form_of

        names = [str(severity) for severity in SEVERITIES]
        if fail_on not in names:
            raise InputError("--fail-on", f"expected a severity, received {fail_on!r}; {nearest(fail_on, names)}")
        self._failing = names[names.index(fail_on) :]
        self._file = file
        self._form = form_of(file)
        self._json = json
        self._pages: list[Page] = []
        self._result: dict[str, object] = {}

    @property
    def _prints(self) -> bool:
        return not self._json and self._file is None

    def add_diagnosis(self, folder: Path | None, diagnosis: Diagnosis, page: Page) -> None:
        self._pages.append(page)
        self._result |= {"folder": folder and str(folder), **diagnosis.describe()}
        if self._prints:
            page.show()

    def add_proof(self, proof: RemedyTrials | None) -> None:
        self._result |= {"proof": proof and proof.describe()}
        if proof is None:
            return
        self._pages.append(proof.page())
        if self._prints:
            print()
            proof.summary().show()

    def add_repaired(self, repaired: Path | None, named: bool = False) -> None:
        """Name the file of the repaired spec, unless the page that was shown has `named` it."""
        self._result |= {"repaired": repaired and str(repaired)}
        if repaired and not self._json and not (named and self._prints):
            print(f"repaired spec: {repaired}")

    def finish(self, diagnosis: Diagnosis) -> None:
        """Write the file, and print JSON or the path of the file. Ends the command where a finding is too severe."""
        from ...core.files import commit

        if self._file is not None:
            blocks = tuple(block for page in self._pages for block in page.blocks)
            page = dataclasses.replace(self._pages[0], blocks=blocks)
            commit(self._file, page.render(self._form).encode())
        if self._json:
            print_json(self._result)
        elif self._file is not None:
            print(self._file)
        if any(finding.severity in self._failing for finding in diagnosis.findings):
            sys.exit(EXIT_WRONG)


def _run_of(source: GivenSource, out: Path | None, trials: _TrialOptions, quiet: bool) -> Run:
    """The run to examine: loaded from a folder, or trained with probes and kept in the folder `out`, if given.

    A training ends with the time of the command.
    """
    from ...core.errors import InputError
    from ...core.progress import loading
    from ...runs.display import shown
    from ...runs.load import load
    from ...runs.train import run_session
    from ...training.callbacks import TimeLimit
    from ...training.session import Session

    spec = source.spec_or_run()
    if isinstance(spec, str):
        if out is not None and not trials.prove:
            raise InputError("doctor", f"examines a run as it is, so --out {out} does not apply")
        return load(spec)
    with shown(quiet) as display:
        run = run_session(Session.load(_with_probes(spec), loading(quiet)), out, [display, TimeLimit(trials.until)])
    if run.interrupted:
        print(f"thalweg: {run.outcome} There is no diagnosis of an interrupted training.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    return run


def _diagnosis_of(run: Run, trials: _TrialOptions, quiet: bool) -> Diagnosis:
    """The diagnosis, with causes that are confirmed by paired runs unless it is to be quick."""
    from ...core.progress import working

    with working(quiet) as watch:
        return run.diagnose(confirm=not trials.quick, seconds=trials.seconds, watch=watch)


def _with_probes(spec: Spec) -> Spec:
    """The spec with at least the standard probes, at the steps that it asks for."""
    from ...parts.settings import Light, Standard

    if isinstance(spec.probes, Standard):
        return spec
    every = spec.probes.every if isinstance(spec.probes, Light) else None
    return dataclasses.replace(spec, probes=Standard(every))


def _name_of(source: GivenSource, run: Run) -> str:
    from ...spec.spec import data_name

    return Path(source.argument).name if source.argument else data_name(run.spec)


def _train_command(source: GivenSource, diagnosis: Diagnosis) -> str:
    """The command that trains what was examined; the page adds the remedies to it.

    Empty if a remedy cannot be added: remedies change the completed spec, and may name a place that is not in the given
    spec.
    """
    from ...core.errors import InputError

    trained = str(Path(source.run_folder) / "spec.toml") if source.run_folder else source.argument
    settings = [*_settings(source.changes), *source.settings]
    try:
        for remedy in diagnosis.remedies:
            source_of("train", trained, data=source.data, settings=[*settings, *_settings(remedy.changes)]).spec()
    except InputError:
        return ""
    words = ["thalweg", "train", *([trained] if trained else [])]
    return shlex.join([*words, *(word for setting in settings for word in ("--set", setting))])


def _settings(changes: Sequence[tuple[str, object]]) -> list[str]:
    from ...spec.values import shell_text

    return [f"{place}={shell_text(value)}" for place, value in changes]


def _present(
    run: Run,
    diagnosis: Diagnosis,
    source: GivenSource,
    trials: _TrialOptions,
    output: _Output,
    out: Path | None,
    quiet: bool,
) -> None:
    """Present the diagnosis, with the proof of its remedies if it is asked for, and write the repaired spec."""
    name, command = _name_of(source, run), _train_command(source, diagnosis)
    if trials.prove:
        output.add_diagnosis(run.folder, diagnosis, diagnosis.page(f"Diagnosis of {name}", command))
        proof = _prove(run, diagnosis, trials, out, quiet)
        output.add_proof(proof)
        output.add_repaired(_write_repaired(proof.repaired if proof else None, Path(name).stem))
    else:
        file = _write_repaired(_repaired(run, diagnosis), Path(name).stem)
        output.add_diagnosis(run.folder, diagnosis, diagnosis.page(f"Diagnosis of {name}", command, str(file or "")))
        output.add_repaired(file, named=True)


def _repaired(run: Run, diagnosis: Diagnosis) -> Spec | None:
    """The spec with what confirmed the root cause; None without it."""
    from ...spec.edit import changed

    return changed(run.spec, diagnosis.repair.changes) if diagnosis.repair else None


def _prove(run: Run, diagnosis: Diagnosis, trials: _TrialOptions, out: Path | None, quiet: bool) -> Proof | None:
    """Try the remedies of a run; None, with the reason on stderr, where nothing can be tried.

    The trials are kept in the folder `out`, or in `out`/proof if the run is there.
    """
    from ...core.progress import loading, working
    from ...experiments.remedy_trials.prove import prove
    from ...experiments.remedy_trials.score import NoScoreError

    reason = _nothing_to_try(diagnosis, trials)
    if not reason:
        try:
            with working(quiet) as watch:
                return prove(
                    run.spec,
                    diagnosis.remedies,
                    seeds=5 if trials.seeds is None else trials.seeds,
                    seed=run.spec.training.seed,
                    jobs=trials.jobs,
                    minutes=trials.minutes_left,
                    folder=out / "proof" if out and run.folder == out else out,
                    watch=watch,
                    loading=loading(quiet),
                )
        except NoScoreError as error:
            reason = f"no remedy was tried. {error}"
    print(f"thalweg: {reason}", file=sys.stderr)
    return None


def _nothing_to_try(diagnosis: Diagnosis, trials: _TrialOptions) -> str:
    """Why no remedy can be tried; empty where some can."""
    if diagnosis.healthy:
        return "the network is healthy, so there is nothing to prove"
    if not diagnosis.remedies:
        return "no finding has a remedy that could be tried, so there is no proof"
    return _out_of_time(trials)


def _out_of_time(trials: _TrialOptions) -> str:
    left = trials.minutes_left
    return (
        f"the {trials.minutes:g} minutes were over before any remedy was tried"
        if left is not None and left <= 0
        else ""
    )


def _write_repaired(repaired: Spec | None, name: str) -> Path | None:
    """Write the repaired spec to a new file in the current folder; None if there is none."""
    from ...core.files import commit
    from ...spec.toml import to_toml

    if repaired is None:
        return None
    names = (f"{name}-repaired{f'-{number}' if number > 1 else ''}.toml" for number in itertools.count(1))
    path = next(Path(name) for name in names if not Path(name).exists())
    commit(path, to_toml(repaired).encode())
    return path
