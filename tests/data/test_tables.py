import datetime as dt
import json
import re

import numpy as np
import polars as pl
import pytest
from input_errors import input_error
from sklearn.preprocessing import OneHotEncoder

from thalweg.data import Data, Preprocessing, read_table

PEOPLE = """age,sex,fare,alive
22,m,7.25,no
,f,71.5,yes
26,f,8.0,yes
35,,53.0,no
35,m,8.0,
54,m,52.0,no
"""


def fit(frame, scale="none", y=None):
    y = np.arange(frame.height, dtype=float) if y is None else y
    return Preprocessing.fit(frame, y, "regression", scale)


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people on board.csv"
    path.write_text(PEOPLE)
    return path


def test_a_table_from_its_file_to_numbers(people):
    data = Data(str(people), target="alive", validation=0, test=0, scale="none")
    split = data.load(0)
    assert Data.of(data.describe()) == data
    assert split.preprocessing.feature_names == ("age", "sex=f", "sex=m", "fare")
    mean = (22 + 26 + 35 + 54) / 4
    assert split.train.x[:, 0].tolist() == [22, mean, 26, 35, 54]
    assert split.train.x[:, 1:3].tolist() == [[0, 1], [1, 0], [1, 0], [0, 0], [0, 1]]
    assert split.train.y.tolist() == [0, 1, 1, 0, 0]
    notes = "\n".join(split.notes)
    assert "1 of 6 rows have no value of 'alive'" in notes
    assert "task: classification" in notes
    assert re.search("column 'age': 1 missing.*34.25", notes)
    assert "column 'sex': 1 missing" in notes


def test_standard_scale_leaves_categories_and_booleans_alone():
    frame = pl.DataFrame({"n": [1.0, 2.0, 6.0], "b": [True, False, True], "c": ["u", "v", "u"]})
    fitted, _ = fit(frame, "standard")
    x = fitted.inputs(frame)
    assert np.allclose(x[:, 0], (np.array([1, 2, 6]) - 3) / np.std([1, 2, 6]))
    assert x[:, 1:].tolist() == [[1, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_one_hot_as_scikit_learn_does():
    words = np.random.default_rng(0).choice(["red", "green", "blue"], size=(30, 2))
    frame = pl.DataFrame({"a": words[:, 0], "b": pl.Series(words[:, 1], dtype=pl.Categorical)})
    expected = OneHotEncoder(sparse_output=False).fit(words).transform(words)
    assert np.array_equal(fit(frame)[0].inputs(frame), expected)


def test_unknown_categories_and_missing_values_at_prediction():
    frame = pl.DataFrame({"n": [1.0, 2.0, 6.0], "c": ["u", "v", "u"]})
    fitted, _ = fit(frame)
    assert fitted.inputs(pl.DataFrame({"c": ["w", None], "n": [None, 1]})).tolist() == [[3, 0, 0], [1, 0, 0]]
    assert fitted.inputs([{"n": "4", "c": "v"}, {"n": 2.5, "c": "u"}][:1]).tolist() == [[4, 0, 1]]
    assert fitted.inputs([[4, "v"]]).tolist() == [[4, 0, 1]]
    assert fitted.inputs(np.array([["4", "v"]])).tolist() == [[4, 0, 1]]
    assert Preprocessing.of(json.loads(json.dumps(fitted.describe()))) == fitted


def test_rows_that_do_not_fit_at_prediction_are_rejected():
    fitted, _ = fit(pl.DataFrame({"age": [1.0, 2.0], "sex": ["u", "v"], "born": [dt.date(2000, 1, 1)] * 2}))
    born = [dt.date(2000, 1, 1)]
    for raw, subject, facts in [
        (pl.DataFrame({"agee": [1], "born": born, "sex": ["u"]}), "table", ("column 'age'", "did you mean 'agee'")),
        (pl.DataFrame({"age": ["old"], "born": born, "sex": ["u"]}), "table", ("column 'age'", "`str`")),
        (pl.DataFrame({"age": [np.inf], "born": born, "sex": ["u"]}), "table", ("column 'age'", "1 infinite")),
        (pl.DataFrame({"age": [1], "born": [3], "sex": ["u"]}), "table", ("column 'born'", "received Int64")),
        ([[1.0, "u"]], "x", ("rows of 3 values: age, sex, born",)),
        ([1.0], "x", ("rows of age, sex, born",)),
        (1.0, "x", ("rows of age, sex, born",)),
        ([], "table", ("0 rows",)),
    ]:
        with input_error(subject, *facts):
            fitted.inputs(raw)


def test_dates_and_times_become_days():
    noon = dt.datetime(1970, 1, 3, 12)
    frame = pl.DataFrame(
        {
            "date": [dt.date(1970, 1, 11), None],
            "moment": [noon, noon],
            "zone": pl.Series([noon] * 2, dtype=pl.Datetime("ns", "UTC")),
            "time": [dt.time(6), dt.time(18)],
            "span": [dt.timedelta(days=2), dt.timedelta(hours=12)],
        }
    )
    expected = [[10, 2.5, 2.5, 0.25, 2], [10, 2.5, 2.5, 0.75, 0.5]]
    assert fit(frame)[0].inputs(frame).tolist() == expected


def test_columns_that_identify_rows_are_dropped():
    frame = pl.DataFrame({"id": [f"n{i}" for i in range(60)], "n": range(60), "gap": [None] * 60, "one": [1] * 60})
    fitted, notes = fit(frame)
    assert fitted.feature_names == ("n", "one")
    assert any("'id': dropped" in note and "60 different texts in 60 rows" in note for note in notes)
    assert any("'gap': dropped" in note for note in notes)
    assert any("'one': the same value" in note for note in notes)
    with input_error("table", "'id'", "'gap'"):
        fit(frame.select("id", "gap"))


def test_a_few_texts_among_numbers_are_noted():
    _, notes = fit(pl.DataFrame({"n": ["1", "2", "n/a", "4"]}))
    assert "1 of 4 values" in notes[0]
    assert "'n/a'" in notes[0]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_kinds_of_files(tmp_path, suffix):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [dt.date(2020, 1, 1)] * 2})
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    assert read_table(path).equals(frame)


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.csv", b"a,b\n1,2,3\n", "CSV"),
        ("a.csv", "a\nä\n".encode("latin-1"), "invalid utf-8"),
        ("a.parquet", b"hello", "PARQUET"),
        ("a.xlsx", b"PK", "received the suffix '.xlsx'"),
        ("a.csv", None, "no such file"),
    ],
)
def test_files_that_are_not_tables_are_rejected(tmp_path, name, content, fact):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with input_error(str(tmp_path / name), fact):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("frame", "target", "subject", "facts"),
    [
        ({"a": [1.0], "b": [1.0]}, None, "data", ("target", "known: a, b")),
        ({"a": [1.0], "alive": [1.0]}, "alife", "table", ("column 'alife'", "did you mean 'alive'")),
        ({"a": [1.0, np.inf], "t": [1.0, 2.0]}, "t", "table", ("column 'a'", "1 infinite", "row 1")),
        ({"a": [1.0, 2.0], "t": [1.0, -np.inf]}, "t", "table", ("column 't'", "1 infinite")),
        ({"a": [[1], [2]], "t": [1.0, 2.0]}, "t", "table", ("column 'a'", "List(Int64)")),
        ({"a": [1.0, 2.0], "t": [None, None]}, "t", "table", ("column 't'", "received Null")),
        ({"a": [1.0, 2.0], "t": [dt.date(2020, 1, 1)] * 2}, "t", "table", ("column 't'", "received Date")),
        ({"t": [1.0, 2.0]}, "t", "table", ("0 columns",)),
    ],
)
def test_unusable_tables_are_rejected(frame, target, subject, facts):
    with input_error(subject, *facts):
        Data.of({"source": (pl.DataFrame(frame), None), "target": target, "test": 0}).load(0)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (pl.Series([True, False] * 5), "classification"),
        (pl.Series(["u", "v"] * 5, dtype=pl.Categorical), "classification"),
        (pl.Series([1, 2] * 5, dtype=pl.UInt8), "classification"),
        (pl.Series(range(10), dtype=pl.Int128), "regression"),
        (pl.Series(range(10)).cast(pl.Decimal(10, 2)), "regression"),
    ],
)
def test_types_of_targets(values, task):
    frame = pl.DataFrame({"a": range(10), "t": values})
    split = Data.of({"source": (frame, None), "target": "t", "test": 0, "validation": 0}).load(0)
    assert split.train.task == task
    if task == "classification":
        assert split.preprocessing.labels(split.train.y).tolist() == values.to_list()
    else:
        assert np.allclose(split.preprocessing.values(split.train.y)[:, 0], range(10), atol=1e-5)


def test_rows_without_a_target_are_dropped_with_their_weights():
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0], "t": [0.5, None, 1.5]})
    data = Data.of({"source": (frame, None, [1, 2, 3]), "target": "t", "test": 0, "validation": 0})
    assert data.load(0).train.weight.tolist() == [1, 3]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_name_is_no_pattern(tmp_path, suffix):
    path = tmp_path / f"[1]*.{suffix}"
    frame = pl.DataFrame({"a": [1, 2]})
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
    pl.DataFrame({"a": [9]}).write_csv(tmp_path / "1x.csv")
    assert read_table(path)["a"].to_list() == [1, 2]
