"""The tables of the docs are those of the registries."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from thalweg.doctor import registry

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def write_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    yield importlib.import_module("write_tables")
    sys.modules.pop("write_tables", None)


@pytest.mark.parametrize("page", ["doctor.md", "probes.md", "pytorch.md"])
def test_the_tables_are_up_to_date(write_tables, page):
    text = (DOCS / page).read_text()
    assert write_tables.with_tables(text) == text, "run python docs/write_tables.py"


def test_a_new_check_enters_the_table_of_codes(write_tables, monkeypatch):
    monkeypatch.setitem(registry.CODES, "new", registry.CODES["leak"]._replace(name="new", rank=0, meaning="a|b"))
    monkeypatch.setattr(
        write_tables, "CHECKS", [*registry.CHECKS, registry.RegisteredCheck(lambda m: iter(()), "new", "at the start")]
    )
    first = write_tables.codes_table().splitlines()[2]
    assert first.startswith("| `new` | at the start | a\\|b |")
