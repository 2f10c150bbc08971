"""The order of the rows: how often each row occurs, which rows share a batch, and what the order depends on."""

import math
import tomllib
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st
from input_errors import input_error
from parts_table import ORDERS, name_of

from thalweg.core.errors import InputError
from thalweg.core.noise import generator
from thalweg.data import (
    Arrays,
    Balanced,
    Buckets,
    Curriculum,
    Data,
    Dataset,
    EpochIndex,
    Fixed,
    InTime,
    Order,
    Preprocessing,
    Shuffled,
    Stratified,
)

every_order = pytest.mark.parametrize("entry", ORDERS, ids=name_of)
seeds = st.integers(0, 999)
sizes = st.integers(1, 60)


def rows_of(n: int, classes: int, seed: int, levels: int = 7) -> Dataset:
    """Rows of random classes, each with at least one row if there are enough, and keys with ties."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.choice(classes, n, p=rng.dirichlet(np.ones(classes)))])[:n]
    names = tuple(map(str, range(classes)))
    key = rng.integers(levels, size=n)
    return Dataset(np.zeros((n, 1)), rng.permutation(y), "classification", target_names=names, key=key)


def batches_of(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def counts_of(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """How often each row of `among` occurs."""
    return np.array([np.count_nonzero(rows == row) for row in among])


# All orders -----------------------------------------------------------------------------------------------------------


@every_order
@settings(max_examples=40)
@given(n=st.integers(1, 200), batch_size=sizes, epochs=st.integers(1, 9), classes=st.integers(1, 6), seed=seeds)
def test_an_epoch_has_as_many_rows_as_the_data(entry, n, batch_size, epochs, classes, seed):
    data = rows_of(n, classes, seed)
    for epoch in range(epochs):
        rows = entry.part.rows(EpochIndex(seed, epoch, epochs, batch_size), data)
        assert rows.shape == (n,)
        assert rows.dtype.kind == "i"
        assert rows.min() >= 0
        assert rows.max() < n
        if entry.once:
            assert sorted(rows.tolist()) == list(range(n))


@every_order
def test_an_order_is_a_function_of_seed_and_epoch(entry):
    data = rows_of(200, 3, seed=1)
    index = EpochIndex(seed=5, epoch=3, epochs=20, batch_size=16)
    rows = entry.part.rows(index, data)
    # Other calls in between do not matter.
    others = [entry.part.rows(index._replace(epoch=epoch), data) for epoch in (0, 7, 4)]
    assert np.array_equal(rows, entry.part.rows(index, data))
    assert all(np.array_equal(rows, other) != entry.anew for other in others)
    differs = not isinstance(entry.part, InTime)
    assert np.array_equal(rows, entry.part.rows(index._replace(seed=6), data)) != differs
    assert np.array_equal(rows, entry.part.rows(index._replace(part=1), data)) != differs


@every_order
def test_the_data_are_not_changed(entry):
    data = rows_of(50, 3, seed=1)
    before = data.x.copy(), data.y.copy(), data.key.copy()
    for array in (data.x, data.y, data.key):
        array.flags.writeable = False
    entry.part.rows(EpochIndex(0, 0, 5, 8), data)
    assert all(np.array_equal(a, b) for a, b in zip(before, (data.x, data.y, data.key), strict=True))


def test_the_default_order_draws_from_the_stream_of_the_epoch():
    rows = Shuffled().rows(EpochIndex(seed=9, epoch=4, epochs=5, batch_size=2), rows_of(30, 2, 0))
    assert np.array_equal(rows, generator(9, "order", 4).permutation(30))
    streams = {
        tuple(turn.generator(*purpose).random(2))
        for turn in (
            EpochIndex(0, 1, 9, 1),
            EpochIndex(0, 2, 9, 1),
            EpochIndex(0, 1, 9, 1, part=2),
            EpochIndex(1, 1, 9, 1),
        )
        for purpose in ((), ("ties",))
    }
    assert len(streams) == 8


def test_a_fixed_order_is_shuffled():
    rows = Fixed().rows(EpochIndex(0, 0, 5, 2), rows_of(100, 2, 0))
    assert not np.array_equal(rows, np.arange(100))


# In time --------------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 100), seed=seeds)
def test_rows_in_time_are_sorted_and_equal_times_keep_their_order(n, seed):
    data = rows_of(n, 2, seed)
    assert InTime().rows(EpochIndex(seed, 1, 5, 8), data).tolist() == list(range(n))
    expected = sorted(range(n), key=lambda row: (data.key[row], row))
    assert InTime(by="day").rows(EpochIndex(seed, 1, 5, 8), data).tolist() == expected


# Classes --------------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(n=st.integers(1, 300), batch_size=sizes, classes=st.integers(1, 8), seed=seeds)
def test_each_stratified_batch_has_the_proportions_of_all_rows(n, batch_size, classes, seed):
    data = rows_of(n, classes, seed)
    proportions = np.bincount(data.y, minlength=classes) / n
    for batch in batches_of(Stratified().rows(EpochIndex(seed, 0, 5, batch_size), data), batch_size):
        counts = np.bincount(data.y[batch], minlength=classes)
        assert (np.abs(counts - len(batch) * proportions) < 1 + 1e-9).all()


def test_every_row_of_a_class_can_be_at_any_place():
    data = rows_of(10, 2, seed=3)
    epochs = [EpochIndex(0, epoch, 400, 3) for epoch in range(400)]
    places = np.array([np.argsort(Stratified().rows(index, data)) for index in epochs])
    # The mean place of a shuffled row is 4.5; the standard deviation of a mean over 400 epochs is 2.9 / 20.
    assert np.abs(places.mean(axis=0) - 4.5).max() < 5 * 2.9 / 20
    assert all(len(set(column)) == 10 for column in places.T)


@settings(max_examples=200)
@given(n=st.integers(8, 300), batch_size=sizes, classes=st.integers(1, 8), seed=seeds)
def test_balanced_classes_are_equal_and_rows_repeat_evenly(n, batch_size, classes, seed):
    data = rows_of(n, classes, seed)
    rows = Balanced().rows(EpochIndex(seed, 0, 5, batch_size), data)
    drawn = np.bincount(data.y[rows], minlength=classes)
    assert np.ptp(drawn) <= 1
    for label in range(classes):
        assert np.ptp(counts_of(rows, np.flatnonzero(data.y == label))) <= 1
    for batch in batches_of(rows, batch_size):
        counts = np.bincount(data.y[batch], minlength=classes)
        assert (np.abs(counts - len(batch) * drawn / n) < 1 + 1e-9).all()


def test_a_large_class_has_other_rows_in_each_epoch():
    data = Dataset(np.zeros((100, 1)), np.repeat([0, 1], [10, 90]), "classification")
    epochs = [set(Balanced().rows(EpochIndex(0, epoch, 30, 10), data).tolist()) for epoch in range(30)]
    assert all(len(rows) == 10 + 50 for rows in epochs)
    assert set.union(*epochs) == set(range(100))


def test_the_draw_left_over_goes_to_each_class_in_turn():
    data = Dataset(np.zeros((7, 1)), np.array([0, 0, 0, 1, 1, 2, 2]), "classification")
    epochs = [EpochIndex(0, epoch, 30, 3) for epoch in range(30)]
    largest = {int(np.argmax(np.bincount(data.y[Balanced().rows(index, data)]))) for index in epochs}
    assert largest == {0, 1, 2}


@pytest.mark.parametrize("order", [Stratified(), Balanced()], ids=lambda order: order.kind)
@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_orders_by_class_need_classes(order, task):
    data = Dataset(np.zeros((3, 1)), np.zeros((3, 1)), task)
    with input_error("order", order.kind, task, "order = 'shuffled'"):
        order.rows(EpochIndex(0, 0, 5, 2), data)


# Keys -----------------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 300), batch_size=sizes, seed=seeds)
def test_rows_of_a_bucket_are_near_each_other_when_sorted(n, batch_size, seed):
    data = rows_of(n, 2, seed, levels=10**9)
    rank = np.argsort(np.argsort(data.key))
    *batches, last = batches_of(Buckets(by="length").rows(EpochIndex(seed, 0, 5, batch_size), data), batch_size)
    # A row moves by less than half a batch, up or down; the ends of a batch may move away from each other.
    assert all(np.ptp(rank[batch]) < 2 * batch_size for batch in batches)
    assert np.ptp(rank[last]) < 2 * batch_size


def test_buckets_spread_less_than_shuffled_batches_and_change():
    data = rows_of(1000, 2, seed=0, levels=10**9)

    def spread(order: Order) -> float:
        batches = batches_of(order.rows(EpochIndex(0, 1, 5, 20), data), 20)
        return float(np.mean([np.ptp(data.key[batch]) for batch in batches]))

    assert spread(Buckets(by="length")) < 0.05 * spread(Shuffled())
    epochs = [Buckets(by="length").rows(EpochIndex(0, epoch, 5, 20), data) for epoch in (0, 1)]
    first, second = ({frozenset(batch.tolist()) for batch in batches_of(rows, 20)} for rows in epochs)
    assert len(first & second) < 5
    starts = [data.key[rows[:20]].mean() for rows in epochs]
    assert np.corrcoef(data.key[epochs[0]], np.arange(1000))[0, 1] < 0.5
    assert starts[0] != starts[1]


def test_the_short_batch_has_rows_of_any_length():
    data = rows_of(25, 2, seed=0, levels=10**9)
    short = [Buckets(by="length").rows(EpochIndex(0, epoch, 40, 10), data)[-5:] for epoch in range(40)]
    assert {int(np.argmin(data.key)), int(np.argmax(data.key))} <= set(np.concatenate(short).tolist())


@settings(max_examples=100)
@given(
    n=st.integers(1, 120),
    epochs=st.integers(1, 12),
    stages=st.integers(1, 6),
    start=st.floats(0.05, 1),
    seed=seeds,
)
@example(n=60, epochs=2, stages=2, start=0.05, seed=0)
def test_a_curriculum_goes_from_easy_to_all(n, epochs, stages, start, seed):
    data = rows_of(n, 2, seed)
    order = Curriculum(by="difficulty", stages=stages, start=start)
    rows_of_epochs = [order.rows(EpochIndex(seed, epoch, epochs, 8), data) for epoch in range(epochs)]
    allowed = [set(rows.tolist()) for rows in rows_of_epochs]
    hardest = [data.key[rows].max() for rows in rows_of_epochs]
    assert all(small <= large for small, large in pairwise(allowed))
    assert hardest == sorted(hardest)
    assert allowed[-1] == set(range(n))
    assert len(set(map(len, allowed))) <= min(stages, epochs)
    if min(stages, epochs) > 1:
        assert len(allowed[0]) == math.ceil(start * n)
    for rows, admitted in zip(rows_of_epochs, allowed, strict=True):
        assert np.ptp(counts_of(rows, np.array(sorted(admitted)))) <= 1
        others = sorted(set(range(n)) - admitted)
        assert not others or data.key[list(admitted)].max() <= data.key[others].min()


def test_the_stages_of_a_curriculum_by_hand():
    data = Dataset(np.zeros((100, 1)), np.zeros((100, 1)), "regression", key=np.arange(100)[::-1])
    order = Curriculum(by="difficulty")
    admitted = [len(set(order.rows(EpochIndex(0, epoch, 8, 10), data).tolist())) for epoch in range(8)]
    assert admitted == [25, 25, 50, 50, 75, 75, 100, 100]
    assert set(order.rows(EpochIndex(0, 0, 8, 10), data).tolist()) == set(range(75, 100))


def test_rows_of_equal_difficulty_are_admitted_at_random():
    data = Dataset(np.zeros((100, 1)), np.zeros((100, 1)), "regression", key=np.zeros(100))
    first = [
        frozenset(Curriculum(by="difficulty").rows(EpochIndex(seed, 0, 8, 10), data).tolist()) for seed in range(20)
    ]
    assert len(set(first)) == 20
    assert frozenset.union(*first) > set(range(90))


def test_an_order_by_a_key_needs_the_keys():
    data = Dataset(np.zeros((3, 1)), np.zeros((3, 1)), "regression")
    with input_error("order", "buckets", "'length'", "key="):
        Buckets(by="length").rows(EpochIndex(0, 0, 5, 2), data)
    with input_error("key", "3 rows", "shape (1,)"):
        Dataset(data.x, data.y, "regression", key=[1.0])
    with input_error("key", "1 of 3 values", "NaN"):
        Dataset(data.x, data.y, "regression", key=[1.0, np.nan, 2.0])


# From the data to the order -------------------------------------------------------------------------------------------

TABLE = pl.DataFrame(
    {
        "length": [5, 3, 8, 1, 9, 2, 7, 4, 6, 10],
        "day": pl.Series([f"2024-01-{day:02}" for day in (9, 3, 7, 1, 5, 2, 10, 8, 4, 6)]).str.to_date(),
        "word": list("ababababab"),
        "y": [0.5 * i for i in range(10)],
    }
)


def test_the_training_rows_have_the_key_of_the_order():
    split = Data(source=Arrays(TABLE), target="y", order={"kind": "buckets", "by": "length"}).load(0)
    assert split.order == Buckets(by="length")
    lengths = split.preprocessing.unscaled(split.train.x)[:, 0]
    assert np.allclose(split.train.key, lengths, atol=1e-5)
    assert split.train.key.dtype == np.float64
    assert split.validation.key is None


def test_columns_of_arrays_are_named_like_the_features():
    x = np.random.default_rng(0).normal(size=(20, 3))
    split = Data(source=(x, x[:, 0]), order=Curriculum(by="x2"), scale="none", test=0.0, validation=0.0).load(0)
    assert np.array_equal(split.train.key, x[:, 2])
    named = Data("iris", order=Buckets(by="petal length (cm)"), scale="none").load(0)
    assert np.allclose(named.train.key, named.train.x[:, 2])


def test_a_function_receives_the_rows_of_the_source():
    def longest(x, y):
        assert x.columns == ["length", "day", "word"]
        return x["length"].to_numpy() + y

    data = Data(source=Arrays(TABLE), target="y", order=Curriculum(by=longest), validation=0.0, test=0.0)
    expected = TABLE["length"].to_numpy() + TABLE["y"].to_numpy()
    assert np.array_equal(data.load(0).train.key, expected)


def test_a_spec_has_the_name_of_a_function_but_not_the_function():
    def length(x, y):
        return x[:, 0]

    text = tomli_w.dumps(Data("iris", order=Buckets(by=length)).describe())
    assert 'by = "length()"' in text
    # A spec that is read again has the name of the function, and is good for everything but loading the data.
    again = Data.of(tomllib.loads(text))
    assert again.describe() == Data("iris", order=Buckets(by=length)).describe()
    with input_error("order", "by = length()", "Python function"):
        again.load(0)


@pytest.mark.parametrize(
    ("by", "subject", "facts"),
    [
        ("lenght", "table", ("column 'lenght'", "did you mean 'length'")),
        ("word", "table", ("column 'word'",)),
        (lambda x, y: 3, "order", ("10 rows", "received int64 of shape ()")),
        (lambda x, y: x["word"], "order", ("10 rows", "of shape (10,)")),
        (lambda x, y: np.where(y == 1.5, np.nan, y), "order", ("1 of 10 rows", "row 3")),
    ],
)
def test_keys_that_are_not_numbers_are_rejected(by, subject, facts):
    with input_error(subject, *facts):
        Data(source=Arrays(TABLE), target="y", order=Buckets(by=by)).load(0)


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_the_first_row_without_a_key_is_named(gap):
    table = TABLE.with_columns(length=pl.Series([1.0, 2.0, gap, 4.0, gap, *range(5)], strict=False))
    with input_error("order", "'length'", "2 of 10 rows", "row 2"):
        Data(source=Arrays(table), target="y", order=Buckets(by="length")).load(0)


def test_an_unknown_column_of_arrays_is_rejected():
    with input_error("order", "'x7'", "x0, x1"):
        Data(source=(np.zeros((9, 2)), np.arange(9.0)), order=Buckets(by="x7")).load(0)


@pytest.mark.parametrize(
    ("order", "place", "fact"),
    [
        ("stratifed", "order", "did you mean 'stratified'"),
        ("buckets", "order.by", "missing"),
        ({"kind": "buckets", "by": 3}, "order.by", "received 3"),
        ({"kind": "curriculum", "by": "x0", "start": 0.0}, "order.start", "greater than 0"),
        ({"kind": "curriculum", "by": "x0", "stages": 0}, "order.stages", "greater than or equal to 1"),
    ],
)
def test_wrong_orders_are_rejected_at_their_place(order, place, fact):
    with pytest.raises(InputError) as raised:
        Data("iris", order=order)
    assert [problem.place for problem in raised.value.problems] == [place]
    assert fact in str(raised.value)


# The split in time ----------------------------------------------------------------------------------------------------


def days(data: Dataset, preprocessing: Preprocessing) -> list[int]:
    return preprocessing.unscaled(data.x)[:, 0].round().astype(int).tolist()


@given(n=st.integers(3, 100), validation=st.floats(0, 0.45), test=st.floats(0, 0.45), seed=seeds)
def test_the_split_in_time_draws_nothing(n, validation, test, seed):
    x = np.arange(n, dtype=float).reshape(-1, 1)
    split = Data(source=(x, x[:, 0] / 7), task="regression", validation=validation, test=test, split="time").load(seed)
    test_size = round(test * n)
    stop = n - test_size
    start = stop - round(validation * (n - test_size))
    assert days(split.train, split.preprocessing) == list(range(start))
    parts = ((split.validation, range(start, stop)), (split.test, range(stop, n)))
    for part, expected in parts:
        assert (days(part, split.preprocessing) if part else []) == list(expected)


def test_the_split_in_time_uses_the_times_of_the_order():
    data = Data(source=Arrays(TABLE), target="y", order=InTime(by="day"), split="time", validation=0.25, test=0.2)
    split = data.load(0)
    order = split.order.rows(EpochIndex(0, 0, 5, 2), split.train)
    day = np.array([9, 3, 7, 1, 5, 2, 10, 8, 4, 6])
    lengths = TABLE["length"].to_numpy()
    assert days(split.train, split.preprocessing) == lengths[day <= 6].tolist()
    assert days(split.validation, split.preprocessing) == lengths[(day == 7) | (day == 8)].tolist()
    assert days(split.test, split.preprocessing) == lengths[day >= 9].tolist()
    assert np.diff(split.train.key[order]).tolist() == [1.0] * 5


def test_the_split_in_time_uses_the_file_under_other_orders():
    x = np.arange(10, dtype=float)[:, None]
    split = Data(source=(x, x[:, 0] / 7), split="time", order=Buckets(by="x0"), test=0.2, validation=0.0).load(0)
    assert days(split.test, split.preprocessing) == [8, 9]


def test_a_split_in_time_without_training_rows_is_rejected():
    with input_error("split", "of 2 rows, 2"):
        Data(source=([[1.0], [2.0]], [0.5, 1.5]), test=0.9, split="time").load(0)


def test_the_order_of_time_with_a_random_split_is_noted():
    def noted(**options) -> bool:
        return any("split = 'time'" in note for note in Data("iris", **options).load(0).notes)

    assert noted(order="time")
    assert not noted()
    assert not noted(order="time", validation=0.0, test=0.0)
    split = Data(source=(np.zeros((9, 1)), np.arange(9.0)), order="time", split="time").load(0)
    assert not any("split = 'time'" in note for note in split.notes)


# Images as arrays -----------------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).integers(256, size=(40, 5, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


def test_arrays_of_three_dimensions_are_images():
    split = Data(source=(IMAGES, LABELS)).load(0)
    flat = Data(source=(IMAGES.reshape(40, 15), LABELS), scale="range").load(0)
    assert split.train.image_shape == split.preprocessing.image_shape == (5, 3)
    assert flat.train.image_shape is None
    assert split.train.x.shape == flat.train.x.shape
    # One range for all pixels, as for the other sources of images.
    assert (split.train.x.min(), split.train.x.max()) == (0, 1)
    assert set(split.preprocessing.span) == {split.preprocessing.span[0]}
    assert Arrays(IMAGES, LABELS).describe()["features"] == 15


def test_images_are_accepted_for_prediction_in_both_shapes():
    preprocessing = Data(source=(IMAGES, LABELS)).load(0).preprocessing
    inputs = preprocessing.inputs(IMAGES[:7])
    assert np.array_equal(inputs, preprocessing.inputs(IMAGES[:7].reshape(7, 15)))
    assert np.allclose(preprocessing.unscaled(inputs).reshape(7, 5, 3), IMAGES[:7], atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 5, 3, 2), (5, 3, 4), (0, 5, 3)])
def test_other_dimensions_are_rejected(shape):
    preprocessing = Data(source=(IMAGES, LABELS)).load(0).preprocessing
    with input_error("x", str(shape) if shape[0] else "is empty"):
        preprocessing.inputs(np.zeros(shape))


def test_three_dimensions_are_rejected_without_images():
    preprocessing = Data("iris").load(0).preprocessing
    with input_error("x", "expected 2 dimensions", "(3, 2, 2)"):
        preprocessing.inputs(np.zeros((3, 2, 2)))
    with input_error("x", "expected 2 dimensions", "(4, 2, 2, 1, 1)"):
        Data(source=(np.zeros((4, 2, 2, 1, 1)), np.arange(4.0))).load(0)
