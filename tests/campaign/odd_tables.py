"""Odd tables: files of text, Parquet and NumPy written by seeded rules, whose right content is known.

A file that is understood gives exactly the numbers and classes it was made from. A file that is not is refused by a
message that names what is at fault.
"""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from trial import Trial

UNDERSTOOD = 280
DAMAGED = 60
STRANGE = 60
SUFFIXES = (".csv", ".txt", ".dat", ".data", "", ".CSV", ".tsv", ".prn")
MARKS = ("NA", "nan", "N/A", "", "?", "-", "null", "NULL", "None", "#N/A", "NaN", "n/a")
NAMES = ("Größe", "weight [kg]", 'a "quoted" name', "p(x)", "two\nlines", "b;c", "d,e", "x.1", "ähm", "Température")


def trials() -> list[Trial]:
    """All trials; the number of a trial is its seed."""
    made = [Trial(f"understood, seed {seed}", of_seed(understood, seed)) for seed in range(UNDERSTOOD)]
    made += [Trial(f"damaged, seed {seed}", of_seed(damaged, seed)) for seed in range(DAMAGED)]
    return made + [Trial(f"strange cells, seed {seed}", of_seed(strange, seed)) for seed in range(STRANGE)]


def of_seed(attempt: Callable[[random.Random, Path], str], seed: int) -> Callable[[Path], str]:
    """The trial of a seed."""
    return lambda folder: attempt(random.Random(seed), folder)


# Columns --------------------------------------------------------------------------------------------------------------


class Column:
    """A column: its cells as text and, if it is an input, the numbers that they stand for (None: missing)."""

    def __init__(self, cells: list[str], values: list[float | None] | None) -> None:
        self.cells = cells
        self.values = values


def grouped(number: str, separator: str) -> str:
    """The digits of a whole number in groups of three."""
    sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
    head = len(digits) % 3 or 3
    return sign + separator.join([digits[:head], *(digits[i : i + 3] for i in range(head, len(digits), 3))])


def numbers(rng: random.Random, rows: int, decimal: str, separator: str) -> Column:
    """Numbers in one of many notations."""
    kinds = ["plain", "plain", "whole", "thousands", "both", "percent", "currency", "exponent"]
    kind = rng.choice(kinds)
    thousands = rng.choice([mark for mark in (",", ".", " ", "'") if mark != decimal and mark != separator])
    sign = rng.choice("$€£") if kind == "currency" else "%" if kind == "percent" else ""
    cells: list[str] = []
    values: list[float | None] = []
    for row in range(rows):
        # The first row settles the notation: 1234567 and a fraction of one or two digits cannot be read otherwise.
        number = f"{rng.uniform(-999, 999):.{1 if row == 0 else rng.choice((1, 2, 4))}f}"
        if kind == "whole":
            number = str(rng.randint(-40, 40))
        elif kind in ("thousands", "both"):
            number = str(rng.randint(10**6, 10**7) if row == 0 else rng.randint(-(10**6), 10**6))
            number += f".{rng.randint(11, 99)}" if kind == "both" else ""
        elif kind == "exponent":
            number = f"{rng.uniform(-9, 9):.3e}" if row else "1.25e-3"
        value = float(f"{number}e-2") if kind == "percent" else float(number)
        whole, _, fraction = number.partition(".")
        if kind in ("thousands", "both"):
            whole = grouped(whole, thousands)
        cell = whole + (decimal + fraction if fraction else "")
        if sign:
            before = sign == "$"
            cell = f"{sign}{cell}" if before else f"{cell}{rng.choice(('', ' '))}{sign}"
        cells.append(cell)
        values.append(value)
    return Column(cells, values)


def dates(rng: random.Random, rows: int) -> Column:
    """Days in one of the usual forms; one day after the 12th tells the month from the day."""
    form = rng.choice(("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d"))
    days = [dt.date(2004, 5, 28), *(dt.date(1990, 1, 1) + dt.timedelta(rng.randrange(9000)) for _ in range(rows - 1))]
    return Column([day.strftime(form) for day in days], [float((day - dt.date(1970, 1, 1)).days) for day in days])


def gaps(rng: random.Random, column: Column, separator: str) -> None:
    """Replace some cells, but not the first, by a mark of a missing value."""
    assert column.values is not None
    mark = rng.choice([mark for mark in MARKS if mark or separator != " "])
    for row in range(1, len(column.cells)):
        if rng.random() < 0.1:
            column.cells[row] = mark
            column.values[row] = None


def identifiers(rng: random.Random, rows: int) -> Column:
    """Texts or whole numbers that name the rows."""
    start = rng.randint(0, 10**6)
    text = rng.choice(("user{}", "{}-x", "{}", "Name {} Surname"))
    return Column([text.format(start + row) for row in range(rows)], None)


# Files ----------------------------------------------------------------------------------------------------------------


def quoted(cell: str, separator: str, always: bool) -> str:
    """A cell as a CSV writer writes it."""
    special = any(mark in cell for mark in (separator, '"', "\n", "\r")) or (separator == " " and not cell)
    return '"' + cell.replace('"', '""') + '"' if special or always else cell


def compressed(rng: random.Random, content: bytes) -> bytes:
    """The content, in a third of the draws compressed."""
    kind = rng.choice(("", "", "", "", "gz", "bz2", "xz", "zip"))
    if kind == "gz":
        return gzip.compress(content)
    if kind == "bz2":
        return bz2.compress(content)
    if kind == "xz":
        return lzma.compress(content)
    if kind == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as members:
            members.writestr("table.csv", content)
        return archive.getvalue()
    return content


def lines_of(rng: random.Random, columns: dict[str, Column], separator: str, header: bool) -> str:
    """The text of a file with blanks, comments, empty lines, spare separators or quotes, as they are drawn."""
    always = rng.random() < 0.2
    pad = " " if separator != " " and not always and rng.random() < 0.2 else ""
    spare = separator if separator != " " and rng.random() < 0.1 else ""
    rows = [list(columns)] if header else []
    rows += [list(cells) for cells in zip(*(column.cells for column in columns.values()), strict=True)]
    lines = []
    for cells in rows:
        written = (quoted(cell, separator, always) for cell in cells)
        lines.append(separator.join(cell if '"' in cell else pad + cell + pad for cell in written) + spare)
    if rng.random() < 0.1:
        lines.insert(0, "# made by a device")
    if rng.random() < 0.1:
        lines.insert(rng.randrange(1, len(lines)), "")
    end = rng.choice(("\n", "\n", "\r\n"))
    return end.join(lines) + (end if rng.random() < 0.8 else "")


def encoded(rng: random.Random, text: str) -> bytes:
    """The text in one of the encodings that have its letters."""
    name = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"))
    return text.encode(name)


def understood(rng: random.Random, folder: Path) -> str:
    """A file that must be read exactly, or refused where it has the target twice."""
    rows = rng.randint(24, 60)
    separator = rng.choice((",", ",", ";", ";", "\t", "|", " "))
    decimal = rng.choice((".", ","))
    names = rng.sample(NAMES, 5)
    columns = {names[0]: numbers(rng, rows, decimal, separator)}
    if rng.random() < 0.6:
        columns[names[1]] = numbers(rng, rows, decimal, separator)
    if rng.random() < 0.3:
        columns[names[2]] = dates(rng, rows)
    for column in list(columns.values()):
        if rng.random() < 0.4:
            gaps(rng, column, separator)
    if rng.random() < 0.3:
        columns[names[3]] = identifiers(rng, rows)
    if rng.random() < 0.3:
        columns[names[4]] = Column([rng.choice(("red", "grün", "blue")) for _ in range(rows)], None)
    classes = rng.choice((["0", "1"], ["yes", "no"], ["ä", "b", "c"]))
    columns["target"] = Column([classes[row % len(classes)] for row in range(rows)], None)
    header = rng.random() < 0.85
    content = compressed(rng, encoded(rng, lines_of(rng, columns, separator, header)))
    path = folder / f"odd{rng.choice(SUFFIXES)}"
    path.write_bytes(content)
    known = columns if header else {f"column {place}": column for place, column in enumerate(columns.values(), 1)}
    return differences(path, known, list(known)[-1])


def differences(path: Path, columns: dict[str, Column], target: str) -> str:
    """What of a file was not read as it was meant, or ""."""
    from thalweg.data import Data

    for memory in (None, 1):
        source = {"kind": "table", "file": str(path)}
        data = Data.of(
            {"source": source, "target": target, "test": 0, "validation": 0, "scale": "none", "memory": memory}
        )
        split = data.load(0, precision="float64")
        fitted = split.preprocessing
        x = np.concatenate([part.x for part in split.train.parts()])
        y = np.concatenate([part.y for part in split.train.parts()])
        labels = [str(label) for label in fitted.labels(y)]
        if labels != columns[target].cells:
            return f"labels {labels[:5]}"
        for name, column in columns.items():
            clean = " ".join(name.split())
            if column.values is None or name == target:
                continue
            if clean not in fitted.feature_names:
                return f"{name!r} is no input: {split.notes}"
            read = x[:, fitted.feature_names.index(clean)]
            for row, value in enumerate(column.values):
                if value is not None and read[row] != value:
                    return f"{name!r}, row {row}: {column.cells[row]!r} is {value}, read as {read[row]}; {split.notes}"
        if len(fitted.feature_names) > len(columns) + 3:
            return f"{len(fitted.feature_names)} inputs of {len(columns)} columns"
    return ""


# What must be refused or said -----------------------------------------------------------------------------------------


def damaged(rng: random.Random, folder: Path) -> str:
    """A file cut off, overwritten or of another kind: it is refused by a message without the bytes of the file."""
    from thalweg.core.errors import InputError
    from thalweg.data import Data

    rows = rng.randint(30, 60)
    frame = pl.DataFrame({"a": [rng.random() for _ in range(rows)], "t": [row % 2 for row in range(rows)]})
    kind = rng.choice(("parquet", "npy", "gz", "ragged", "binary", "quote", "complex", "records", "objects", "twice"))
    path = folder / "odd.csv"
    source: dict[str, object] = {"kind": "table", "file": str(path)}
    if kind == "parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = bytearray(buffer.getvalue())
        if rng.random() < 0.5:
            content = content[: rng.randrange(5, len(content))]
        else:
            content[-rng.randrange(5, 40) :] = bytes(rng.randrange(256) for _ in range(5))
        path.write_bytes(content)
    elif kind == "gz":
        content = bytearray(gzip.compress(frame.write_csv().encode()))
        path.write_bytes(content[: rng.randrange(20, len(content) - 8)])
    elif kind in ("ragged", "quote", "twice"):
        lines = frame.write_csv().splitlines()
        row = rng.randrange(1, len(lines))
        if kind == "twice":
            lines = ["t,t", *lines[1:]]
        else:
            lines[row] = "1,2,3" if kind == "ragged" else '"1,0'
        path.write_text("\n".join(lines))
    elif kind == "binary":
        path.write_bytes(bytes(rng.randrange(256) for _ in range(4000)))
    else:
        arrays = {
            "complex": np.array([1 + 2j] * rows),
            "records": np.zeros(rows, [("a", float), ("b", int)]),
            "objects": np.array([1, "a"] * rows, object),
            "npy": np.zeros((rows, 2)),
        }
        np.save(folder / "x.npy", arrays[kind])
        np.save(folder / "y.npy", np.arange(rows) % 2)
        if kind == "npy":
            content = bytearray((folder / "x.npy").read_bytes())
            (folder / "x.npy").write_bytes(content[: rng.randrange(1, len(content) - 1)])
        source = {"kind": "npy", "x": str(folder / "x.npy"), "y": str(folder / "y.npy")}
    try:
        Data.of({"source": source, "target": None if "x" in source else "t"}).load(0)
    except InputError as error:
        message = str(error)
        return "" if message.isprintable() and len(message) < 2000 else f"message {message!r}"
    return f"{kind}: read without a word"


def strange(rng: random.Random, folder: Path) -> str:
    """Numbers with a few cells that are no numbers: they are named, and never silently become something."""
    from thalweg.core.errors import InputError
    from thalweg.data import Data

    rows = rng.randint(40, 80)
    cell = rng.choice(("<1.0", ">100", "12a", "abc", "1,2,3", "1..5", "0x1F", "five", "~3", "1;5", "5-6", "1.5 mg"))
    cells = [f"{rng.uniform(0, 100):.3f}" for _ in range(rows)]
    row = rng.randrange(rows)
    for place in {row, *(rng.randrange(row, rows) for _ in range(rng.randint(0, 3)))}:
        cells[place] = cell
    lines = ["a,b,t", *(f'"{text}",{rng.random():.3f},{i % 2}' for i, text in enumerate(cells))]
    path = folder / "odd.csv"
    path.write_text("\n".join(lines))
    try:
        split = Data.of({"source": str(path), "target": rng.choice(("t", "a"))}).load(0)
    except InputError as error:
        message = str(error)
    else:
        message = "\n".join(split.notes)
    return "" if repr(cell) in message and f"row {row + 1}" in message else f"{cell!r} in row {row + 1}: {message!r}"
