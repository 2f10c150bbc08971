"""One value as text: TOML in one line, or a plain word of the shell."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any


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
