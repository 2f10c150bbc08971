"""Graphs as functions of Python, with NumPy or PyTorch, and how the files that hold them read rows."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, cast

import numpy as np

from ..data import Column, Preprocessing
from . import rows
from .operations import OPERATIONS, Key, Option
from .tracing import ROWS, Graph, Traced, Value

Library = Literal["numpy", "torch"]


def statements(graph: Graph, library: Library, name_of: Callable[[str], str] = str) -> Iterator[str]:
    """The lines of a function of x that computes the result of a graph.

    Args:
        graph: what is computed.
        library: whose functions are used.
        name_of: the expression of an array from its name.
    """
    names: dict[int, str] = {id(array): name_of(name) for name, array in graph.arrays.items()}
    names[id(graph.x)] = "x"
    for place, value in enumerate(graph.operations, 1):
        texts = [names.get(id(argument)) or _number(argument) for argument in value.arguments]
        options = {name: _option(name, option) for name, option in value.options.items()}
        template: str = getattr(OPERATIONS[value.operation], library)
        names[id(value)] = f"v{place}"
        label = f"  # {graph.labels[value.number]}" if value.number in graph.labels else ""
        yield f"v{place} = {template.format(*texts, all=', '.join(texts), **options)}{label}"
    yield f"return {names[id(graph.result)]}"


def _number(value: Value) -> str:
    assert not isinstance(value, Traced | np.ndarray)
    return repr(value)


def _option(name: str, option: Option) -> str:
    if name == "dtype":
        return np.dtype(cast(str, option)).name
    if name == "shape":
        return repr(tuple(-1 if size == ROWS else size for size in cast("tuple[int, ...]", option)))
    return ", ".join(map(_index, cast(Key, option))) if name == "key" else repr(option)


def _index(part: int | slice | None) -> str:
    if not isinstance(part, slice):
        return repr(part)
    bounds = (part.start, part.stop) if part.step is None else (part.start, part.stop, part.step)
    return ":".join("" if bound is None else repr(bound) for bound in bounds)


def function(head: str, docstring: str, lines: Iterable[str], indent: str = "") -> str:
    """The text of a function."""
    body = "\n".join(f"{indent}    {line}" for line in [f'"""{docstring}"""', *lines])
    return f"{indent}def {head}:\n{body}\n"


def docstring(title: str, usage: str) -> str:
    """The docstring of a file; titles come from data, so that they may not end it."""
    plain = title.replace("\\", "/").replace('"', "'")
    return f'"""{plain}\n\nExported by Thalweg.\n{usage}"""\n'


# Rows -----------------------------------------------------------------------------------------------------------------


def rows_source() -> str:
    """The text of `rows` without its docstring."""
    source = inspect.getsource(rows)
    docstring = ast.parse(source).body[0]
    return "".join(source.splitlines(keepends=True)[docstring.end_lineno :])


def preprocessing_source(known: Preprocessing) -> str:
    """The columns, targets and classes of a preprocessing as assignments."""
    columns = [_column(column) for column in known.columns] or [
        rows.ExportedColumn(name) for name in known.feature_names
    ]
    listed = "".join(f"    {_call(column)},\n" for column in columns)
    return (
        f"COLUMNS = [\n{listed}]\n"
        f"TABLE = {bool(known.columns)}\n"
        f"TARGETS = {known.target_names!r}\n"
        f"CLASSES = np.array({list(known.classes)!r}, {known.class_type!r})\n"
    )


def _call(column: rows.ExportedColumn) -> str:
    defaults = rows.ExportedColumn._field_defaults
    given = {name: value for name, value in column._asdict().items() if value != defaults.get(name)}
    return f"ExportedColumn({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _column(column: Column) -> rows.ExportedColumn:
    own = rows.ExportedColumn(column.name, column.kind, column.fill, column.categories, column.coded)
    reading = column.reading
    if reading is None or reading.kind == "text":
        return own
    return own._replace(
        pattern=reading.pattern if reading.kind == "number" else "",
        decimal=reading.decimal,
        thousands=reading.thousands,
        affix=reading.affix,
        form=reading.form,
        missing=reading.marks,
        exact=reading.missing,
    )


def tail(outputs: str) -> str:
    """The functions that a user calls, and the script; `outputs` is the body of `predict_outputs`."""
    return f'''

def predict_outputs(rows: Any) -> np.ndarray:
    """The outputs (n, K) for rows as `table_of` takes them: probabilities after a cross-entropy, else plain outputs."""
    {outputs}


def predict(rows: Any) -> np.ndarray:
    """Names of classes (n,), labels 0 and 1 (n, K), or values in units of the target: (n,) or (n, K)."""
    return _labeled(decided(predict_outputs(rows)))


def _labeled(decision: np.ndarray) -> np.ndarray:
    return CLASSES[decision] if len(CLASSES) else decision


def _results(rows: Any) -> dict[str, np.ndarray]:
    outputs = predict_outputs(rows)
    return named_results(_labeled(decided(outputs)), outputs, TARGETS, len(CLASSES) > 0)


if __name__ == "__main__":
    main([column.name for column in COLUMNS], _results)
'''
