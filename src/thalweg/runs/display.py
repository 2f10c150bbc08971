"""The live display of a training: a bar on a terminal, plain lines elsewhere, nothing when quiet. Always on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core.progress import LINE_SECONDS, print_line
from ..doctor.findings import Finding
from ..doctor.render import finding_in_words
from ..training.callbacks import Progress


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


def show_finding(finding: Finding) -> None:
    """Print a finding on stderr, above the bar if there is one."""
    print_line(f"thalweg: {finding_in_words(finding)}")


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
        if done or (time.monotonic() - last >= LINE_SECONDS):
            last = time.monotonic()
            left = "" if done else _left(progress)
            line = f"epoch {progress.epoch}/{progress.training.epochs}  {in_words(progress)}  {left}".rstrip()
            print_line(line)

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
