import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import re
import zipfile

import numpy as np
import polars as pl
import pytest
from input_errors import input_error
from sklearn.preprocessing import OneHotEncoder

from thalweg.data import Data, Preprocessing, read_table
from thalweg.data.reading.table_files import text_of_table

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
        (pl.DataFrame({"age": ["old"], "born": born, "sex": ["u"]}), "table", ("column 'age'", "'old' in row 1")),
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
    assert fitted.feature_names == ("one",)
    assert any("'n': dropped" in note and "from 0 to 59" in note for note in notes)
    assert any("'id': dropped" in note and "60 different texts in 60 rows" in note for note in notes)
    assert any("'gap': dropped" in note for note in notes)
    assert any("'one': the same value" in note for note in notes)
    with input_error("table", "'id'", "'gap'"):
        fit(frame.select("id", "gap"))


def test_a_few_texts_among_numbers_are_noted():
    codes = pl.DataFrame({"n": ["1", "2", "x", "2", "1"] * 4, "t": [0, 1, 1, 0, 1] * 4})
    split = Data.of({"source": (codes, None), "target": "t", "test": 0, "validation": 0}).load(0)
    assert split.preprocessing.feature_names == ("n=1", "n=2", "n=x")
    assert any("4 of 20 values" in note and "'x' in row 3" in note for note in split.notes)


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
        ("a.csv", b"a,b\n1,2,3\n", "line 2 has 3 cells"),
        ("a.csv", b"a,b\n1\n", "line 2 has 1 cells"),
        ("a.csv", b'a,b\n1,"2\n', "quotation mark"),
        ("a.csv", b"a,b\n1,\x00\x01\x02\n", "not a text file"),
        ("a.csv", b"\x28\xb5\x2f\xfd....", "compressed"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], "damaged or cut off"),
        ("a.parquet", b"hello", "Parquet"),
        ("a.xlsx", b"PK", "ZIP"),
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


def table_at(path, target="t", **options):
    """The split of all rows of a table file, unscaled."""
    source = {"kind": "table", "file": str(path), **options}
    return Data.of({"source": source, "target": target, "test": 0, "validation": 0, "scale": "none"}).load(0)


def written(folder, text, name="a.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return path


def lines_of(cells, numbers=("0", "1") * 6, head="a;t"):
    return "\n".join([head, *(f"{cell};{number}" for cell, number in zip(cells, numbers, strict=False))]) + "\n"


@pytest.mark.parametrize(
    ("cells", "first", "fact"),
    [
        (["1,5", "-0,25", "12,0", "3"], 1.5, "decimal comma"),
        (["1,234,567", "5,000", "12", "1,000"], 1234567, "between thousands"),
        (["1.234.567", "5.000", "12", "1.000"], 1234567, "between thousands"),
        (["1 234 567", "5 000", "12", "1\u00a0000"], 1234567, "between thousands"),
        (["1'234'567", "5'000", "12", "1'000"], 1234567, "between thousands"),
        (["1,234.5", "5,000.25", "12", "1,000"], 1234.5, "between thousands"),
        (["1.234,5", "5.000,25", "12", "1.000"], 1234.5, "decimal comma"),
        (["5%", "12.5 %", "0%", "100%"], 0.05, "percent"),
        (["$5", "$1,200.50", "$0", "$12"], 5, "in $"),
        (["5 €", "1.200,50 €", "0 €", "12 €"], 5, "in €"),
        ([" 5 ", "  1.5", "0", "12 "], 5, ""),
        (["5", "NA", "1.5", "12"], 5, "'NA'"),
        (["5", "-", "1.5", "n/a"], 5, "'-'"),
        (["2020-01-02", "2020-01-03", "", "1970-01-01"], 18263, ""),
        (["31/01/2020", "02/01/2020", "", "01/01/1970"], 18292, "%d/%m/%Y"),
        (["31.1.2020", "2.1.2020", "", "1.1.1970"], 18292, "%d.%m.%Y"),
        (["+1.5", "-.5", "2.", "1e3"], 1.5, ""),
    ],
)
def test_cells_in_other_notations_are_numbers(tmp_path, cells, first, fact):
    split = table_at(written(tmp_path, lines_of(cells * 3)))
    assert split.preprocessing.feature_names == ("a",)
    assert split.train.x[0, 0] == np.float32(first)
    assert not fact or any("'a'" in note and fact in note for note in split.notes)
    # A new file is read as the training rows were, whatever its own cells suggest.
    again = text_of_table(written(tmp_path, lines_of(cells[:1]), "new.csv"))
    assert split.preprocessing.inputs(again).tolist() == [[np.float32(first)]]


def test_a_comma_that_may_be_either_is_said_and_can_be_set(tmp_path):
    path = written(tmp_path, "a,t\n" + '"1,234",0\n"2,500",1\n' * 6)
    split = table_at(path)
    assert split.train.x[:2, 0].tolist() == [1234, 2500]
    assert any("decimal = ','" in note for note in split.notes)
    assert table_at(path, decimal=",").train.x[:2, 0].tolist() == [np.float32(1.234), 2.5]
    # Another column decides.
    other = written(tmp_path, "a,b,t\n" + '"1,234","0,5",0\n"2,500","7,25",1\n' * 6)
    assert table_at(other).train.x[1].tolist() == [2.5, 7.25]


def test_values_below_the_limit_are_named_and_refused(tmp_path):
    cells = [f"{i / 7:.3f}" for i in range(1, 40)] + ["<1.0", "2.5"]
    text = "a;t\n" + "".join(f"{cell};{i % 2}\n" for i, cell in enumerate(cells))
    for target in ("a", "t"):
        with input_error("table", "'a'", "1 of 41 values", "'<1.0' in row 40", "missing"):
            table_at(written(tmp_path, text), target)
    assert len(table_at(tmp_path / "a.csv", "a", missing=["<1.0"]).train) == 40
    assert (
        table_at(written(tmp_path, text.replace(";", ";1;").replace("a;1;t", "a;b;t")), drop=["a"]).train.features == 1
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("name", ["a.csv", "a.TXT", "a.data", "a"])
def test_separators_and_suffixes(tmp_path, separator, name):
    text = "a;b;t\n" + "1.5;u;0\n-2;v;1\n" * 6
    split = table_at(written(tmp_path, text.replace(";", separator), name))
    assert split.train.x[:2].tolist() == [[1.5, 1, 0], [-2, 0, 1]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path, encoding):
    text = "Größe,t\n" + "1.5,männlich\n2.5,weiblich\n" * 6
    split = table_at(written(tmp_path, text, encoding=encoding))
    assert split.preprocessing.feature_names == ("Größe",)
    assert split.preprocessing.classes == ("männlich", "weiblich")


def test_compressed_files(tmp_path):
    text = ("a,t\n" + "1.5,0\n2.5,1\n" * 6).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.csv", text)
    for content in (gzip.compress(text), bz2.compress(text), lzma.compress(text), archive.getvalue()):
        assert table_at(written(tmp_path, content, "a.csv.x")).train.x[:2, 0].tolist() == [1.5, 2.5]


def test_a_file_without_names_loses_no_row(tmp_path):
    path = written(tmp_path, "5.1,3.5,u\n4.9,3.0,v\n" * 5)
    split = table_at(path, "column 3")
    assert len(split.train) == 10
    assert any("first line" in note for note in split.notes)
    assert len(table_at(path, "u", header=True).train) == 9
    # Names that are years stay names.
    years = written(tmp_path, "t,2001,2002\n" + "u,3.5,1.5\nv,2.5,1.0\n" * 5, "years.csv")
    assert table_at(years).preprocessing.feature_names == ("2001", "2002")


def test_names_that_occur_twice(tmp_path):
    rows = "1.5,2.5,0\n3.5,4.5,1\n" * 5
    with input_error("table", "'t'", "more than one column"):
        table_at(written(tmp_path, "a,t,t\n" + rows))
    split = table_at(written(tmp_path, 'a,a,"t ""x"""\n' + rows), 't "x"')
    assert split.preprocessing.feature_names == ("a", "a (2)")
    assert any("'a (2)'" in note for note in split.notes)


def test_numbers_that_identify_rows_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(
        f"{i},{v},{n},{i % 2}\n" for i, v, n in zip(range(40), rng.normal(size=40), rng.permutation(40), strict=True)
    )
    path = written(tmp_path, "step,a,rank,t\n" + rows)
    split = table_at(path)
    assert split.preprocessing.feature_names == ("a",)
    assert table_at(path, keep=["step"]).preprocessing.feature_names == ("step", "a")
    ages = written(tmp_path, "age,t\n" + "".join(f"{20 + i * 7 % 31},{i % 2}\n" for i in range(60)), "ages.csv")
    assert table_at(ages).preprocessing.feature_names == ("age",)


def test_comments_blank_lines_and_empty_columns(tmp_path):
    text = "# made today\n\na,t,,\n1.5,0,,\n\n2.5,1,,\n,,,\n" + "1.5,0,,\n" * 4
    split = table_at(written(tmp_path, text))
    assert split.train.x[:, 0].tolist() == [1.5, 2.5, 1.5, 1.5, 1.5, 1.5]
    assert any("comments" in note for note in split.notes)
    assert any("2 empty columns" in note for note in split.notes)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rows_keep_the_precision_of_the_engine(precision):
    rows = Data.of({"source": ([[0.05], [0.1]], [0.01, 0.99]), "test": 0, "validation": 0, "scale": "none"})
    data = rows.load(0, precision=precision)
    assert data.train.x.dtype == data.train.y.dtype == data.preprocessing.inputs([[0.05]]).dtype == precision
    assert (float(data.train.x[0, 0]) == 0.05) == (precision == "float64")
    assert Preprocessing.of(data.preprocessing.describe()) == data.preprocessing


def test_a_class_of_held_out_rows_alone_speaks_of_the_split():
    data = Data.of({"source": (np.ones((9, 1)), [0, 1] * 3 + [2] * 3), "split": "time", "test": 0.3, "validation": 0})
    with input_error("data.split", "3 of the 3 test rows", "class 2", "random"):
        data.load(0)


@pytest.mark.parametrize(
    ("array", "fact"),
    [
        (np.array([1 + 2j, 3j]), "complex"),
        (np.array(["2020-01-01"], "M8[D]"), "dates"),
        (np.zeros(2, [("a", float), ("b", int)]), "records"),
        (np.array([1, "a", None], object), "Python objects"),
    ],
)
def test_arrays_of_something_else_are_refused(tmp_path, array, fact):
    np.save(tmp_path / "x.npy", array)
    np.save(tmp_path / "y.npy", np.arange(len(array)))
    source = {"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    with input_error(source["x"], fact):
        Data.of(source).load(0)


def test_options_beside_the_path_of_a_table(tmp_path):
    path = written(tmp_path, "a;t\n1,5;0\n2,5;1\n" * 1 + "3,5;1\n" * 4)
    given = Data.of({"source": {"kind": str(path), "separator": ";"}, "target": "t"})
    assert given.source == Data.of({"source": {"kind": "table", "file": str(path), "separator": ";"}}).source
    with input_error("Data", "seperator", "did you mean 'separator'"):
        Data.of({"source": {"kind": str(path), "seperator": ";"}})
