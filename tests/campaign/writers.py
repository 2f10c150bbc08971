"""Two processes that write the folder of one run: all but one are refused, and nothing is lost when all are killed."""

from __future__ import annotations

import functools
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

from kills import Process, reference, resumed, write_spec
from trial import Trial

KINDS = ("light", "regression")


def _start(run: Path, kind: str) -> Process:
    """A training, after its first checkpoint."""
    process = Process("train", write_spec(kind, run.parent), "--out", run, log=run.parent / "live", own=False)
    process.wait_for(lambda: any(run.glob("checkpoints/step-*.json")))
    return process


def _refusal(process: Process, holders: list[int]) -> str:
    """What is wrong with the answer to a second writer, or ""."""
    code = process.wait()
    if code == 2 and "already complete" in process.said:
        return ""
    if code != 2 or "Traceback" in process.said:
        return f"a second writer ends with {code}: {process.said[-600:]}"
    named = re.search(r"process (\d+) on", process.said)
    if not named or int(named[1]) not in holders:
        return f"the holder {holders} is not named: {process.said[-600:]}"
    return ""


def live_and_resume(folder: Path, kind: str, seed: int) -> str:
    """A live training, a resume beside it, and a second one; all killed."""
    rng, run = random.Random(seed), folder / "run"
    live = _start(run, kind)
    for number in range(2):
        second = Process("train", "--resume", run, log=folder / f"second-{number}", own=False)
        problem = _refusal(second, [live.id])
        if problem and live.code() is None:
            live.kill()
            return problem
    time.sleep(rng.uniform(0, reference(kind).seconds / 4))
    live.kill()
    return resumed(run, kind, own=False)


def two_resumes(folder: Path, kind: str, seed: int) -> str:
    """Two processes resume a killed training at once; both killed at a random moment."""
    rng, run = random.Random(seed), folder / "run"
    _start(run, kind).kill()
    both = [Process("train", "--resume", run, log=folder / f"resume-{number}", own=False) for number in range(2)]
    time.sleep(rng.uniform(0, reference(kind).seconds))
    running = [process for process in both if process.code() is None]
    for process in rng.sample(running, len(running)):
        process.kill()
    for process in both:
        if process not in running and (process.code() or "another process" in process.said):
            others = [other.id for other in both if other is not process]
            if problem := _refusal(process, others):
                return problem
    return resumed(run, kind, own=False)


def two_new(folder: Path, kind: str, seed: int) -> str:
    """Two processes train into one new folder: one is refused, and the other ends as if it were alone."""
    run = folder / "run"
    spec = write_spec(kind, folder)
    both = [Process("train", spec, "--out", run, log=folder / f"new-{number}", own=False) for number in range(2)]
    codes = sorted(process.wait() for process in both)
    if codes != [0, 2]:
        return f"they end with {codes}: {[process.said[-300:] for process in both]}"
    return _complete(run, kind)


def _complete(run: Path, kind: str) -> str:
    problem = resumed(run, kind, own=False)
    return problem or ("" if "already complete" in (run.parent / "log").read_text() else "it was not complete")


def damaged_before(folder: Path, kind: str, seed: int) -> str:
    """The records as two writers left them before there was a lock: doubled, out of order, torn, interleaved."""
    rng, run = random.Random(seed), folder / "run"
    _start(run, kind).kill()
    for name in ("metrics.jsonl", "probes.jsonl"):
        path = run / name
        lines = path.read_bytes().splitlines() if path.exists() else []
        whole = list(lines)
        for line in rng.sample(lines, len(lines) // 2):
            whole.insert(rng.randint(0, len(whole)), line)
        rng.shuffle(whole)
        for line in rng.sample(lines, len(lines) // 4):
            # Torn lines are there beside the whole ones.
            whole.insert(rng.randint(0, len(whole)), line[: rng.randint(1, len(line) - 1)])
        if path.exists():
            path.write_bytes(b"".join(line + b"\n" for line in whole) + b'{"epoch": 7, "st')
    (run / ".metrics.jsonl.99999999.part").write_bytes(b"half")
    (run / "checkpoints" / ".step-0000000003.json.99999999.part").write_bytes(b"half")
    (run / "checkpoints" / "step-0000999999.safetensors").write_bytes(b"half")
    (run / ".lock").write_text(json.dumps({"process": 1}))
    return resumed(run, kind, own=False)


SCENES: list[Callable[..., str]] = [live_and_resume, two_resumes, two_resumes, two_new, damaged_before]


def trials() -> list[Trial]:
    """60 rounds, each with two processes or with what they once left."""
    found = []
    for number in range(60):
        scene = SCENES[number % len(SCENES)]
        kind = KINDS[number // len(SCENES) % len(KINDS)]
        found.append(Trial(f"{kind}: {scene.__name__}", functools.partial(scene, kind=kind, seed=number)))
    return found
