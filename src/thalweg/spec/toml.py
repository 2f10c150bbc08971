"""Specs as TOML files: reading and writing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.errors import InputError, nearest
from ..data import Source
from .edit import assign, set_value
from .spec import Spec

_EXAMPLES = resources.files("thalweg") / "examples"


def example_names() -> list[str]:
    """The specs that come with the package."""
    return sorted(item.name.removesuffix(".toml") for item in _EXAMPLES.iterdir() if item.name.endswith(".toml"))


def read_spec_table(name: str) -> dict[str, Any]:
    """The tables of a spec: of a TOML file, of a shipped example by its name, or of the bare name of a data source.

    Data files are looked for beside the spec first, whatever the current folder is.

    Raises InputError for an unknown name, an unreadable file, or text that is no TOML.
    """
    if not name.endswith(".toml"):
        if name in example_names():
            with resources.as_file(_EXAMPLES / f"{name}.toml") as path:
                return read_spec_table(str(path))
        if name in Source.kinds:
            return {"data": {"source": name}}
        if (path := Path(name)).exists():
            found = "a folder without a spec.toml" if path.is_dir() else "a file whose name does not end with .toml"
            fix = f"rows to learn from are given by --data {name}"
            raise InputError("spec", f"{name!r} is {found}, and so neither a spec nor a run; {fix}")
        known = sorted({*example_names(), *Source.kinds} - {"arrays", "absent", "table", "idx"})
        raise InputError("spec", f"no file and no example is called {name!r}; {nearest(name, known)}")
    try:
        table = tomllib.loads(Path(name).read_bytes().decode())
    except OSError as error:
        raise InputError(name, f"can not be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(name, f"is no TOML: {error}") from error
    data = table.get("data")
    if isinstance(data, dict) and "source" in data:
        data["source"] = _found(Path(name).resolve().parent, data["source"])
    return table


def _found(folder: Path, source: Any) -> Any:
    """A source with each file that lies in the folder under its whole path."""
    if isinstance(source, dict):
        return {key: value if key == "kind" else _found(folder, value) for key, value in source.items()}
    beside = folder / source if isinstance(source, str) else None
    return str(beside) if beside and beside.is_file() else source


def read_spec(name: str, settings: Iterable[str] = (), changes: Iterable[tuple[str, Any]] = ()) -> Spec:
    """The spec of a file, an example or a data source, with some values set anew. InputError names every problem.

    `changes` are places with their new values, `settings` texts as `assign` takes them.
    """
    table = read_spec_table(name)
    for path, value in changes:
        set_value(table, path, value)
    for assignment in settings:
        assign(table, assignment)
    return spec_of(table, name)


def spec_of(table: dict[str, Any], name: str) -> Spec:
    """The spec that the tables describe; `name` is what an error calls it. Raises InputError with every problem."""
    if "vary" in table:
        raise InputError(name, f"is an experiment: it has [vary]; run it with `thalweg experiment {name}`")
    try:
        return Spec.of(table)
    except InputError as error:
        raise InputError(name, error.problems) from error


def to_toml(spec: Spec) -> str:
    """The spec as the text of a file that `read_spec` understands.

    >>> print(to_toml(Spec.of({"data": {"source": "rings"}})).splitlines()[0])
    [data]
    """
    import tomli_w

    return tomli_w.dumps(spec.describe())
