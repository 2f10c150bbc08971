import json

import numpy as np
import polars as pl
import pytest
from input_errors import input_error
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from thalweg.core.errors import InputError
from thalweg.data import (
    Arrays,
    Data,
    Gaussians,
    Hills,
    IdxFolder,
    Iris,
    Mnist,
    Plane,
    Preprocessing,
    Quadrants,
    Rings,
    Source,
    Spiral,
    TableFile,
    Wave,
    Xor,
)

DRAWN = (
    *("xor", "and", "or", "rings", "spiral", "moons", "blobs", "gaussians", "quadrants", "hills", "plane", "wave"),
)
BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")


@pytest.mark.parametrize("kind", DRAWN + BUNDLED)
def test_every_source_loads_and_its_description_makes_it_again(kind):
    data = Data.of(kind)
    split = data.load(3)
    assert Data.of(data.describe()) == data
    assert split.train.x.dtype == np.float32
    assert split.train.features == split.preprocessing.features == len(split.preprocessing.feature_names)
    assert split.train.outputs == split.preprocessing.outputs == len(split.train.target_names)
    stored = json.loads(json.dumps(split.preprocessing.describe()))
    assert Preprocessing.of(stored) == split.preprocessing


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_sources_depend_on_the_seed_alone(kind):
    source = Source.of({"kind": kind, "samples": 40, "noise" if kind != "blobs" else "spread": 0.1})
    first, again, other = (source.load(seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.y, again.y)
    assert not np.array_equal(first.x, other.x)
    assert len(first.x) == len(first.y) == 40
    assert first.scale == "none"


@pytest.mark.parametrize(("kind", "outputs"), [("xor", [0, 1, 1, 0]), ("and", [0, 0, 0, 1]), ("or", [0, 1, 1, 1])])
def test_truth_tables_train_on_all_four_rows(kind, outputs):
    split = Data.of(kind).load(0)
    assert split.train.x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert split.train.y.tolist() == outputs
    assert split.validation is None
    assert split.test is None
    assert any("no validation set" in note for note in split.notes)


def test_truth_tables_repeat():
    samples = Xor(samples=10).load(0)
    assert samples.x[4:8].tolist() == samples.x[:4].tolist()
    assert samples.test == 0.2


def test_rings_are_separated_by_a_circle_and_by_no_line():
    samples = Rings().load(0)
    radius = np.hypot(*samples.x.T)
    assert ((radius > 0.6) == samples.y).all()
    assert LogisticRegression().fit(samples.x, samples.y).score(samples.x, samples.y) < 0.7


def test_spiral_arms_do_not_touch():
    samples = Spiral(samples=900, arms=3, turns=1, noise=0).load(0)
    angle = np.arctan2(samples.x[:, 1], samples.x[:, 0])
    arm = (angle - 2 * np.pi * np.hypot(*samples.x.T)) / (2 * np.pi / 3)
    distance = (arm - samples.y) % 3
    assert np.minimum(distance, 3 - distance).max() < 1e-9
    assert SVC(gamma=20, C=100).fit(samples.x, samples.y).score(samples.x, samples.y) > 0.97


@pytest.mark.parametrize("kind", ["rings", "spiral"])
def test_a_radius_stretches_the_points(kind):
    small, large = (Source.of({"kind": kind, "noise": 0.0, "radius": radius}).load(0) for radius in (1.0, 5.0))
    np.testing.assert_allclose(large.x, 5 * small.x)
    assert np.hypot(*large.x.T).max() == pytest.approx(5, rel=0.01)


def test_the_best_line_between_two_clouds_is_right_as_often_as_theory_says():
    samples = Gaussians(samples=20_000, noise=2.0).load(0)
    right = (samples.x.sum(axis=1) > 0) == samples.y
    assert right.mean() == pytest.approx(norm.cdf(np.sqrt(2)), abs=0.006)
    assert LogisticRegression().fit(samples.x, samples.y).score(samples.x, samples.y) < norm.cdf(np.sqrt(2)) + 0.006


def test_quadrants_are_separated_by_the_product_of_the_inputs_and_by_no_line():
    samples = Quadrants(noise=0).load(0)
    assert ((samples.x.prod(axis=1) > 0) == samples.y).all()
    assert np.abs(samples.x).min() >= 0.3
    assert np.abs(samples.x).max() <= 5
    assert LogisticRegression().fit(samples.x, samples.y).score(samples.x, samples.y) < 0.7


def test_hills_rise_and_fall_by_one_in_turn():
    # The definition of the original, point by point: of all hills, the one with the largest part counts.
    samples = Hills(samples=300, noise=0).load(0)
    hills = [(-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1)]
    for (x1, x2), y in zip(samples.x, samples.y, strict=True):
        parts = [sign * max(0.0, 1 - np.hypot(x1 - c1, x2 - c2) / 2) for c1, c2, sign in hills]
        assert y == pytest.approx(max(parts, key=abs))
    noisy = Hills(samples=300, noise=0.2).load(0)
    assert np.std(noisy.y - samples.y) == pytest.approx(0.2, rel=0.2)


def test_the_regressions_follow_their_formulas():
    plane = Plane(noise=0).load(0)
    solution = np.linalg.lstsq(np.column_stack([plane.x, np.ones(500)]), plane.y, rcond=None)[0]
    assert np.allclose(solution, [2, -3, 1])
    wave = Wave(noise=0.05).load(0)
    assert 0.03 < np.std(wave.y - np.sin(wave.x[:, 0])) < 0.07
    assert np.abs(wave.x).max() <= np.pi


def test_images_have_their_shape_and_one_range():
    split = Data.of("digits").load(0)
    assert split.train.image_shape == (8, 8)
    assert split.preprocessing.shift == (0.0,)
    assert split.preprocessing.span == (16.0,)
    assert split.train.x.min() == 0
    assert split.train.x.max() == 1


def test_names_of_classes_and_features():
    split = Data.of("iris").load(0)
    assert split.train.target_names == ("setosa", "versicolor", "virginica")
    assert "petal length (cm)" in split.preprocessing.feature_names


def test_another_task_than_that_of_the_source():
    split = Data(Iris(), task="regression", scale="none").load(0)
    assert split.train.y.shape == (108, 1)
    assert split.preprocessing.target_names == ("y",)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("rings 500 0.1", Rings(500, 0.1)),
        ({"kind": "rings", "samples": 500}, Rings(500)),
        ("a folder/my table.CSV", TableFile("a folder/my table.CSV")),
        ("iris data.tsv", TableFile("iris data.tsv")),
        ("table x.parquet", TableFile("x.parquet")),
    ],
)
def test_forms_of_a_source(value, source):
    assert Source.of(value) == source
    assert Data.of(value).source == source
    assert Source.of(source) is source


def test_paths_and_folders(tmp_path):
    assert Source.of(tmp_path / "x.csv") == TableFile(str(tmp_path / "x.csv"))
    assert Source.of(str(tmp_path)) == Source.of(tmp_path) == IdxFolder(str(tmp_path))
    with input_error("data source", str(tmp_path / "nothing"), "IDX"):
        Source.of(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("value", "place", "fact"),
    [
        ("ring 20", "source", "did you mean 'rings'"),
        ("/no/such/folder", "source", "'/no/such/folder'"),
        ({"source": "rings -3"}, "source.samples", "greater than or equal to 1"),
        ({"source": "iris", "validation": 1.0}, "validation", "less than 1"),
        ({"source": "iris", "scale": "minmax"}, "scale", "'standard', 'robust', 'range' or 'none'"),
        ({"source": "spiral 100 1"}, "source.arms", "greater than or equal to 2"),
        ({"sauce": "iris"}, "sauce", "did you mean 'source'"),
        (([1], [1], [1], [1]), "source", "received 4 values"),
    ],
)
def test_wrong_values_are_rejected_at_their_place(value, place, fact):
    with pytest.raises(InputError) as raised:
        Data.of(value)
    assert place in [problem.place for problem in raised.value.problems]
    assert fact in str(raised.value)


X = [[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 1.0]]


def test_arrays_are_equal_by_content_and_describe_their_digest():
    arrays = Source.of((X, [0, 1, 0, 1]))
    assert isinstance(arrays, Arrays)
    assert arrays == Arrays(np.array(X), np.array([0, 1, 0, 1]))
    assert hash(arrays) == hash(Arrays(X, [0, 1, 0, 1]))
    assert arrays != Arrays(X, [0, 1, 1, 1])
    assert arrays != "arrays"
    assert Data.of((X, [0, 1, 0, 1])) == Data(arrays)
    table = arrays.describe()
    assert (table["samples"], table["features"], len(table["sha256"])) == (4, 2, 64)
    # A spec has the digest of the rows, but not the rows.
    again = Data.of({"source": table})
    assert again.describe() == Data(arrays).describe()
    with input_error("arrays", "4 rows"):
        again.load(0)


def test_arrays_of_frames():
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["u", "v", "u", "v"], "t": [0.5, 1.5, 2.5, 3.5]})
    split = Data.of({"source": (frame, None), "target": "t", "validation": 0, "test": 0, "scale": "none"}).load(0)
    assert split.train.x.tolist() == [[1, 1, 0], [2, 0, 1], [3, 1, 0], [4, 0, 1]]
    assert split.train.target_names == ("t",)
    assert Arrays(frame) == Arrays(frame.clone()) != Arrays(frame.head(3))
    assert Arrays(frame).describe()["features"] == 3


class PandasColumn(list):
    def tolist(self):
        return list(self)

    def isna(self):
        return PandasColumn(value is None or value != value for value in self)


class PandasFrame(dict):
    columns = property(dict.keys)
    shape = property(lambda self: (4, len(self)))


def test_frames_of_pandas_are_accepted():
    frame = PandasFrame(a=PandasColumn([1.0, float("nan"), 3.0, 2.0]), b=PandasColumn(["u", None, "u", "v"]))
    split = Data.of({"source": (frame, [0, 1, 0, 1]), "validation": 0, "test": 0, "scale": "none"}).load(0)
    assert split.train.x.tolist() == [[1, 1, 0], [2, 0, 0], [3, 1, 0], [2, 0, 1]]


def test_sample_weights_stay_with_their_rows():
    x = np.arange(40.0).reshape(20, 2)
    split = Data.of({"source": (x, [0, 1] * 10, x[:, 0]), "scale": "none"}).load(0)
    for part in (split.train, split.validation, split.test):
        assert part.weight.tolist() == part.x[:, 0].tolist()


def test_multilabel_and_several_outputs():
    labels = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 0, 1]])
    split = Data.of({"source": (X, labels), "test": 0}).load(0)
    assert split.train.task == "multilabel"
    assert split.train.y.tolist() == labels.tolist()
    assert split.train.outputs == 3
    one_hot = np.eye(3)[[0, 1, 2, 1, 0, 2, 2, 0]]
    x = np.arange(8.0).reshape(-1, 1)
    for task in (None, "classification"):
        split = Data.of({"source": (x, one_hot), "task": task, "test": 0, "validation": 0}).load(0)
        assert split.train.task == "classification"
        assert split.train.y.tolist() == [0, 1, 2, 1, 0, 2, 2, 0]
        assert any("single 1" in note for note in split.notes)
    stated = Data.of({"source": (x, one_hot), "task": "multilabel", "test": 0, "validation": 0}).load(0)
    assert stated.train.y.tolist() == one_hot.tolist()
    split = Data.of({"source": (X, labels + 0.5), "test": 0, "scale": "none"}).load(0)
    assert split.train.task == "regression"
    assert split.train.y.tolist() == (labels + 0.5).tolist()


@pytest.mark.parametrize(
    ("x", "y", "subject", "facts"),
    [
        ([1.0, 2.0], [0, 1], "x", ("x.reshape(-1, 1)",)),
        ([[1.0], [2.0, 3.0]], [0, 1], "x", ("one length",)),
        ([["a"], ["b"]], [0, 1], "x", ("table",)),
        (np.ones((0, 2)), [], "x", ("is empty", "(0, 2)")),
        (X, [0, 1], "x and y", ("4 in x", "2 in y")),
        (X, [0, 0, 0, 0], "y", ("class 0", "at least 2")),
        (X, ["a", "b", None, "a"], "y", ("1 of 4 values", "None in row 2")),
        (X, [1.0, 2.0, np.inf, np.nan], "y", ("2 of 4 values", "inf in row 2")),
        (X, ["a", "b", "a", "a"], "split", ("class 'b' has 1 row",)),
        ([[1.0, 2.0], [np.nan, 3.0], [np.inf, 1.0]], [1.5, 2.5, 3.5], "x", ("first is nan in row 1, column 0",)),
        (X, np.ones((4, 1, 1)), "y", ("received (4, 1, 1)",)),
        (X, [1j, 2j, 3j, 4j], "y", ("received complex128",)),
        (X, None, "data", ("y is missing",)),
        (np.array(X) * 1e39, [0.5, 1.5, 2.5, 3.5], "x", ("float32",)),
    ],
)
def test_unusable_arrays_are_rejected(x, y, subject, facts):
    with input_error(subject, *facts):
        Data.of({"source": (x, y), "scale": "none"}).load(0)


@pytest.mark.parametrize(
    ("weight", "fact"),
    [([1, 2], "shape (2,)"), ([1, -1, 1, 1], "first is -1.0 in row 1"), ([0] * 4, "is 0"), ([np.nan] * 4, "NaN")],
)
def test_unusable_weights_are_rejected(weight, fact):
    with input_error("weight", fact):
        Data.of((X, [0, 1, 0, 1], weight)).load(0)


@pytest.mark.parametrize(
    ("task", "y", "facts"),
    [
        ("classification", np.ones((4, 4)), ("shape (4, 4)", "y.argmax(axis=1)")),
        ("regression", ["a", "b", "a", "b"], ("regression", "'a'")),
        ("multilabel", [[0, 1], [1, 2], [0, 0], [1, 1]], ("1 of 8 values", "first is 2 in row 1, column 1")),
    ],
)
def test_targets_that_do_not_fit_the_task_are_rejected(task, y, facts):
    with input_error("y", *facts):
        Data.of({"source": (X, y), "task": task}).load(0)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (["a", "b"] * 4, "classification"),
        ([True, False] * 4, "classification"),
        ([0, 1], "classification"),
        ([3, 5, 7] * 10, "classification"),
        (list(range(21)) * 10, "regression"),
        ([3, 5, 7, 9], "regression"),
        ([1.0, 2.0] * 9, "regression"),
        (np.eye(3)[[0, 1, 2] * 4], "classification"),
        ([0.0, 1.0] * 9, "classification"),
        ([[0, 1], [1, 1]] * 4, "multilabel"),
        (np.eye(3) * 2, "regression"),
    ],
)
def test_the_task_is_inferred_and_noted(y, task):
    split = Data.of({"source": (np.arange(len(y), dtype=float).reshape(-1, 1), y), "test": 0, "validation": 0}).load(0)
    assert split.train.task == task
    assert any(note.startswith(f"task: {task}") for note in split.notes)


def test_a_target_column_is_rejected_if_the_source_has_targets():
    with input_error("data", "'species'"):
        Data(Iris(), target="species").load(0)


def test_a_folder_without_the_files_of_mnist_is_rejected(tmp_path):
    with input_error("mnist", str(tmp_path), "train-images"):
        Mnist(str(tmp_path)).load(0)


@pytest.mark.parametrize("shape", [(10**15, 2), (2**32, 2**32), (5, 3)])
def test_an_array_that_claims_more_than_its_file_holds_is_refused_by_a_number(shape, tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(bytes(80))
    np.save(tmp_path / "y.npy", np.arange(5))
    source = Source.of({"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")})
    with input_error(str(tmp_path / "x.npy"), f"{8 * shape[0] * shape[1]:,} bytes", "the file has 80"):
        source.load(0)


def test_the_rows_of_a_synthetic_problem_are_bounded():
    with pytest.raises(InputError):
        Source.of({"kind": "rings", "samples": 10**12})


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_kept_tables_are_those_of_scikit_learn(name, tmp_path, monkeypatch):
    from sklearn import datasets

    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    given = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    for _ in range(2):
        found = Source.of(name).load(seed=0)
        np.testing.assert_array_equal(found.x, given.data)
        np.testing.assert_array_equal(found.y, given.target)
        assert found.y.dtype.kind == given.target.dtype.kind
        assert found.feature_names == tuple(map(str, given.feature_names))
