"""Write docs/parts.md from the parts themselves: their kinds, options and the first line of their docstrings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import ModuleType

from thalweg import clipping, data, initializers, layers, losses, optimizers, probes, schedules
from thalweg.data import Order, Source
from thalweg.parts.clipping import Clipping
from thalweg.parts.part import Initializer, Layer, Loss, Optimizer, Part, Schedule, options_of
from thalweg.parts.settings import Probes

FAMILIES: list[tuple[str, type[Part], ModuleType, str]] = [
    ("Layers", Layer, layers, "z is what comes in, y what goes out."),
    ("Losses", Loss, losses, "y is the output, t the target, z a logit; every loss takes sample weights."),
    ("Initializers", Initializer, initializers, "The values are drawn in float64 by NumPy, whatever the engine."),
    ("Optimizers", Optimizer, optimizers, "g is the gradient, Δ the update, η the rate; any rate may be a schedule."),
    ("Schedules", Schedule, schedules, 't counts updates from 0; durations are steps, or "10 epochs", or "25 %".'),
    ("Clipping", Clipping, clipping, "g is the gradient; one that is NaN or infinite is left as it is."),
    ("Probes", Probes, probes, "`every` is the number of steps from look to look; see docs/probes.md."),
    ("Data sources", Source, data, "Beside these names, a source may be a file, a folder of IDX files, or arrays."),
    ("Orders", Order, data, "`by` names a column, or is a Python function f(x, y) -> (n,) of the source's rows."),
]


def options(part: type[Part]) -> str:
    """The options of a part with their defaults."""
    words = []
    for field in options_of(part):
        required = field.default is dataclasses.MISSING
        words.append(f"`{field.name}`" if required else f"`{field.name} = {field.default!r}`".replace("None", "…"))
    return ", ".join(words)


def text() -> str:
    """The whole page."""
    lines = ["# All parts", "", "Written by `docs/write_parts.py` from the docstrings, which tell more.", ""]
    for title, family, module, said in FAMILIES:
        lines += [f"## {title}", "", f"`{module.__name__}`. {said}", "", "| kind | options | |", "| --- | --- | --- |"]
        for part in dict.fromkeys(family.kinds.values()):
            names = " ".join(f"`{name}`" for name, cls in family.kinds.items() if cls is part)
            first = (part.__doc__ or "").strip().splitlines()[0].replace("|", "\\|")
            lines.append(f"| {names} | {options(part)} | {first} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    page = Path(__file__).with_name("parts.md")
    page.write_text(text())
    sys.stdout.write(f"{page}\n")
