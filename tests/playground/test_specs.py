"""Broken specs: what can be kept is kept, the rest is named; files are opened only where the page has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.core.errors import InputError
from thalweg.learn.catalogue import lesson, lesson_names
from thalweg.playground.specs import DEFAULT, FilesAllowed, differ_in_numbers_only, kept_spec, places_of
from thalweg.spec.spec import Spec

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.sampled_from(["data", "network", "loss", "optimizer", "training", "stopping", "probes", "nonsense"])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(SECTIONS, JUNK, max_size=4))
def test_every_table_gives_a_spec(table):
    kept = kept_spec(table)
    assert isinstance(kept.spec, Spec)
    assert Spec.of(kept.spec.describe()).describe() == kept.spec.describe()


def test_a_whole_spec_has_no_problems():
    kept = kept_spec({"data": "moons", "optimizer": "adam 0.01"})
    assert kept.problems == ()
    assert kept.spec.optimizer.describe()["learning_rate"] == 0.01


@pytest.mark.parametrize("name", [name for name in lesson_names() if lesson(name, quick=True).playground])
def test_the_spec_of_a_lesson_is_kept_as_it_is(name):
    described = json.loads(json.dumps(lesson(name, quick=True).playground.describe()))
    kept = kept_spec(described)
    assert kept.problems == ()
    stated = places_of(described)
    assert {place: value for place, value in places_of(kept.spec.describe()).items() if place in stated} == stated


@pytest.mark.parametrize(
    ("table", "place", "value"),
    [
        ({"optimizer": {"kind": "sgd", "learning_rate": -1}}, "optimizer.kind", "sgd"),
        ({"training": {"epochs": "many", "seed": 7}}, "training.seed", 7),
        ({"data": {"source": "moons 50", "test": 3}}, "data.source", "moons 50"),
    ],
)
def test_only_the_faulty_value_is_left_out(table, place, value):
    kept = kept_spec(table)
    assert len(kept.problems) >= 1
    assert places_of(kept.spec.describe())[place] == value


def test_only_the_files_of_the_page_are_opened(tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    allowed = FilesAllowed(str(uploads), ("/data/mine.csv",))
    for name in ("/data/mine.csv", str(uploads / "a.parquet")):
        allowed.check(Spec.of({"data": {"source": {"kind": "table", "file": name}}}))
    strange = ["/etc/passwd.csv", str(uploads / ".." / "other.csv"), str(tmp_path / "other.csv"), "/data/mine.csv/x"]
    for name in strange:
        with pytest.raises(InputError):
            allowed.check(Spec.of({"data": {"source": {"kind": "table", "file": name}}}))
    for source in (
        {"kind": "npy", "x": "/x.npy", "y": "/y.npy"},
        {"kind": "idx", "folder": "/"},
        {"kind": "images", "folder": "/"},
        {"kind": "mnist", "folder": "/"},
    ):
        with pytest.raises(InputError):
            allowed.check(Spec.of({"data": {"source": source}}))


@pytest.mark.parametrize(
    ("changes", "only_numbers"),
    [
        ({"optimizer": "sgd 0.5"}, True),
        ({"regularization": {"l2": 0.1}}, False),
        ({"optimizer": "momentum 0.03"}, False),
        ({"training": {"batch_size": 11}}, False),
    ],
)
def test_programs_are_shared_where_only_numbers_differ(changes, only_numbers):
    assert differ_in_numbers_only(Spec.of(DEFAULT), Spec.of({**DEFAULT, **changes})) is only_numbers
