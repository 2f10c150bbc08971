"""Specs as TOML: read, edited by the shell, written."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.errors import InputError, Problem, nearest
from ..data import Order, Source
from ..models.linear_unit import LinearUnit
from ..models.network import Network
from ..parts.clipping import Clipping
from ..parts.optimizers import Adam
from ..parts.part import Initializer, Layer, Loss, Optimizer, Part
from ..parts.settings import Probes
from .spec import Spec

# The places of a spec where a part may stand by its name and options.
_NAMED: dict[str, type[Part]] = {
    "network": LinearUnit,
    "init": Initializer,
    "activation": Layer,
    "normalization": Layer,
    "optimizer": Optimizer,
    "loss": Loss,
    "source": Source,
    "clip": Clipping,
    "order": Order,
    "probes": Probes,
}
_EXAMPLES = resources.files("thalweg") / "examples"


def example_names() -> list[str]:
    """The specs that come with the package."""
    return sorted(item.name.removesuffix(".toml") for item in _EXAMPLES.iterdir() if item.name.endswith(".toml"))


def read_table(name: str) -> dict[str, Any]:
    """The tables of a spec: of a TOML file, of a shipped example by its name, or of the bare name of a data source.

    Data files are looked for beside the spec first, whatever the current folder is.

    Raises InputError for an unknown name, an unreadable file, or text that is no TOML.
    """
    if not name.endswith(".toml"):
        if name in example_names():
            with resources.as_file(_EXAMPLES / f"{name}.toml") as path:
                return read_table(str(path))
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


def assign(table: dict[str, Any], assignment: str) -> None:
    """Change a value of a spec's tables, as the shell writes it: `optimizer.learning_rate=0.01`, `network=perceptron`.

    The value is read as TOML, and as a plain word where it is none. Raises InputError for a place that there is not.

    >>> table = {"optimizer": "adam"}
    >>> assign(table, "optimizer.learning_rate=0.01")
    >>> table
    {'optimizer': {'kind': 'adam', 'learning_rate': 0.01}}
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise InputError("--set", f"expected section.key=value, received {assignment!r}")
    set_value(table, path, shell_value(text))


def shell_value(text: str) -> Any:
    """A value as the shell writes it: TOML, or a plain word where it is none.

    >>> shell_value("0.5"), shell_value("[1, 2]"), shell_value("adam")
    (0.5, [1, 2], 'adam')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def shell_text(value: Any) -> str:
    """A value as it is written in the shell, so that `shell_value` reads it: a plain word, or TOML in one line.

    >>> shell_text("adam"), shell_text("0.5"), shell_text({"kind": "sgd", "learning_rate": 0.1})
    ('adam', '"0.5"', '{kind = "sgd", learning_rate = 0.1}')
    """
    return value if isinstance(value, str) and shell_value(value) == value else toml_value(value)


def toml_value(value: Any) -> str:
    """A value as TOML in one line.

    >>> toml_value(["dense 8", {"kind": "relu"}])
    '["dense 8", {kind = "relu"}]'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {toml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)


def set_value(table: dict[str, Any], path: str, value: Any) -> None:
    """Change the value at a path of a spec's tables; lists count from 0: `network.layers.0`. Raises InputError."""
    *sections, key = [name.strip() for name in path.split(".")]
    if not key or not all(sections):
        raise InputError("--set", f"expected section.key, received {path!r}")
    if sections[:1] == ["optimizer"]:
        table.setdefault("optimizer", Adam.kind)
    place: Any = table
    for name, following in itertools.pairwise([*sections, key]):
        place = _entered(place, name, following, path)
    if isinstance(place, list):
        place[_index(place, key, path)] = value
    else:
        place[key] = value


def _entered(place: Any, name: str, following: str, path: str) -> Any:
    key: Any = _index(place, name, path) if isinstance(place, list) else name
    inner = place[key] if isinstance(place, list) else place.setdefault(key, {})
    if isinstance(inner, str) and name == "data":
        inner = place[key] = {"source": inner}
    elif isinstance(inner, list) and name == "network":
        inner = place[key] = Network.as_table(inner)
    elif isinstance(inner, str):
        # A list of parts is one of layers.
        family = Layer if isinstance(place, list) else _NAMED.get(name)
        inner = place[key] = family.as_table(inner) if family else {"kind": inner}
    if not isinstance(inner, dict | list):
        raise InputError("--set", [Problem(path, f"{name} is the value {inner!r}, and has no {following}")])
    return inner


def _index(items: list[Any], name: str, path: str) -> int:
    if not name.isdigit() or int(name) >= len(items):
        found = f"expected a position from 0 to {len(items) - 1}, received {name!r}"
        raise InputError("--set", [Problem(path, found)])
    return int(name)


def read_spec(name: str, settings: Iterable[str] = (), changes: Iterable[tuple[str, Any]] = ()) -> Spec:
    """The spec of a file, an example or a data source, with some values set anew. InputError names every problem.

    `changes` are places with their new values, `settings` texts as `assign` takes them.
    """
    table = read_table(name)
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


def differences(old: dict[str, Any], new: dict[str, Any], place: str = "") -> list[str]:
    """Where two described specs differ, one line for each value.

    >>> differences({"training": {"epochs": 5}}, {"training": {"epochs": 9}})
    ['training.epochs: 5 -> 9']
    """
    found = []
    for name in dict.fromkeys((*old, *new)):
        before, after, where = old.get(name), new.get(name), f"{place}.{name}".lstrip(".")
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, where)
        elif before != after:
            found.append(f"{where}: {before} -> {after}")
    return found


def canonical(described: Any) -> str:
    """What a part describes as one text, the same for the same content.

    >>> canonical({"b": 1, "a": [0.5]})
    '{"a": [0.5], "b": 1}'
    """
    return json.dumps(described, sort_keys=True)


def to_toml(spec: Spec) -> str:
    """The spec as the text of a file that `read_spec` understands.

    >>> print(to_toml(Spec.of({"data": {"source": "rings"}})).splitlines()[0])
    [data]
    """
    import tomli_w

    return tomli_w.dumps(spec.describe())
