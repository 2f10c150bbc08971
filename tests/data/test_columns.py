"""Which columns are inputs and of which kind they are, in every kind of source; compressed files and workbooks."""

from __future__ import annotations

import gzip

import numpy as np
import polars
import pytest

from thalweg.core.errors import InputError
from thalweg.data import Data, read_table
from thalweg.spec.spec import Spec

TEXT = "name,zip,size,note,grown,kind\n" + "".join(
    f"n{i},0{i % 3},{i * 7 % 11}.5,{i * 13 % 29 if i % 15 else 'about 3'},{i % 2},{'ab'[i % 2]}\n" for i in range(60)
)


@pytest.fixture(params=["text", "pieces", "parquet", "frame"])
def load(request, tmp_path):
    """load(options): the data of one table, from a file, in pieces, from Parquet, or from memory."""
    file = tmp_path / "t.csv"
    file.write_text(TEXT)
    frame = polars.read_csv(TEXT.encode(), infer_schema_length=None, schema_overrides={"zip": polars.String})
    frame.write_parquet(tmp_path / "t.parquet")
    source = {"parquet": str(tmp_path / "t.parquet"), "frame": (frame, None)}.get(request.param, str(file))
    memory = {"memory": 1} if request.param == "pieces" else {}
    return lambda **options: Data.of({"source": source, "target": "kind", **memory, **options}).load(0)


def test_columns_are_left_out_or_chosen(load):
    assert load(drop=["note", "grown", "zip"]).preprocessing.feature_names == ("size",)
    assert load(columns=["size", "grown"]).preprocessing.feature_names == ("size", "grown")


def test_a_column_that_is_left_out_is_not_read(load):
    # "about 3" among numbers is refused where the column is needed.
    with pytest.raises(InputError, match="about 3"):
        load()
    assert load(drop=["note"])
    assert load(columns=["size"])


def test_types_are_those_that_are_said(load):
    known = load(drop=["note", "name"], types={"zip": "category", "grown": "category"}).preprocessing
    kinds = {column.name: (column.kind, column.categories) for column in known.columns}
    assert kinds["zip"] == ("category", ("00", "01", "02"))
    assert kinds["grown"] == ("category", ("0", "1"))
    assert kinds["size"] == ("number", ())
    known = load(columns=["zip"], types={"zip": "number"}).preprocessing
    assert [column.kind for column in known.columns] == ["number"]
    known = load(columns=["name", "size"], types={"name": "category"}).preprocessing
    # A column that names rows is an input where its kind is said.
    assert len(known.columns[0].categories) > 20


def test_a_type_that_the_values_do_not_have_is_refused(load):
    with pytest.raises(InputError, match="note"):
        load(types={"note": "number"})
    with pytest.raises(InputError, match="size"):
        load(columns=["size"], types={"size": "time"})


def test_an_id_is_no_input(load):
    assert load(id="size", drop=["note", "zip"]).preprocessing.feature_names == ("grown",)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"drop": ["notes"]}, "drop"),
        ({"columns": ["sise"]}, "columns"),
        ({"types": {"zipp": "category"}}, "types"),
        ({"id": "nr"}, "id"),
        ({"drop": ["name", "zip", "size", "note", "grown"]}, "drop"),
        ({"drop": ["size"], "columns": ["size", "zip"]}, "drop"),
    ],
)
def test_a_column_that_is_missing_is_named(load, options, place):
    with pytest.raises(InputError, match=rf"{place}: "):
        load(**options)


def test_columns_of_an_array_are_chosen_by_their_names():
    x, y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2
    split = Data.of({"source": (x, y), "drop": ["x1"], "test": 0.0, "scale": "none"}).load(0)
    assert split.preprocessing.feature_names == ("x0", "x2")
    assert set(split.train.x[:, 1]) <= set(x[:, 2])
    chosen = Data.of({"source": "iris", "columns": ["petal width (cm)"]}).load(0)
    assert chosen.preprocessing.feature_names == ("petal width (cm)",)


def test_choices_are_kept_in_a_spec():
    table = {"source": "t.csv", "target": "kind", "types": {"zip": "category"}, "drop": ["note"], "id": "name"}
    data = Data.of(table)
    assert Data.of(data.describe()) == data
    assert not {"types", "columns", "drop", "id"} & Data.of("iris").describe().keys()
    with pytest.raises(InputError, match=r"data\.droop: unknown option"):
        Spec.of({"data": {"source": "iris", "droop": ["x"]}, "network": ["dense 3"]})


def test_compressed_text_and_workbooks(tmp_path):
    expected = read_table_of(TEXT.encode(), tmp_path / "plain.csv")
    assert read_table_of(gzip.compress(TEXT.encode()), tmp_path / "t.csv.gz").equals(expected)
    zstandard = pytest.importorskip("zstandard", reason="LEFT OUT: files of Zstandard; zstandard is not installed")
    assert read_table_of(zstandard.compress(TEXT.encode()), tmp_path / "t.csv.zst").equals(expected)
    twice = zstandard.compress(TEXT[:500].encode()) + zstandard.compress(TEXT[500:].encode())
    assert read_table_of(twice, tmp_path / "frames.csv.zst").equals(expected)
    with pytest.raises(InputError, match="damaged or cut off"):
        read_table_of(zstandard.compress(TEXT.encode())[:-40], tmp_path / "cut.csv.zst")


def read_table_of(content: bytes, path) -> polars.DataFrame:
    path.write_bytes(content)
    return read_table(path, Data.of({"source": str(path), "drop": ["note"]}).source._options._replace(drop=("note",)))


def test_the_first_sheet_of_a_workbook(tmp_path):
    pytest.importorskip("fastexcel", reason="LEFT OUT: workbooks; fastexcel is not installed")
    pytest.importorskip("xlsxwriter", reason="LEFT OUT: workbooks; xlsxwriter is not installed")
    polars.read_csv(TEXT.encode(), infer_schema_length=None).write_excel(tmp_path / "t.xlsx")
    for memory in ({}, {"memory": 1}):
        options = {"source": str(tmp_path / "t.xlsx"), "target": "kind", "columns": ["size", "grown"], **memory}
        split = Data.of(options).load(0)
        assert split.preprocessing.feature_names == ("size", "grown")
        assert len(split.train) == 43
    (tmp_path / "broken.xlsx").write_bytes((tmp_path / "t.xlsx").read_bytes()[:2000])
    with pytest.raises(InputError):
        Data.of({"source": str(tmp_path / "broken.xlsx"), "target": "kind"}).load(0)


def test_packages_that_are_missing_are_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "t.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd and more")
    with pytest.raises(InputError, match=r"pip install 'thalweg\[tables\]'"):
        read_table(tmp_path / "t.csv.zst")


def test_a_separator_that_was_found_is_said(tmp_path):
    (tmp_path / "t.csv").write_text(TEXT.replace(",", ";"))
    split = Data.of({"source": str(tmp_path / "t.csv"), "target": "kind", "drop": ["note"]}).load(0)
    assert any("semicolon" in note for note in split.notes)
