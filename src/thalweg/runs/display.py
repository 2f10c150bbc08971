"""The live display of a training on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.progress import LINE_SECONDS, print_line
from ..training.callbacks import Callback, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.text import Text as RichText


@contextmanager
def shown(quiet: bool = False) -> Iterator[Callback]:
    """A callback that shows the progress of a training: a bar on a terminal, plain lines elsewhere."""
    if quiet:
        yield Callback()
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield bar
    else:
        yield _Lines()


def in_words(progress: Progress) -> str:
    """Loss, measures, rate and speed in one line."""
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
        prefix = "val " if name.startswith("validation_") else ""
        measure = name.removeprefix("validation_")
        found[prefix + short.get(measure, measure)] = value
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


class _Lines(Callback):
    """A line each second, and one at the end."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        done = progress.step == progress.steps
        if done or time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            left = "" if done else _left(progress)
            print_line(f"epoch {progress.epoch}/{progress.training.epochs}  {in_words(progress)}  {left}".rstrip())


class _Bar(Callback):
    """Moves a progress bar and the line of measures below it."""

    def __init__(self, bar: RichProgress, words: RichText) -> None:
        self.bar = bar
        self.words = words
        self._task = bar.add_task("preparing", total=None, left="")

    def on_progress(self, progress: Progress) -> None:
        self.bar.update(
            self._task,
            description=f"epoch {progress.epoch}/{progress.training.epochs}",
            total=progress.steps,
            completed=progress.step,
            left=_left(progress),
        )
        self.words.plain = in_words(progress)


@contextmanager
def _bar() -> Iterator[Callback]:
    from rich import progress as rich_progress
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=None),
        rich_progress.TextColumn("{task.fields[left]}"),
    )
    bar = rich_progress.Progress(*columns, expand=True)
    words = Text("", no_wrap=True, overflow="ellipsis")
    callback = _Bar(bar, words)
    with Live(Group(bar, words), console=Console(stderr=True), refresh_per_second=10):
        yield callback
