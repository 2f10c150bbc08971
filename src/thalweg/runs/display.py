"""The live display of a training: a bar on a terminal, a line below the cell of a notebook, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.noise import same_draws
from ..core.progress import LINE_SECONDS, in_notebook, notebook_line, print_line
from ..core.streams import escaped_streams
from ..pages.numbers import measure_value, number
from ..training.callbacks import Callback, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.text import Text as RichText

_SHORT_NAMES = {"mean_absolute_error": "MAE", "root_mean_squared_error": "RMSE", "learning_rate": "rate"}


@contextmanager
def shown(quiet: bool = False) -> Iterator[Callback]:
    """A callback that shows the progress of a training: a bar, the line of a notebook, or plain lines."""
    if quiet:
        yield Callback()
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield bar
    elif in_notebook():
        yield _NotebookLine(notebook_line())
    else:
        yield _Lines()


def in_words(progress: Progress) -> str:
    """Loss, measures, rate and speed in one line."""
    parts = [f"{_short_name(name)} {measure_value(name, value)}" for name, value in _measures(progress).items()]
    if math.isfinite(progress.steps_per_second):
        parts.append(f"{number(progress.samples_per_second, 3)} samples/s")
    return "  ".join(parts)


def _line(progress: Progress) -> str:
    left = "" if progress.step == progress.steps else _left(progress)
    return f"epoch {progress.epoch}/{progress.training.epochs}  {in_words(progress)}  {left}".rstrip()


def _measures(progress: Progress) -> dict[str, float]:
    """The measures that are shown, and the learning rate at the end."""
    left_out = ("epoch", "step", "validation_loss", "learning_rate")
    measures = {name: value for name, value in progress.record.items() if name not in left_out}
    return {**measures, "learning_rate": progress.record["learning_rate"]}


def _short_name(name: str) -> str:
    """`validation_mean_absolute_error` -> `val MAE`."""
    measure = name.removeprefix("validation_")
    prefix = "" if measure == name else "val "
    return prefix + _SHORT_NAMES.get(measure, measure)


def _left(progress: Progress) -> str:
    if not math.isfinite(progress.steps_per_second):
        return ""
    minutes, rest = divmod(round(progress.remaining_seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"


class _NotebookLine(Callback):
    """A line below the cell that tells the progress."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def on_progress(self, progress: Progress) -> None:
        self._show(_line(progress))


class _Lines(Callback):
    """A line each second, and one at the end."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_progress(self, progress: Progress) -> None:
        done = progress.step == progress.steps
        if done or time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            print_line(_line(progress))


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
    with same_draws():
        from rich import progress as rich_progress
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        from ..core.console import console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=None),
        rich_progress.TextColumn("{task.fields[left]}"),
    )
    bar = rich_progress.Progress(*columns, expand=True)
    words = Text("", no_wrap=True, overflow="ellipsis")
    callback = _Bar(bar, words)
    with Live(Group(bar, words), console=console(error=True), refresh_per_second=10), escaped_streams():
        yield callback
