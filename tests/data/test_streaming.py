import os
import resource
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from input_errors import input_error

from thalweg.core.errors import InputError
from thalweg.data import (
    Data,
    Dataset,
    EpochIndex,
    Fixed,
    InTime,
    Preprocessing,
    Shuffled,
    Source,
    Stratified,
    StreamedDataset,
    read_table,
)
from thalweg.data.column_statistics import ColumnMoments, ColumnRange
from thalweg.data.reading.table_files import TableOptions, table_pieces
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec

ROWS = 4000
FEATURES = 80


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def all_rows(data):
    """x, y and weight of all rows of a data set, in memory or on the disk."""
    parts = list(data.parts())
    whole = [np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y")]
    weight = None if parts[0].weight is None else np.concatenate([part.weight for part in parts])
    return (*whole, weight)


def assert_same(streamed, whole, tolerance=1e-5):
    """Two splits hold the same rows, one of them on the disk."""
    assert isinstance(streamed.train, StreamedDataset)
    assert isinstance(whole.train, Dataset)
    for name in ("train", "validation", "test"):
        actual = getattr(streamed, name)
        expected = getattr(whole, name)
        assert (actual is None) == (expected is None)
        if actual is not None:
            assert_same_rows(actual, expected, tolerance)
    assert_same_preprocessing(streamed.preprocessing, whole.preprocessing)
    assert [note for note in streamed.notes if "they stream from the disk" not in note] == list(whole.notes)


def assert_same_rows(actual, expected, tolerance):
    for rows, expected_rows in zip(all_rows(actual), all_rows(expected), strict=True):
        assert (rows is None) == (expected_rows is None)
        if rows is not None:
            assert rows.dtype == expected_rows.dtype
            assert np.allclose(rows, expected_rows, rtol=tolerance, atol=tolerance)
    assert len(actual) == len(expected)
    for name in ("features", "outputs", "task", "target_names", "image_shape"):
        assert getattr(actual, name) == getattr(expected, name)


def assert_same_preprocessing(actual, expected):
    for name in ("classes", "class_type", "feature_names"):
        assert getattr(actual, name) == getattr(expected, name)
    for column, expected_column in zip(actual.columns, expected.columns, strict=True):
        assert replace(column, fill=0.0) == replace(expected_column, fill=0.0)
        assert np.isclose(column.fill, expected_column.fill, rtol=1e-10)
    for name in ("shift", "span", "target_shift", "target_span"):
        assert np.allclose(getattr(actual, name), getattr(expected, name), rtol=1e-9, atol=1e-12)


def arrays(kind, rng=None):
    rng = rng or np.random.default_rng(0)
    x = rng.normal(3, 5, (ROWS, FEATURES)).astype(np.float32)
    y = {
        "labels": lambda: np.array(["yes", "no", "who knows"])[rng.integers(0, 3, ROWS)],
        "numbers": lambda: rng.normal(100, 7, ROWS),
        "outputs": lambda: rng.normal(100, 7, (ROWS, 2)),
        "several": lambda: rng.integers(0, 2, (ROWS, 3)),
    }[kind]()
    return x, y


@pytest.mark.parametrize("kind", ["labels", "numbers", "outputs", "several"])
@pytest.mark.parametrize("scale", ["standard", "range", "none"])
def test_streamed_arrays_equal_those_in_memory(kind, scale):
    x, y = arrays(kind)
    weight = np.random.default_rng(1).uniform(0, 2, ROWS)
    weight[: ROWS // 2] = 0
    section = {"source": (x, y, weight), "scale": scale}
    streamed = Data.of({**section, "memory": 1}).load(3)
    whole = Data.of(section).load(3)
    assert_same(streamed, whole)
    if kind in ("numbers", "outputs"):
        assert np.allclose(streamed.train.target_variance, whole.train.target_variance, rtol=1e-5)


def table(rows=4400):
    """Columns of every kind, with missing values, and a category and a class that only the last rows have."""
    rng = np.random.default_rng(5)
    late = np.where(np.arange(rows) < rows - 40, "a", "z")
    frame = pl.DataFrame(
        {
            **{f"n{i}": rng.normal(size=rows).round(4) for i in range(60)},
            "whole": rng.integers(0, 9, rows),
            "late": late,
            "kind": rng.choice(["u", "v", "w"], rows),
            "flag": rng.random(rows) < 0.5,
            "day": pl.Series(rng.integers(18000, 19000, rows)).cast(pl.Int32).cast(pl.Date),
            "who": [f"person {i}" for i in range(rows)],
            "target": np.where(np.arange(rows) < rows - 30, rng.choice(["x", "y"], rows), "last"),
        }
    )
    gap = pl.Series(rng.random(rows) < 0.1)
    gaps = [
        pl.when(gap).then(None).otherwise(pl.col(name)).alias(name) for name in ("n0", "late", "flag", "day", "target")
    ]
    return frame.with_columns(gaps)


@pytest.mark.parametrize(
    ("suffix", "target"), [("csv", "target"), pytest.param("tsv", "n1", marks=pytest.mark.slow), ("parquet", "target")]
)
def test_streamed_tables_equal_those_in_memory(tmp_path, suffix, target):
    path = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        table().write_parquet(path, row_group_size=900)
    else:
        table().write_csv(path, separator="\t" if suffix == "tsv" else ",")
    streamed = Data(str(path), target=target, memory=3).load(1)
    assert_same(streamed, Data(str(path), target=target).load(1))
    assert any("of 4400 rows have no value of 'target'" in note for note in streamed.notes) == (target == "target")


def test_classes_with_long_names_take_no_more_memory_than_numbers(tmp_path):
    rows, names = 60_000, [f"a class with a long name, number {k}" for k in range(3)]
    rng = np.random.default_rng(0)
    numbers = {f"n{column}": rng.random(rows, np.float32) for column in range(12)}
    path = tmp_path / "rows.parquet"
    pl.DataFrame({**numbers, "y": [names[k] for k in rng.integers(0, 3, rows)]}).write_parquet(path)
    # As text the targets alone take 8 MB.
    streamed, whole = (Data(str(path), target="y", memory=memory).load(2) for memory in (3, None))
    assert_same(streamed, whole)
    assert streamed.preprocessing.classes == tuple(names)


@pytest.mark.parametrize("shape", [(FEATURES,), (10, 8)])
def test_npy_files_stream_and_images_stay_images(tmp_path, shape):
    x, y = arrays("labels")
    x = x.reshape(ROWS, *shape)
    y = np.unique(y, return_inverse=True)[1]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    source = {"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    whole = Data.of((x, y)).load(2)
    assert_same(Data(source, memory=1).load(2), whole)
    assert_same(Data((np.load(source["x"], mmap_mode="r"), y), memory=1).load(2), whole)
    assert np.array_equal(Data(source).load(2).train.x, whole.train.x)
    assert Source.of((np.load(source["x"], mmap_mode="r"), y)) == Source.of((x, y))


def test_below_the_memory_nothing_changes():
    x, y = arrays("labels")
    # Four times 1.28 MB.
    limited = Data((x, y), memory=6).load(0)
    assert isinstance(Data((x, y), memory=5).load(0).train, StreamedDataset)
    unlimited = Data((x, y)).load(0)
    assert isinstance(limited.train, Dataset)
    assert np.allclose(limited.train.x, unlimited.train.x, atol=1e-5)
    assert np.array_equal(limited.train.y, unlimited.train.y)
    assert limited.notes == unlimited.notes
    assert isinstance(Data("iris", memory=1).load(0).train, Dataset)
    # Many narrow rows that are not sorted: the limits of streaming do not apply if nothing streams.
    falling = np.arange(20000.0)[::-1]
    narrow = Data((falling[:, None], falling), memory=1, order={"kind": "time", "by": "x0"}, split="time").load(0)
    assert isinstance(narrow.train, Dataset)


@pytest.mark.parametrize("kind", ["arrays", "npy", "csv", "parquet"])
def test_rows_that_do_not_fit_into_the_machine_stream_by_themselves(tmp_path, monkeypatch, kind):
    x, y = arrays("numbers")
    frame = pl.DataFrame(x, schema=[f"x{i}" for i in range(FEATURES)]).with_columns(y=y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    frame.write_csv(tmp_path / "rows.csv")
    frame.write_parquet(tmp_path / "rows.parquet")
    source = {"arrays": (x, y), "npy": {"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}}
    target = None if kind in source else "y"
    data = Data(source.get(kind, str(tmp_path / f"rows.{kind}")), target=target)
    whole = data.load(0)
    assert isinstance(whole.train, Dataset)
    monkeypatch.setattr("thalweg.data.loading.machine_memory", lambda: 4_000_000)
    split = data.load(0)
    assert_same(split, whole)
    # Wherever this spec is trained again, the order of its rows is the same.
    spec = completed(Spec.of({"data": data}), split.train)
    assert spec.data.memory == 2
    monkeypatch.setattr("thalweg.data.loading.machine_memory", lambda: 12_000_000)
    assert isinstance(data.load(0).train, Dataset)
    assert completed(Spec.of({"data": data}), data.load(0).train).data.memory is None


def test_the_head_of_streamed_rows_are_the_first_ones(monkeypatch):
    data = numbered(3000)
    first = data.part_rows(1)
    assert data.head().x[:, 0].tolist() == list(range(first))
    monkeypatch.setattr("thalweg.data.streaming._HEAD_ROWS", 50)
    assert data.head().x[:, 0].tolist() == list(range(50))
    assert data.head().y.tolist() == [row % 3 for row in range(50)]


def test_a_set_whose_weights_are_all_zero_is_rejected():
    x, y = arrays("labels")
    weight = np.where(np.arange(ROWS) < 3600, 1.0, 0.0)
    for memory in (None, 1):
        with input_error("weight", "is 0"):
            Data((x, y, weight), split="time", test=0.05, memory=memory).load(0)


def test_the_progress_of_loading_is_reported():
    calls = []
    Data(arrays("labels"), memory=1).load(0, on_load=lambda done, total: calls.append((done, total)))
    assert {total for _, total in calls} == {ROWS}
    assert calls == sorted(calls)
    assert calls[-1][0] == ROWS


def numbered(rows, memory=1, **more):
    """Streamed rows with their number in column 0, not scaled."""
    x = np.zeros((rows, 100), np.float32)
    x[:, 0] = np.arange(rows)
    split = Data((x, np.arange(rows) % 3), memory=memory, scale="none", validation=0.0, test=0.0, **more).load(0)
    assert isinstance(split.train, StreamedDataset)
    return split.train


def visited(data, order, epoch_index):
    """The numbers of the rows in the order of an epoch, part by part."""
    return [part.x[rows, 0].astype(int) for part, rows in data.epoch(order, epoch_index)]


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(2600, 6000), batch=st.integers(1, 250), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_an_epoch_visits_every_row_once(rows, batch, seed, epoch):
    data = numbered(rows)
    epoch_index = EpochIndex(seed, epoch, 6, batch)
    size = data.part_rows(batch)
    parts = visited(data, Shuffled(), epoch_index)
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    assert size % batch == 0
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert sum(-(-len(part) // batch) for part in parts) == -(-rows // batch)
    assert size * 404 <= 10**6 / 8
    again = visited(data, Shuffled(), epoch_index)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))
    other = visited(data, Shuffled(), epoch_index._replace(epoch=epoch + 1))
    assert any(not np.array_equal(one, two) for one, two in zip(parts, other, strict=True))


def test_orders_of_streamed_rows():
    data = numbered(3000)
    epoch_index = EpochIndex(0, 0, 4, 30)
    assert np.array_equal(np.concatenate(visited(data, InTime(), epoch_index)), np.arange(3000))
    one, two = (np.concatenate(visited(data, Fixed(), epoch_index._replace(epoch=epoch))) for epoch in (0, 3))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, np.arange(3000))
    for part, rows in data.epoch(Stratified(), epoch_index):
        for start in range(0, len(rows) - 29, 30):
            counts = np.bincount(part.y[rows[start : start + 30]], minlength=3)
            assert np.abs(counts - 30 * np.bincount(part.y, minlength=3) / len(part)).max() <= 1
    first, second = visited(data, Shuffled(), epoch_index)[:2]
    # Parts have rows from the whole file, and are shuffled differently.
    assert first.max() - first.min() > 1500
    assert not np.array_equal(np.argsort(first), np.argsort(second))


def test_the_key_of_an_order_streams_with_the_rows():
    data = numbered(3000, order={"kind": "buckets", "by": "x0"})
    for part in data.parts():
        assert np.array_equal(part.key, part.x[:, 0])
    x, y = arrays("numbers")
    with input_error("data.order", "row 1"):
        Data((x[np.argsort(-x[:, 0])], y), memory=1, order={"kind": "time", "by": "x0"}).load(0)
    rising = Data((x[np.argsort(x[:, 0])], y), memory=1, order={"kind": "time", "by": "x0"}, split="time").load(0)
    parts = rising.train.epoch(InTime("x0"), EpochIndex(0, 0, 1, 8))
    assert (np.diff(np.concatenate([part.x[rows, 0] for part, rows in parts])) >= 0).all()


def test_an_abandoned_epoch_leaves_no_thread():
    data = numbered(3000)
    before = threading.active_count()
    epoch = data.epoch(Shuffled(), EpochIndex(0, 0, 1, 10))
    next(epoch)
    epoch.close()
    assert threading.active_count() == before


def test_an_error_of_the_reading_thread_is_raised():
    data = numbered(3000)
    with input_error("order", "time", "'x0'"):
        list(data.epoch(InTime("x0"), EpochIndex(0, 0, 1, 10)))


def test_no_file_is_visible_or_left(tmp_path):
    data = numbered(3000)
    assert list(tmp_path.iterdir()) == []
    assert len(list(data.parts())) > 1


def test_a_full_disk_is_reported(monkeypatch, tmp_path):
    x, y = arrays("labels")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with input_error(str(tmp_path), "File too large", "TMPDIR"):
            Data((x, y), memory=1).load(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "a file"))
    with input_error(str(tmp_path / "a file"), "File exists", "TMPDIR"):
        Data((x, y), memory=1).load(0)


def test_too_little_memory_is_reported_with_the_least():
    with input_error("data.memory", "500 rows", "at least memory = 2;"):
        numbered(3000).part_rows(500)
    assert numbered(6000, memory=2).part_rows(500) == 500
    with input_error("data.memory", "40000 rows", "at least 2"):
        Data((np.zeros((40000, 20)), np.arange(40000.0)), memory=1).load(0)


def test_errors_in_the_middle_of_a_file_name_their_place(tmp_path):
    x, y = arrays("labels")
    x[3000, 5] = np.nan
    with pytest.raises(InputError, match=r"^x: .*row \d+, column 5 .*row 2\d+\)"):
        Data((x, y), memory=1).load(0)
    path = tmp_path / "rows.csv"
    table().select("whole", "kind", "target").write_csv(path)
    lines = path.read_text().splitlines()
    lines[2000] += ",1,2"
    path.write_text("\n".join(lines))
    with input_error(str(path), "line 2001 has 5 cells"):
        Data(str(path), target="target", memory=1).load(0)
    lines[2000] = '"' + lines[2001]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError):
        Data(str(path), target="target", memory=1).load(0)


def test_a_text_in_the_middle_makes_a_column_text(tmp_path):
    path = tmp_path / "rows.csv"
    frame = table().drop("who").with_columns(pl.col("whole").cast(pl.String))
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 2500).then(pl.lit("oops")).otherwise("whole").alias("whole")
    )
    frame.write_csv(path)
    streamed = Data(str(path), target="target", memory=3, test=0.0, validation=0.0).load(0)
    assert any("'oops'" in note for note in streamed.notes)
    assert_same(streamed, Data(str(path), target="target", test=0.0, validation=0.0).load(0))


@pytest.mark.parametrize(
    ("files", "subject", "fact"),
    [
        ({}, "x.npy", "no such file"),
        ({"x.npy": b"no array"}, "x.npy", "array of numbers"),
        ({"x.npy": np.array([{}], object)}, "x.npy", "array of numbers"),
        ({"x.npy": np.zeros((3, 2)), "y.npy": np.zeros(4)}, "x and y", "3 in x and 4 in y"),
    ],
)
@pytest.mark.parametrize("memory", [None, 1])
def test_unusable_npy_files_are_rejected(tmp_path, files, subject, fact, memory):
    for name, content in files.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            np.save(tmp_path / name, content)
    source = {"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    with input_error(str(tmp_path / subject) if subject.endswith(".npy") else subject, fact):
        Data(source, memory=memory).load(0)


cells = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.floats(-1e6, 1e6).map(repr),
    st.sampled_from(
        ["", "true", "false", "2020-01-01", "2020-01-01 10:00:00", "10:00:00", "text", '"a,b"', '"a\nb"', '"say ""x"""']
    ),
)


@settings(deadline=None, max_examples=100)
@given(
    columns=st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12)
    ),
    size=st.integers(1, 60),
    ends=st.booleans(),
)
@example(columns=[["0"], ["9007199254740992"]], size=1, ends=False)
@example(columns=[["-9007199254740992"], ["0"], ["text"]], size=1, ends=False)
@example(columns=[["-9007199254740991"], ["0"], [""]], size=1, ends=False)
def test_a_csv_file_in_pieces_is_the_file(tmp_path_factory, columns, size, ends):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    # Whether a blank line is a row depends on its neighbours; a first column of numbers prevents blank lines.
    lines = [
        "id," + ",".join(f"c{i}" for i in range(len(columns[0]))),
        *(f"{i}," + ",".join(row) for i, row in enumerate(columns)),
    ]
    path.write_text("\n".join(lines) + "\n" * ends)
    try:
        whole = read_table(path)
    except InputError:
        return
    pieces = table_pieces(str(path), TableOptions(), size)
    read = pl.concat([samples.x for samples in pieces.read(max(1, size // 20))])
    assert (pieces.rows, pieces.width) == whole.shape
    assert read.schema == whole.schema
    assert read.equals(whole)


@given(
    x=st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), min_size=2, max_size=30),
    at=st.integers(1, 29),
    data=st.data(),
)
def test_moments_of_pieces_are_those_of_the_whole(x, at, data):
    x = np.array(x)
    weight = np.array(data.draw(st.lists(st.floats(0.1, 5), min_size=len(x), max_size=len(x))))
    at = min(at, len(x) - 1)
    for both in (
        (ColumnMoments.of(x[:at]).merged(ColumnMoments.of(x[at:])), ColumnMoments.of(x)),
        (
            ColumnMoments.of(x[:at], weight[:at]).merged(ColumnMoments.of(x[at:], weight[at:])),
            ColumnMoments.of(x, weight),
        ),
        (ColumnRange.of(x[:at]).merged(ColumnRange.of(x[at:])), ColumnRange.of(x)),
    ):
        for merged, whole in zip(*both, strict=True):
            assert np.allclose(merged, whole, rtol=1e-9, atol=1e-9)


def test_numbers_far_from_zero_keep_their_standard_deviation():
    x = 1e9 + np.random.default_rng(0).normal(size=(3000, 1))
    parts = [(x[i : i + 7], np.arange(len(x[i : i + 7]), dtype=float)) for i in range(0, 3000, 7)]
    fitted, _ = Preprocessing.fit_pieces(parts, "regression", "standard")
    assert np.isclose(fitted.span[0], x.std(), rtol=1e-6)


MEASURE = """
import sys
import numpy as np
from thalweg.data import Data, EpochIndex, Shuffled
source = {"kind": "npy", "x": sys.argv[1], "y": sys.argv[2]} if len(sys.argv) > 2 else sys.argv[1]
split = Data(source, target=None if len(sys.argv) > 2 else "y", memory=400).load(0)
for epoch in range(2):
    rows = 0
    for part, order in split.train.epoch(Shuffled(), EpochIndex(0, epoch, 2, 128)) if len(split.train) > 10**4 else ():
        rows += len(order)
        part.x[order[:128]].sum()
    assert rows in (0, len(split.train))
print([int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


TRAIN = """
import sys
from pathlib import Path
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
table = {"data": {"source": {"kind": "npy", "x": sys.argv[1], "y": sys.argv[2]}, "memory": 400}}
table |= {"network": {"layers": ["dense 64", "relu", "dense 3"]}, "loss": "softmax_cross_entropy"}
table |= {"training": {"epochs": 2, "batch_size": 128, "engine": "compiled"}}
run = run_spec(Spec.of(table), folder=Path(sys.argv[3]))
assert len(run.history) == 2
print([int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="LEFT OUT: no /proc here to measure memory")
def test_a_whole_run_on_a_gigabyte_stays_within_its_memory(tmp_path):
    rng = np.random.default_rng(0)

    def peak(rows):
        x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (rows, 100))
        for start in range(0, rows, 50_000):
            x[start : start + 50_000] = rng.standard_normal((len(x[start : start + 50_000]), 100), np.float32)
        x.flush()
        np.save(tmp_path / "y.npy", (x[:, 0] > 0).astype(int) + (x[:, 1] > 0))
        words = [tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / f"run-{rows}"]
        done = subprocess.run([sys.executable, "-c", TRAIN, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout) * 1024

    assert peak(2_500_000) - peak(1_000) <= 400_000_000


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="LEFT OUT: no /proc here to measure memory")
@pytest.mark.parametrize("kind", ["npy", "polars", "one group"])
def test_a_gigabyte_streams_within_its_memory(tmp_path, kind):
    rng = np.random.default_rng(0)

    def peak(rows):
        if kind == "npy":
            x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (rows, 100))
            for start in range(0, rows, 50_000):
                x[start : start + 50_000] = rng.standard_normal((len(x[start : start + 50_000]), 100), np.float32)
            x.flush()
            np.save(tmp_path / "y.npy", rng.integers(0, 3, rows))
            files = [tmp_path / "x.npy", tmp_path / "y.npy"]
        else:
            frame = pl.DataFrame(rng.standard_normal((rows, 100), np.float32)).with_columns(y=rng.integers(0, 3, rows))
            files = [tmp_path / "rows.parquet"]
            frame.write_parquet(files[0], row_group_size=None if kind == "polars" else 1 << 20)
        done = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True)
        return int(done.stdout) * 1024

    assert peak(2_500_000) - peak(1_000) <= 400_000_000
