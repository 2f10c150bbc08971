"""A single value as text: TOML in one line, or a plain word of the shell."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping

from ..core.bounds import DEEPEST, check_bounds
from ..core.errors import InputError
from ..core.files import JsonObject

MOST_VALUES = 20_000
# The time to read a dotted name grows with the square of its parts.
_LONG_NAME = re.compile(rf"""(?:\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+){{{DEEPEST}}}""")


def parsed_toml(subject: str, text: str) -> JsonObject:
    """The tables of a TOML text; `subject` names it in errors.

    Raises InputError where it is not TOML, is nested too deeply, has a whole number of more than 64 bits, or too many
    values.
    """
    try:
        return _loaded(subject, text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(subject, f"is not valid TOML: {error}") from error


def _loaded(subject: str, text: str) -> JsonObject:
    if _LONG_NAME.search(text):
        raise InputError(subject, f"expected names of at most {DEEPEST} parts")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise InputError(subject, f"expected at most {DEEPEST} tables and lists in each other") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        # Python refuses to read a whole number of thousands of digits.
        raise InputError(subject, "expected whole numbers of at most 64 bits") from None
    check_bounds(subject, table, most=MOST_VALUES)
    return table


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

    Raises InputError for tables and lists that are nested too deeply, and for a whole number of more than 64 bits.

    >>> shell_value("0.5"), shell_value("[1, 2]"), shell_value("adam")
    (0.5, [1, 2], 'adam')
    """
    try:
        return _loaded("value", f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def shell_text(value: object) -> str:
    """The text that the shell reads as this value: a plain word if possible, else TOML in one line.

    None, which stands for the default of a setting, is no text at all.

    >>> shell_text("adam"), shell_text("0.5"), shell_text({"kind": "sgd", "learning_rate": 0.1})
    ('adam', '"0.5"', '{kind = "sgd", learning_rate = 0.1}')
    """
    if value is None:
        return ""
    return value if isinstance(value, str) and shell_value(value) == value else toml_value(value)
