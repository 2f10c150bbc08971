"""Files that a page sends: parsed in a process of their own, with limits of memory and time."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
import re
import secrets
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote

import numpy as np

from ..core.errors import InputError, Problem
from ..core.files import Json, JsonObject, commit
from ..core.noise import generator
from ..core.printable import printable
from ..data.reading.table_files import TableOptions, load_table

if TYPE_CHECKING:
    import polars

UPLOAD_BYTES = 64 * 2**20
"""Most bytes of a file."""
_MOST_UPLOADS = 20
_SHOWN_ROWS = 20_000
_MOST_COLUMNS = 10_000
_LONGEST_NAME = 200
_SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,2}$")


class Limits(NamedTuple):
    """What the parsing of a file may take.

    Attributes:
        seconds: time, by the clock and of the processor.
        memory: bytes beside those that Python has at the start; where the system can bound them.
    """

    seconds: float = 60.0
    memory: int = 2 * 2**30


USUAL = Limits()


class Uploads:
    """The files of a server, in a folder that ends with it.

    Args:
        folder: the folder; labs may read the files in it.
        limits: what the parsing of one may take.
    """

    def __init__(self, folder: str, limits: Limits = USUAL) -> None:
        self.folder = Path(folder)
        self.limits = limits
        self._count = 0
        self._parsing = asyncio.Lock()

    async def take(self, name: str, content: bytes) -> JsonObject:
        """Parse the content of a file, and keep it as a table.

        Args:
            name: the name of the file, as a header has it.
            content: its bytes.

        Returns:
            `upload`: its number; `name`; `columns`: their names and types; `rows`; `sampled`: the number of rows of the
            seeded sample that stands for a large table, or None; `source`: the data source of the table or its sample;
            `all`: that of all rows; `notes`.

        Raises:
            InputError: it is no table that can be read within the limits; or there are too many files.
        """
        async with self._parsing:
            if self._count >= _MOST_UPLOADS:
                raise InputError("file", f"at most {_MOST_UPLOADS} files can be opened; start the playground again")
            shown = printable(unquote(name))[:_LONGEST_NAME].replace("\n", " ") or "file"
            stem = secrets.token_hex(8)
            suffix = _SUFFIX.search(shown)
            raw = self.folder / f"{stem}-raw{suffix[0] if suffix else ''}"
            commit(raw, content)
            try:
                found = await asyncio.to_thread(self._parsed, raw, self.folder / f"{stem}.parquet", shown)
            finally:
                raw.unlink(missing_ok=True)
            self._count += 1
            return {"upload": stem, "name": shown, **found}

    def _parsed(self, raw: Path, table: Path, name: str) -> JsonObject:
        """What the process that parses a file says of it. It waits for the process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_parse, args=(theirs, str(raw), str(table), self.limits), daemon=True)
        process.start()
        theirs.close()
        try:
            if not ours.poll(self.limits.seconds):
                raise InputError(name, f"takes longer than {self.limits.seconds:g} s to read; send fewer rows")
            answer = ours.recv()
        except (EOFError, OSError):
            memory = self.limits.memory // 2**20
            fix = f"open it from the shell: thalweg playground --data {name}"
            raise InputError(name, f"cannot be read within {memory:,} MB of memory; {fix}") from None
        finally:
            process.kill()
            process.join()
            ours.close()
        if isinstance(answer, InputError):
            # The user knows the file by its own name.
            raise InputError(name, [Problem(p.place, p.message.replace(str(raw), name)) for p in answer.problems])
        return cast("JsonObject", answer)


def _parse(connection: Connection, raw: str, table: str, limits: Limits) -> None:
    """The process that parses a file: it writes the table as Parquet, and says what is in it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries are loaded before memory is scarce.
    import polars  # noqa: F401

    _bound(limits)
    answer: object
    try:
        answer = described(raw, Path(table))
    except InputError as error:
        answer = error
    except BaseException:
        # A library that lacks memory fails in many ways: the end of the process says it.
        os._exit(1)
    with suppress(OSError):
        connection.send(answer)


def _bound(limits: Limits) -> None:
    """Bound the memory and the time of this process, where the system can."""
    if importlib.util.find_spec("resource") is None:
        return
    import resource

    seconds = int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    pages = Path("/proc/self/statm")
    if pages.exists():
        present = int(pages.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        most = present + limits.memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def described(raw: str, table: Path) -> JsonObject:
    """What is in a file, which is kept as a table in Parquet, with a sample beside it where it has many rows.

    Raises InputError where it is no table.
    """
    samples = load_table(raw, TableOptions())
    frame = cast("polars.DataFrame", samples.x)
    if frame.width > _MOST_COLUMNS:
        raise InputError("file", f"expected at most {_MOST_COLUMNS:,} columns, received {frame.width:,}")
    frame.write_parquet(table)
    source: JsonObject = {"kind": "table", "file": str(table)}
    shown: JsonObject = source
    notes: list[Json] = [printable(note) for note in samples.notes]
    sampled = frame.height > _SHOWN_ROWS
    if sampled:
        rows = np.sort(generator(0, "upload").choice(frame.height, _SHOWN_ROWS, replace=False))
        part = table.with_stem(f"{table.stem}-sample")
        frame[rows].write_parquet(part)
        shown = {"kind": "table", "file": str(part)}
        notes.append(f"the page trains on {_SHOWN_ROWS:,} rows, a seeded sample of {frame.height:,}")
    return {
        "columns": _columns(frame),
        "rows": frame.height,
        "sampled": _SHOWN_ROWS if sampled else None,
        "source": shown,
        "all": source,
        "notes": notes,
    }


def _columns(frame: polars.DataFrame) -> list[Json]:
    """The names of the columns, as they are; a page shows them as text. Each with its type in a word."""

    def kind(column: polars.Series) -> str:
        if column.dtype.is_numeric():
            return "number"
        return "date" if column.dtype.is_temporal() else "flag" if str(column.dtype) == "Boolean" else "text"

    return [{"name": column.name, "type": kind(column)} for column in frame.get_columns()]
