"""Specs as TOML files: reading and writing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from ..core.errors import InputError, nearest
from ..core.files import read_bytes
from ..data import Source
from .edit import SpecTable, assign, set_value
from .spec import Spec
from .values import parsed_toml

_EXAMPLES = resources.files("thalweg") / "examples"
_LARGEST_FILE = 2**20
# Kinds of sources that need more than their name.
_UNNAMED_SOURCES = {"arrays", "absent", "table", "idx", "images"}


def example_names() -> list[str]:
    """Names of the example specs of the package."""
    return sorted(item.name.removesuffix(".toml") for item in _EXAMPLES.iterdir() if item.name.endswith(".toml"))


def read_spec(name: str, settings: Iterable[str] = (), changes: Iterable[tuple[str, object]] = ()) -> Spec:
    """Read a spec and change some of its values.

    Args:
        name: a TOML file, an example, or a data source.
        settings: changes as text: "optimizer.learning_rate=0.01".
        changes: changes as pairs of a path and its new value, made before the settings.

    Raises:
        InputError: with every problem of the spec, each with its place.

    >>> read_spec("xor", ["training.epochs=5"]).training.epochs
    5
    """
    table = read_spec_table(name)
    for path, value in changes:
        set_value(table, path, value)
    for assignment in settings:
        assign(table, assignment)
    return spec_of(table, name)


def read_spec_table(name: str) -> SpecTable:
    """The tables of a spec: of a TOML file, of an example, or of a data source by its name.

    Data files are looked for first in the folder of the spec, whatever the current folder is.
    Raises InputError for an unknown name, an unreadable file, or text that is not valid TOML.
    """
    if name.endswith(".toml"):
        return _read_file(name)
    if name in example_names():
        with resources.as_file(_EXAMPLES / f"{name}.toml") as path:
            return _read_file(str(path))
    if name in Source.kinds:
        return {"data": {"source": name}}
    if os.path.exists(name):
        received = (
            "a folder without a spec.toml" if os.path.isdir(name) else "a file whose name does not end with .toml"
        )
        fix = f"pass rows to learn from as --data {name}"
        raise InputError("spec", f"expected a spec or the folder of a run, received {name!r}, {received}; {fix}")
    known = sorted({*example_names(), *Source.kinds} - _UNNAMED_SOURCES)
    raise InputError("spec", f"no file, example or data source is called {name!r}; {nearest(name, known)}")


def _read_file(name: str) -> SpecTable:
    content = read_bytes(Path(name), _LARGEST_FILE)
    try:
        table: SpecTable = parsed_toml(name, content.decode())
    except UnicodeDecodeError as error:
        raise InputError(name, f"is not valid TOML: {error}") from error
    data = table.get("data")
    if isinstance(data, dict) and "source" in data:
        data["source"] = _with_full_paths(Path(name).resolve().parent, data["source"])
    return table


def _with_full_paths(folder: Path, source: object) -> object:
    """A source whose names of files in the folder, and of its option `folder`, are replaced by their full paths."""
    if isinstance(source, dict):
        whole = {key: value if key == "kind" else _with_full_paths(folder, value) for key, value in source.items()}
        own = whole.get("folder")
        return {**whole, "folder": str(folder / own)} if isinstance(own, str) and os.path.isdir(folder / own) else whole
    if isinstance(source, str) and os.path.isfile(folder / source):
        return str(folder / source)
    return source


def spec_of(table: SpecTable, name: str) -> Spec:
    """The spec that the tables describe; `name` is the subject of its errors. Raises InputError with every problem."""
    if "vary" in table:
        raise InputError(name, f"expected a spec, received an experiment with [vary]; run `thalweg experiment {name}`")
    try:
        return Spec.of(table)
    except InputError as error:
        raise InputError(name, error.problems) from error


def any_spec(source: Spec | Mapping[str, object] | str) -> Spec:
    """A spec from a spec, its tables, or the name of a file, an example or a data source.

    Raises InputError with every problem of the spec.

    >>> any_spec("xor").data.source == any_spec({"data": {"source": "xor"}}).data.source
    True
    """
    return read_spec(source) if isinstance(source, str) else Spec.of(source)


def to_toml(spec: Spec) -> str:
    """The spec as the text of a file that `read_spec` reads.

    >>> print(to_toml(Spec.of({"data": {"source": "rings"}})).splitlines()[0])
    [data]
    """
    import tomli_w

    return tomli_w.dumps(spec.describe())
