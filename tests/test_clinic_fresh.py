"""The faults and healthy specs of clinic/fresh are complete and valid, and the first half is the one that was kept."""

import hashlib
from pathlib import Path

import pytest

from fresh import first_half, second_half
from fresh.bases import bases
from fresh.kinds import BASES_OF_A_KIND
from thalweg.spec.complete import completed
from thalweg.spec.toml import spec_of
from thalweg.training.session import Session

FOLDER = Path(first_half.__file__).parent
DOCTOR = FOLDER.parents[1] / "docs" / "doctor.md"
PARTS_OF_DATA = {"data.inputs", "data.targets", "data.validation"}
HALVES = {
    "f": (first_half.KINDS, first_half.first_half),
    "s": (second_half.KINDS, second_half.second_half),
}


def checked(spec):
    """The completed spec, which suits its rows."""
    split = spec.data.load(seed=0)
    whole = completed(spec, split.train)
    Session(whole, split).check()
    return whole


def test_the_first_half_is_the_one_that_was_kept():
    kept, name = (FOLDER / "first_half.sha256").read_text().split()
    assert name == "first_half.py"
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == kept


@pytest.mark.parametrize("name", bases())
def test_a_base_fits_its_rows(name):
    base = bases()[name]
    assert checked(spec_of(base.table, name)).data.keeps_test_rows
    x, y = base.rows()
    assert len(x) == len(y)


@pytest.mark.parametrize("half", HALVES)
def test_a_half_is_complete_and_valid(half):
    kinds, cases = HALVES[half]
    text = DOCTOR.read_text().partition("<!-- table codes -->")[2].partition("<!-- end -->")[0]
    codes = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")} | {"optimizer"}
    assert len(kinds) >= 20
    assert len({kind.name for kind in kinds}) == len(kinds)
    by_kind = {kind.name: [] for kind in kinds}
    for case in cases().values():
        by_kind[case.kind.name].append(case.base)
        assert {*case.codes} <= codes
        described = checked(case.spec).describe()
        assert case.places
        for place in {*case.places} - PARTS_OF_DATA:
            assert value_at(described, place) is not None, (case.name, place)
    for used in by_kind.values():
        assert 1 <= len({*used}) == len(used) <= BASES_OF_A_KIND


def value_at(table, path):
    """The value at a path of a spec; None if it is not stated."""
    for name in path.split("."):
        if isinstance(table, list):
            table = table[int(name)] if int(name) < len(table) else None
        else:
            table = table.get(name) if isinstance(table, dict) else None
    return table
