"""The campaign: attacks and accidents by the hundred. Prints how many of each kind went right, and each that did not.

    python tests/campaign/run.py                      all trials
    python tests/campaign/run.py --share 0.1 --seed 7 a tenth of each kind, drawn with this seed
    python tests/campaign/run.py --only kills         one kind
    python tests/campaign/run.py --only kills --trial 12

Each file beside this one is a kind. It has `trials()`, a list of `Trial` that is the same in every process.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from types import FrameType

from trial import Trial

from thalweg.core.printable import printable

HERE = Path(__file__).parent

KINDS = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in ("run", "trial"))
SECONDS = 180
"""The longest that a trial may take; a longer one counts as a hang."""


def trials_of(kind: str) -> list[Trial]:
    """All trials of a kind."""
    return importlib.import_module(kind).trials()


def attempt(kind: str, index: int) -> str:
    """Run a trial in a folder of its own. Returns what went wrong, or ""."""

    def hang(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {SECONDS} s")

    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as folder:
            return trials_of(kind)[index].run(Path(folder))
    except Exception:
        return traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)


def drawn(count: int, share: float, seed: int) -> list[int]:
    """The indices of the trials to run: at least one of a kind."""
    number = max(1, round(count * share))
    return sorted(random.Random(seed).sample(range(count), min(number, count)))


def main(words: Iterable[str] | None = None) -> int:
    """Run the campaign. Returns 1 if a trial went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="the part of each kind that is tried")
    parser.add_argument("--seed", type=int, default=0, help="which trials are drawn where the share is below 1")
    parser.add_argument("--only", choices=KINDS, help="one kind")
    parser.add_argument("--trial", type=int, help="one trial of this kind, by its number")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    options = parser.parse_args(None if words is None else list(words))
    kinds = [options.only] if options.only else KINDS
    wrong = 0
    context = multiprocessing.get_context("spawn")
    for kind in kinds:
        began = time.perf_counter()
        trials = trials_of(kind)
        indices = [options.trial] if options.trial is not None else drawn(len(trials), options.share, options.seed)
        failures = {}
        with ProcessPoolExecutor(min(options.workers, len(indices)), mp_context=context) as pool:
            tasks = {pool.submit(attempt, kind, index): index for index in indices}
            for number, task in enumerate(as_completed(tasks), 1):
                if problem := task.result():
                    failures[tasks[task]] = problem
                if sys.stderr.isatty():
                    print(f"\r{kind}: {number} of {len(indices)}", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        seconds = time.perf_counter() - began
        print(f"{kind:12} {len(indices) - len(failures):5} of {len(indices):5} right   {seconds:6.0f} s", flush=True)
        for index, problem in sorted(failures.items()):
            print(f"  wrong: --only {kind} --trial {index} ({trials[index].name})")
            print("".join(f"    {printable(line)}\n" for line in problem.splitlines()), end="", flush=True)
        wrong += len(failures)
    print(f"wrong: {wrong}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
