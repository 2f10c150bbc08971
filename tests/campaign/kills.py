"""Trainings that are killed (kill -9) at random moments, resumed, killed again, and resumed to their end.

What is left must be, to the bit, what the same training leaves that nobody disturbs.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from trial import Trial

TRAININGS: dict[str, str] = {
    # Whatever has a memory or draws random numbers, with all probes and a film.
    "full": """
        data = {source = "rings 60", validation = 0.2}
        network = {layers = ["gaussian_noise 0.1", "dense 6", "batch_norm", "tanh", "dropout 0.2", "dense 2"]}
        training = {epochs = 12, batch_size = 16, engine = "eager", average = 0.9, clip = "global_norm 0.5"}
        optimizer = {kind = "nesterov", learning_rate = {kind = "plateau", initial = 0.2, patience = 0}}
        stopping = {patience = 100}
        checkpoints = {every = 2}
        probes = "full"
    """,
    "light": """
        data = "xor"
        network = {layers = ["dense 4", "tanh", "dense 1", "sigmoid"]}
        training = {epochs = 400, engine = "eager"}
        checkpoints = {every = 7, keep = 2}
        probes = "light 20"
    """,
    "standard": """
        data = {source = "iris", validation = 0.2}
        network = {layers = ["dense 5", "relu", "dense 3", "softmax"]}
        training = {epochs = 8, batch_size = 8, engine = "eager", seed = 5}
        optimizer = "adam 0.01"
        checkpoints = {every = 1}
        probes = "standard 3"
    """,
    "regression": """
        data = "wave 60"
        network = {layers = ["dense 6", "tanh", "dense 1"]}
        training = {epochs = 30, batch_size = 16, engine = "eager", accumulate = 2}
        optimizer = "momentum 0.05"
        checkpoints = {every = 5}
        probes = "off"
    """,
    "compiled": """
        data = {source = "rings 400", validation = 0.2}
        network = {layers = ["dense 8", "tanh", "dropout 0.2", "dense 2", "softmax"]}
        training = {epochs = 60, batch_size = 8, engine = "compiled"}
        checkpoints = {every = 3}
        probes = "light 50"
    """,
}
EAGER = [kind for kind in TRAININGS if kind != "compiled"]


class Reference(NamedTuple):
    """A training that nobody disturbs.

    folder: its folder.
    seconds: how long it took until its result was written.
    training: how long of this it trained.
    report: how long its report took.
    """

    folder: Path
    seconds: float
    training: float
    report: float


def write_spec(kind: str, folder: Path) -> Path:
    """The file of a training's spec in a folder."""
    path = folder / "spec.toml"
    path.write_text("\n".join(line.strip() for line in TRAININGS[kind].splitlines()))
    return path


class Process:
    """`thalweg WORDS`: in a forked process, which starts at once, or in one of its own where JAX is needed."""

    def __init__(self, *words: str | Path, log: Path, own: bool) -> None:
        self.log = log
        words = tuple(map(str, words))
        sys.stdout.flush()
        sys.stderr.flush()
        if own:
            with open(log, "wb") as file:
                command = [sys.executable, "-m", "thalweg", *words]
                self.id = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file).pid
        else:
            for module in ("thalweg.cli.commands.train", "thalweg.runs.resume"):
                importlib.import_module(module)

            assert "jax" not in sys.modules, "a process with the threads of JAX cannot be forked"
            self.id = os.fork() or self._run(words)
        self._code: int | None = None

    def _run(self, words: tuple[str, ...]) -> int:
        code = 70
        try:
            file = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(file, 1)
            os.dup2(file, 2)
            for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            from thalweg.cli.shell import main

            sys.argv = ["thalweg", *words]
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            number, status = os.waitpid(self.id, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if number else None
        return self._code

    def wait(self, seconds: float = 90) -> int:
        """The exit code at its end. Raises TimeoutError, and kills it, where it hangs."""
        self.wait_for(lambda: False, seconds)
        if self.code() is None:
            self.kill()
            raise TimeoutError(f"no end after {seconds} s: {self.said[-600:]}")
        return self._code or 0

    def wait_for(self, condition: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until something is so, or the process has ended."""
        end = time.monotonic() + seconds
        while self.code() is None and time.monotonic() < end and not condition():
            time.sleep(0.002)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal, and return the exit code."""
        if self.code() is None:
            os.kill(self.id, number)
        return self.wait()

    @property
    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")


# The folders of the references are removed when this process ends.
_kept: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def reference(kind: str) -> Reference:
    """The training of a kind that nobody disturbs, made once in this process."""
    _kept.append(tempfile.TemporaryDirectory(prefix="campaign-reference-"))
    root = Path(_kept[-1].name)
    began = time.time()
    process = Process("train", write_spec(kind, root), "--out", root / "run", log=root / "log", own=kind == "compiled")
    if process.wait(150):
        raise RuntimeError(process.said)
    names = ("run.json", "result.json", "report.html")
    start, result, report = ((root / "run" / name).stat().st_mtime for name in names)
    return Reference(root / "run", result - began, result - start, report - result)


def difference(run: Path, kind: str) -> str:
    """In what a run differs from the reference of its kind; "" where it is the same to the bit."""
    expected = reference(kind).folder
    found_names, names = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if "step-" not in path.name}
        for folder in (run, expected)
    )
    if found_names != names:
        return f"files differ: {sorted(found_names ^ names)}"
    if left := [path.name for path in run.rglob(".*.part")]:
        return f"left behind: {left}"
    newest, last = (max((folder / "checkpoints").glob("step-*.json")) for folder in (run, expected))
    if newest.name != last.name:
        return f"the last checkpoint is {newest.name}, not {last.name}"
    same = ["metrics.jsonl", "spec.toml", "checkpoints/final.safetensors", "checkpoints/final.json"]
    same += [name for name in ("probes.jsonl", "frames.safetensors", "frames.json") if name in names]
    same += [f"checkpoints/{last.stem}.safetensors"]
    for name in same:
        if (run / name).read_bytes() != (expected / name).read_bytes():
            return f"{name} differs"
    if _result(run) != _result(expected):
        return f"result.json differs: {_result(run)}"
    if not (run / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>"):
        return "the report is torn"
    return ""


def _result(run: Path) -> dict[str, object]:
    """What result.json says, without times."""
    result = json.loads((run / "result.json").read_bytes())
    facts = {name: value for name, value in result["facts"].items() if name not in ("time", "finished")}
    return {**result, "facts": facts, "seconds": 0, "outcome": result["outcome"].partition(" in ")[0]}


def resumed(run: Path, kind: str, own: bool) -> str:
    """Resume a run to its end; what went wrong, or ""."""
    process = Process("train", "--resume", run, log=run.parent / "log", own=own)
    code = process.wait()
    if "Traceback" in process.said:
        return f"a traceback: {process.said[-800:]}"
    if code and not (code == 2 and "already complete" in process.said):
        return f"resume ends with {code}: {process.said[-600:]}"
    return difference(run, kind)


def moment(rng: random.Random, part: str, run: Path, like: Reference) -> tuple[Callable[[], bool], float]:
    """When to kill: what to wait for first, and the seconds after that."""
    if part == "anywhere":
        return lambda: True, rng.uniform(0, 1.1 * (like.seconds + like.report))
    if part == "training":
        return (run / "metrics.jsonl").exists, rng.uniform(0, 0.8 * like.training)
    if part == "end":
        return (run / "checkpoints" / "final.safetensors").exists, rng.uniform(0, 0.02)
    return (run / "result.json").exists, rng.uniform(0, 1.2 * like.report)


def killed(folder: Path, kind: str, parts: tuple[str, ...], seed: int) -> str:
    """Kill a training and its resumptions, once in each part, then resume it to its end."""
    rng = random.Random(seed)
    like = reference(kind)
    own = kind == "compiled"
    run = folder / "run"
    spec = write_spec(kind, folder)
    for number, part in enumerate(parts):
        whole = (run / "spec.toml").exists()
        words = ("--resume", run) if whole else (spec, "--out", run)
        process = Process("train", *words, log=folder / "log", own=own)
        wait_for, seconds = moment(rng, part, run, like)
        process.wait_for(wait_for)
        due = time.monotonic() + seconds
        process.wait_for(lambda due=due: time.monotonic() >= due)
        # A signal that saves, now and then, so that the next kill meets a run with a result of its own.
        kindly = number + 1 < len(parts) and rng.random() < 0.2
        code = process.kill(signal.SIGTERM if kindly else signal.SIGKILL)
        complete = code == 2 and "already complete" in process.said
        if not complete and (code not in (0, 130, -signal.SIGTERM, -signal.SIGKILL) or "Traceback" in process.said):
            return f"kill {number} in {part}: ended with {code}: {process.said[-800:]}"
    if not (run / "spec.toml").exists():
        process = Process("train", spec, "--out", run, log=folder / "log", own=own)
        return f"ended with {process.said[-600:]}" if process.wait() else difference(run, kind)
    return resumed(run, kind, own)


PARTS = [
    ("training", "training", "anywhere"),
    ("training", "end", "report"),
    ("anywhere", "training", "training"),
    ("report", "report", "anywhere"),
    ("training", "report", "end"),
]


def trials() -> list[Trial]:
    """105 trainings with three kills each; a seventh of them compiled."""
    found = []
    for number in range(105):
        kind = "compiled" if number % 7 == 6 else EAGER[number % len(EAGER)]
        parts = PARTS[number % len(PARTS)]
        run = functools.partial(killed, kind=kind, parts=parts, seed=number)
        found.append(Trial(f"{kind}: kills in {', '.join(parts)}", run))
    return found
