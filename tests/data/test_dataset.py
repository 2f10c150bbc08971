import numpy as np
import pytest
from input_errors import input_error

from thalweg.data import Dataset, infer_task

X = np.zeros((3, 2))


def test_types_and_sizes():
    data = Dataset(X, np.array([0, 2, 1]), "classification", weight=[1, 0, 1])
    assert (len(data), data.features, data.outputs) == (3, 2, 3)
    assert (data.x.dtype, data.y.dtype, data.weight.dtype) == (np.float32, np.int32, np.float32)
    assert Dataset(X, np.zeros((3, 4)), "regression").outputs == 4


@pytest.mark.parametrize(
    ("y", "task", "subject", "facts"),
    [
        ([0, 1, 2], "classification", "y", ("1 of 3 values", "2 classes", "first is 2 in row 2")),
        ([0, -1, 0], "classification", "y", ("1 of 3 values", "2 classes", "first is -1 in row 1")),
        ([0.0, 1.0, 0.0], "classification", "y", ("(n,)", "received float64 of shape (3,)")),
        ([0.0, 1.0, 0.0], "regression", "y", ("(n, outputs)", "received shape (3,)")),
        ([[0.0], [np.nan], [0.0]], "regression", "y", ("1 of 3 values", "NaN", "row 1, column 0")),
        ([[0.0], [0.5], [0.0]], "multilabel", "y", ("1 of 3 values", "first is 0.5 in row 1")),
        ([0, 1], "classification", "x and y", ("3 in x", "2 in y")),
    ],
)
def test_rows_that_do_not_fit_together_are_rejected(y, task, subject, facts):
    with input_error(subject, *facts):
        Dataset(X, np.array(y), task, target_names=("a", "b") if task == "classification" else ())


@pytest.mark.parametrize("y", [[-1, 1, 1, -1], [0, 1, 0, 1], [True, False, True, True], ["a", "b", "a", "a"]])
def test_few_rows_with_usual_labels_are_classes(y):
    assert infer_task(np.array(y))[0] == "classification"
