"""A single value as text: TOML in one line, or a plain word of the shell."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping


def toml_value(value: object) -> str:
    """A value as TOML in one line.

    >>> toml_value(["dense 8", {"kind": "relu"}])
    '["dense 8", {kind = "relu"}]'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {toml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)


def shell_value(text: str) -> object:
    """The value of a text in the shell: read as TOML, or taken as a plain word if it is not TOML.

    >>> shell_value("0.5"), shell_value("[1, 2]"), shell_value("adam")
    (0.5, [1, 2], 'adam')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def shell_text(value: object) -> str:
    """The text that `shell_value` reads as this value: a plain word if possible, else TOML in one line.

    >>> shell_text("adam"), shell_text("0.5"), shell_text({"kind": "sgd", "learning_rate": 0.1})
    ('adam', '"0.5"', '{kind = "sgd", learning_rate = 0.1}')
    """
    return value if isinstance(value, str) and shell_value(value) == value else toml_value(value)
