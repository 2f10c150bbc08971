import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.data import Dataset, infer_task

X = np.zeros((3, 2))


def test_types_and_sizes():
    data = Dataset(X, np.array([0, 2, 1]), "classification", weight=[1, 0, 1])
    assert (len(data), data.features, data.outputs) == (3, 2, 3)
    assert (data.x.dtype, data.y.dtype, data.weight.dtype) == (np.float32, np.int32, np.float32)
    assert Dataset(X, np.zeros((3, 4)), "regression").outputs == 4


@pytest.mark.parametrize(
    ("y", "task", "words"),
    [
        ([0, 1, 2], "classification", "1 of 3 values are outside of the 2 classes; the first is 2 in row 2"),
        ([0, -1, 0], "classification", "outside of the 2 classes"),
        ([0.0, 1.0, 0.0], "classification", "expected class indices"),
        ([0.0, 1.0, 0.0], "regression", r"expected \(n, outputs\)"),
        ([[0.0], [np.nan], [0.0]], "regression", "1 of 3 values are NaN"),
        ([[0.0], [0.5], [0.0]], "multilabel", "neither 0 nor 1"),
        ([0, 1], "classification", "received 3 in x and 2 in y"),
    ],
)
def test_rows_that_do_not_fit(y, task, words):
    with pytest.raises(InputError, match=words):
        Dataset(X, np.array(y), task, target_names=("a", "b") if task == "classification" else ())


@pytest.mark.parametrize("y", [[-1, 1, 1, -1], [0, 1, 0, 1], [True, False, True, True], ["a", "b", "a", "a"]])
def test_few_rows_with_the_usual_labels_of_two_classes_are_classes(y):
    assert infer_task(np.array(y))[0] == "classification"
