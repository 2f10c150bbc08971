"""The live display of a training: a bar on a terminal, plain lines elsewhere, nothing when quiet. Always on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .training import Progress
from .worksheet import Working

# Lines of a display that nobody overwrites: no more than one in this time, and always the last.
_LINE_SECONDS = 1.0


@contextmanager
def shown(quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A watch for `training.fit` that shows how the training goes."""
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar() as watch:
            yield watch
    else:
        yield _lines()


def loading(quiet: bool = False) -> Callable[[int, int], None]:
    """A watch for `Data.load`: a line now and then, where rows take their time to be made ready."""
    last = time.monotonic()

    def watch(done: int, total: int) -> None:
        nonlocal last
        if not quiet and time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            print(f"rows made ready: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return watch


def said(words: str) -> None:
    """A line for who watches a training; while a bar is shown, it stands above it."""
    # A training is worth more than the line that tells of it.
    with suppress(OSError):
        print(words, file=sys.stderr, flush=True)


@contextmanager
def working(quiet: bool = False) -> Iterator[Callable[[Working], None]]:
    """A watch for a worksheet in the making: what is being computed now."""
    if quiet:
        yield lambda now: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status("") as status:
            yield lambda now: status.update(Text(_working_in_words(now)))
    else:
        last = -math.inf

        def watch(now: Working) -> None:
            nonlocal last
            if time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                with suppress(OSError):
                    print(_working_in_words(now), file=sys.stderr, flush=True)

        yield watch


def _working_in_words(now: Working) -> str:
    return now.text if now.share is None else f"{now.text} ({now.share:.0%})"


def in_words(progress: Progress) -> str:
    """Loss, scores, rate, speed and remaining time in one line."""
    parts = [f"{name} {value:.4g}" for name, value in _measures(progress).items()]
    if math.isfinite(progress.steps_per_second):
        parts.append(f"{_thousands(progress.samples_per_second)} samples/s")
    return "  ".join(parts)


def _measures(progress: Progress) -> dict[str, float]:
    short = {"mean_absolute_error": "MAE", "learning_rate": "rate"}
    found = {}
    for name, value in progress.record.items():
        if name in ("epoch", "step") or name == "validation_loss":
            continue
        held_out, name = name.startswith("validation_"), name.removeprefix("validation_")
        found[("val " if held_out else "") + short.get(name, name)] = value
    found["rate"] = found.pop("rate")
    return found


def _thousands(value: float) -> str:
    return f"{value / 1000:,.0f}k" if value >= 10_000 else f"{value:,.0f}"


def _left(progress: Progress) -> str:
    if not math.isfinite(progress.steps_per_second):
        return ""
    minutes, rest = divmod(round(progress.remaining_seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()

    def watch(progress: Progress) -> None:
        nonlocal last
        done = progress.step == progress.steps
        if done or (time.monotonic() - last >= _LINE_SECONDS):
            last = time.monotonic()
            left = "" if done else _left(progress)
            line = f"epoch {progress.epoch}/{progress.training.epochs}  {in_words(progress)}  {left}".rstrip()
            said(line)

    return watch


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=None),
        rich.TextColumn("{task.fields[left]}"),
    )
    bar = rich.Progress(*columns, expand=True)
    task = bar.add_task("preparing", total=None, left="")
    words = Text("", no_wrap=True, overflow="ellipsis")
    with Live(Group(bar, words), console=Console(stderr=True), refresh_per_second=10):

        def watch(progress: Progress) -> None:
            bar.update(
                task,
                description=f"epoch {progress.epoch}/{progress.training.epochs}",
                total=progress.steps,
                completed=progress.step,
                left=_left(progress),
            )
            words.plain = in_words(progress)

        yield watch
