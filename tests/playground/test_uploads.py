"""Files of a page: tables are kept, everything else is refused, and a greedy one costs no more than its limits."""

from __future__ import annotations

import numpy as np
import polars
import pytest
from event_loops import run

from thalweg.core.errors import InputError
from thalweg.playground.labs.frames import FrameMaker
from thalweg.playground.live.live_training import LiveTraining
from thalweg.playground.specs import kept_spec
from thalweg.playground.uploads import Limits, Uploads, described
from thalweg.spec.edit import changed


def taken(uploads: Uploads, name: str, content: bytes):
    return run(uploads.take(name, content))


@pytest.fixture
def uploads(tmp_path):
    return Uploads(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\x00\x01" * 50),
        ("a.parquet", b"PAR1 and no more"),
        ("a.zip", b"PK\x03\x04"),
        ("", b"\xff"),
    ],
    ids=["empty", "binary", "cut", "archive", "nameless"],
)
def test_what_is_no_table_is_refused_and_leaves_nothing(uploads, name, content):
    with pytest.raises(InputError):
        taken(uploads, name, content)
    assert list(uploads.folder.iterdir()) == []


@pytest.mark.parametrize("limits", [Limits(memory=2**24), Limits(seconds=0.01)])
def test_a_file_that_takes_too_much_is_refused(tmp_path, limits):
    content = b"a,b\n" + b"\n".join(b"%d,%d" % (i, i) for i in range(400_000))
    with pytest.raises(InputError):
        taken(Uploads(str(tmp_path), limits), "large.csv", content)


def test_a_name_is_shown_and_nothing_else(uploads):
    found = taken(uploads, "..%2F..%2Fetc%2Fpasswd%00%1b[31m.csv", b"a,b\n1,2\n3,4\n")
    assert "\x1b" not in found["name"]
    assert {path.parent for path in uploads.folder.rglob("*")} == {uploads.folder}


def test_a_table_is_kept_with_the_types_of_its_columns(tmp_path):
    raw = tmp_path / "raw.csv"
    raw.write_text("size;colour;day\n1,5;red;2024-01-02\n2,5;blue;2024-01-03\n", encoding="utf-8")
    table = tmp_path / "table.parquet"
    found = described(str(raw), table)
    assert [column["type"] for column in found["columns"]] == ["number", "text", "date"]
    assert polars.read_parquet(table)["size"].to_list() == [1.5, 2.5]
    assert found["source"] == found["all"] == {"kind": "table", "file": str(table)}


def test_of_many_rows_a_seeded_sample_in_their_order_is_shown(tmp_path):
    raw = tmp_path / "raw.parquet"
    polars.DataFrame({"row": np.arange(50_000), "odd": np.arange(50_000) % 2}).write_parquet(raw)
    first, again = (described(str(raw), tmp_path / f"{name}.parquet") for name in ("first", "again"))
    rows = [polars.read_parquet(found["source"]["file"])["row"].to_numpy() for found in (first, again)]
    assert (first["rows"], first["sampled"], len(rows[0])) == (50_000, 20_000, 20_000)
    assert np.array_equal(rows[0], rows[1])
    assert (np.diff(rows[0]) > 0).all()
    assert len(polars.read_parquet(first["all"]["file"])) == 50_000


def test_of_a_million_rows_a_sample_is_trained_on_at_once_and_all_when_asked(tmp_path):
    raw = tmp_path / "raw.csv"
    x = np.random.default_rng(0).normal(size=(1_000_000, 2)).round(3)
    polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "far": np.hypot(*x.T) > 1}).write_csv(raw)
    found = described(str(raw), tmp_path / "table.parquet")
    assert (found["rows"], found["sampled"]) == (1_000_000, 20_000)
    places = [("data.source", found["source"]), ("data.target", "far"), ("data.task", "classification")]
    training = LiveTraining(changed(kept_spec({"training": {"engine": "eager"}}).spec, places))
    assert len(training.split.train) == 10_000
    assert training.change(changed(training.spec, [("data.source", found["all"])]))
    assert (len(training.split.train), training.on_disk) == (500_000, None)
    training.advance(3, lambda moment: False)
    assert training.step == 3
    maker = FrameMaker(training.session)
    message = maker.places.points(None)
    assert (len(message["train"]["x"]), message["sampled"]) == (2000, 2000)
    # What is measured all the time is measured on a sample.
    assert len(maker.train) == len(maker.test) == 5000
