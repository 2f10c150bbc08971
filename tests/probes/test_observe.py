"""What one look at a training records: by hand where the weights are known, else against PyTorch and NumPy."""

from __future__ import annotations

from math import isclose, log, log10, sqrt
from pathlib import Path

import numpy as np
import pytest
from torch_twin import Twin

from thalweg.core.arrays import arrays_of, map_arrays
from thalweg.core.noise import noise_key
from thalweg.engine.step import Batch, Plan, State, make_trace
from thalweg.models.network import Network
from thalweg.parts.layers import Branch
from thalweg.parts.losses import CrossEntropy, SoftmaxCrossEntropy, SquaredError
from thalweg.parts.optimizers import SGD, Adam, Momentum
from thalweg.parts.regularization import Regularization
from thalweg.parts.settings import Standard
from thalweg.parts.task_metrics import ClassificationMetric
from thalweg.probes.observe import alive, observe
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec

ROOT = Path(__file__).parents[2]

# By hand --------------------------------------------------------------------------------------------------------------


def dense(W, b):
    """A dense layer with these weights, row by row from the inputs."""
    return {
        "kind": "dense",
        "width": len(b),
        "init": {"kind": "given", "values": W},
        "bias_init": {"kind": "given", "values": b},
    }


def recorded(engine, rows, layers, loss, rate, probes, batch_size=2, **sections):
    """The records of one epoch over rows (x, t, weight) in their order."""
    x, t, weight = (np.array(column) for column in zip(*rows, strict=True))
    task = "classification" if loss.endswith("cross_entropy") else "regression"
    spec = Spec.of(
        {
            "data": {
                "source": (x, t, weight),
                "task": task,
                "order": "fixed",
                "scale": "none",
                "test": 0.0,
                "validation": 0.0,
            },
            "network": {"layers": layers},
            "loss": loss,
            "optimizer": {"kind": "sgd", "learning_rate": rate},
            "training": {"epochs": 1, "batch_size": batch_size, "engine": engine, "precision": "float64"},
            "probes": {"kind": probes, "every": 1},
            **sections,
        }
    )
    return run_spec(spec).records


def bins(**shares):
    """The 32 bins of a histogram, of which these are not empty: bins(_0=0.5, _31=0.5)."""
    return [shares.get(f"_{bin}", 0.0) for bin in range(32)]


def assert_same_numbers(found, expected, place=""):
    """The same names, the same numbers to five digits, and None in the same places."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for name, value in expected.items():
            assert_same_numbers(found[name], value, f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for index, value in enumerate(expected):
            assert_same_numbers(found[index], value, f"{place}[{index}]")
    elif expected is None or found is None:
        assert found is expected, (place, found, expected)
    else:
        assert isclose(found, expected, rel_tol=1e-5, abs_tol=1e-5), (place, found, expected)


# Network A: 2-2-1, z = x W + b, ReLU, y = a V + c, squared error, SGD with rate 1/2. Two batches of two rows.
#
# Step 0.    x        weight  share p  t  |  z          a        y   e = y - t   delta = p e
#            (1, 0)   3       3/4      1  |  (2, -2)    (2, 0)   2    1           3/4
#            (0, 1)   1       1/4      8  |  (4, -2)    (4, 0)   4   -4          -1
#
# The second unit is dead. Delta behind the ReLU is delta V' = (3/4, 3/4), (-1, -1); before it (3/4, 0), (-1, 0).
# dV = (2 3/4 - 4 1, 0) = (-5/2, 0), dc = -1/4;  dW = ((3/4, 0), (-1, 0)), db = (-1/4, 0).
#   |(dW, db)|² = 9/16 + 1 + 1/16 = 1.625,  |(dV, dc)|² = 25/4 + 1/16 = 6.3125,  together 7.9375.
# The update is -1/2 of that: dW (-3/8, 1/2) of the first unit, 1/8;  dV (5/4, 0), 1/8.
#
# Step 1.    x        weight  p   t       |  z          a         y        e   delta
#            (1, 0)   2       1   3.0625  |  (7/4, -2)  (7/4, 0)  4.0625   1   1
#            padding  0       0
#
# with W = ((13/8, -1), (9/2, -1)), b = (1/8, -1), V = (9/4, 1), c = 1/8. Delta behind the ReLU (9/4, 1), before it
# (9/4, 0).  dV = (7/4, 0), dc = 1;  dW = ((9/4, 0), (0, 0)), db = (9/4, 0).
#   |(dW, db)|² = 2 81/16 = 10.125,  |(dV, dc)|² = 49/16 + 1 = 4.0625,  together 14.1875.
RELU = {
    "rows": [((1.0, 0.0), 1.0, 3.0), ((0.0, 1.0), 8.0, 1.0), ((1.0, 0.0), 3.0625, 2.0)],
    "layers": [dense(((2, -1), (4, -1)), (0, -1)), "relu", dense(((1,), (1,)), (0,))],
    "loss": "squared_error",
    "rate": 0.5,
    "probes": "standard",
}

# Step length of step 0, along the update u. The motion of each sample's y: a·dV + V·dz[z > 0] + dc, slope e dy/du.
#   row 0: dz = -3/8 + 1/8 = -1/4,  dy = 2 5/4 - 1/4 + 1/8 = 2.375,  slope 2.375
#   row 1: dz = 1/2 + 1/8 = 5/8,    dy = 4 5/4 + 5/8 + 1/8 = 5.75,   slope -4 5.75 = -23
# q'(0) = 3/4 2.375 - 1/4 23 = -3.96875 = -1/2 7.9375, as it must be. Σp² = 10/16. Losses 1/2 and 8, mean 2.375.
_LOSS = 0.625 * (0.75 * 1.875**2 + 0.25 * 5.625**2)
_SLOPE = 0.625 * (0.75 * 6.34375**2 + 0.25 * 19.03125**2)
# Step 1 has one row, and no variance: dz = -1/4, dy = 7/4 5/4 - 9/4 1/4 + 1/8 = 1.75, loss 1/2, slope 1.75.
# The parabola is missed by r = 1/2 - 2.375 - (-3.96875 + 1.75)/2 = -0.765625.
_PULL = -0.765625 / (2 * (_LOSS + _SLOPE / 4))

RELU_0 = {
    "step": 0,
    "whole": {
        # 3/4 1/2 + 1/4 16/2
        "loss": 2.375,
        "learning_rate": 0.5,
        "input_rms": sqrt(1 / 2),
        "gradient_norm": sqrt(7.9375),
        "update_norm": sqrt(7.9375) / 2,
        # Of the gradients of the two steps: 3/4 9/4 - 1/4 9/4 = 1.125, and -5/2 7/4 - 1/4 = -4.625.
        "gradient_cosine": (1.125 - 4.625) / sqrt(7.9375 * 14.1875),
        "update_angle": 0.0,
        # Of the layers, see below.
        "gradient_variance": 7.875 + 65.4375,
        "signal_to_noise": 7.9375 / 73.3125,
        # 1/Σp² = 1.6 rows: tr S = 73.3125 / 0.6 is more than |g|², the gradient is lost.
        "noise_scale": None,
        "step_length": -1.75 / (-3.96875 + _SLOPE * _PULL),
    },
    "layers": {
        # Means of the rows 0, 1; 1, 2; 2, 4. Mean squares 4, 10; 2, 8; 4, 16.
        "output_mean": [0.25, 1.25, 2.5],
        "output_deviation": [sqrt(5.5 - 1 / 16), sqrt(3.5 - 25 / 16), sqrt(7 - 25 / 4)],
        "output_rms": [sqrt(5.5), sqrt(3.5), sqrt(7)],
        # 3/4 9/16 + 1/4; half of it where one of two units is 0.
        "delta_rms": [sqrt(0.671875 / 2), sqrt(0.671875), sqrt(0.671875)],
        "delta_max": [1.0, 1.0, 1.0],
        "gradient_norm": [sqrt(1.625), None, sqrt(6.3125)],
        # 4 + 1 + 16 + 1; 1 + 1. Biases are left out.
        "weight_norm": [sqrt(22), None, sqrt(2)],
        # 9/64 + 1/4 = (5/8)²
        "update_ratio": [0.625 / sqrt(22), None, 1.25 / sqrt(2)],
        "distance": [0.0, None, 0.0],
        "dead": [None, 0.5, None],
        "saturated": [None, None, None],
        # Only one unit moves.
        "effective_rank": [None, 1.0, None],
        # -2, -2, 2, 4 in bins of 6/32;  0, 0, 2, 4 in bins of 1/8;  2, 4.
        "output_histogram": [bins(_0=0.5, _21=0.25, _31=0.25), bins(_0=0.5, _16=0.25, _31=0.25), bins(_0=0.5, _31=0.5)],
        "output_low": [-2.0, 0.0, 2.0],
        "output_high": [4.0, 4.0, 4.0],
        # 3/4 and 1 equally often; what is 0 has no logarithm.
        "delta_histogram": [bins(_0=0.5, _31=0.5)] * 3,
        "delta_low": [log10(0.75)] * 3,
        "delta_high": [0.0] * 3,
        "gradient_cosine": [1.125 / sqrt(1.625 * 10.125), None, -4.625 / sqrt(6.3125 * 4.0625)],
        "update_angle": [0.0, None, 0.0],
        # Σ (|x|² + 1) |delta|² / p - |g|²:  2 9/16 4/3 + 2 1 4 - 1.625;  (4 + 1) 9/16 4/3 + (16 + 1) 1 4 - 6.3125.
        "gradient_variance": [9.5 - 1.625, None, 71.75 - 6.3125],
        "signal_to_noise": [1.625 / 7.875, None, 6.3125 / 65.4375],
    },
}
RELU_1 = {
    "step": 1,
    "whole": {
        "loss": 0.5,
        "learning_rate": 0.5,
        "input_rms": sqrt(1 / 2),
        "gradient_norm": sqrt(14.1875),
        "update_norm": sqrt(14.1875) / 2,
        # The epoch ends here; one row has no variance.
        "gradient_cosine": None,
        "update_angle": 0.0,
        "gradient_variance": 0.0,
        "signal_to_noise": None,
        "noise_scale": None,
        "step_length": None,
    },
    "layers": {
        # Mean squares (49/16 + 4)/2 = 3.53125, 49/32, and of one number no deviation.
        "output_mean": [-0.125, 0.875, 4.0625],
        "output_deviation": [1.875, 0.875, 0.0],
        "output_rms": [sqrt(3.53125), sqrt(49 / 32), 4.0625],
        "delta_rms": [2.25 / sqrt(2), sqrt((81 / 16 + 1) / 2), 1.0],
        "delta_max": [2.25, 2.25, 1.0],
        "gradient_norm": [sqrt(10.125), None, sqrt(4.0625)],
        # 2.640625 + 1 + 20.25 + 1;  81/16 + 1
        "weight_norm": [sqrt(24.890625), None, sqrt(6.0625)],
        "update_ratio": [1.125 / sqrt(24.890625), None, 0.875 / sqrt(6.0625)],
        # The first update.
        "distance": [0.625, None, 1.25],
        "dead": [None, 0.5, None],
        "saturated": [None, None, None],
        "effective_rank": [None, None, None],
        "output_histogram": [bins(_0=0.5, _31=0.5), bins(_0=0.5, _31=0.5), bins(_0=1.0)],
        "output_low": [-2.0, 0.0, 4.0625],
        "output_high": [1.75, 1.75, 4.0625],
        "delta_histogram": [bins(_0=1.0), bins(_0=0.5, _31=0.5), bins(_0=1.0)],
        "delta_low": [log10(2.25), 0.0, 0.0],
        "delta_high": [log10(2.25), log10(2.25), 0.0],
        "gradient_cosine": [None, None, None],
        "update_angle": [0.0, None, 0.0],
        "gradient_variance": [0.0, None, 0.0],
        "signal_to_noise": [None, None, None],
    },
}
# At the end too the second unit says nothing for any row.
RELU_2 = {"step": 2, "whole": {}, "layers": {"dead_over_set": [None, 0.5, None]}}

# Network B: y = W x + b from W = 2, b = 0, squared error with l2 = 1, SGD with rate 1/8. Two batches of two rows.
#
# Step 0.    x   t  |  y   e   delta      dL/dW = (1 + 6)/2 = 7/2,  dL/db = 3/2:  |g|² = 49/4 + 9/4 = 14.5
#            1   1  |  2   1   1/2        with l2: (11/2, 3/2), the update (-11/16, -3/16), |u|² = 32.5/64.
#            3   4  |  6   2   1          u lies off -g by the cosine (7/2 11/2 + 9/4) / √(14.5 32.5).
# Step 1, with W = 21/16, b = -3/16.
#            x   t      |  y       e     delta    dL/dW = 1,  dL/db = 1/4:  |g|² = 17/16.
#            0   5/16   |  -3/16  -1/2   -1/4     with l2: (37/16, 1/4), the update -1/8 of it.
#            2   23/16  |  39/16   1      1/2
#
# The Hessian is (mean x² + 1, mean x; mean x, 1) = (6, 2; 2, 1) at step 0.
LINE = {
    "rows": [((1.0,), 1.0, 1.0), ((3.0,), 4.0, 1.0), ((0.0,), 0.3125, 1.0), ((2.0,), 1.4375, 1.0)],
    "layers": [dense(((2,),), (0,))],
    "loss": "squared_error",
    "rate": 0.125,
    "probes": "full",
    "regularization": {"l2": 1.0},
}
# Along the update: dy = -11/16 x - 3/16.
#   step 0: losses 1/2, 2; dy = -7/8, -9/4; slopes -7/8, -9/2.         Means 5/4, -43/16; half differences 3/4, 29/16.
#   step 1: losses 1/8, 1/2; dy = -3/16, -25/16; slopes 3/32, -25/16.  Means 5/16, -47/64; half differences 3/16, 53/64.
# A variance of a mean of two is half of the half difference's square.
_LOSSES = 0.75**2 / 2 + 0.1875**2 / 2
_SLOPES = 1.8125**2 / 2, 0.828125**2 / 2
_R = 0.3125 - 1.25 - (-2.6875 - 0.734375) / 2
_LINE_PULL = _R / (2 * (_LOSSES + sum(_SLOPES) / 4))
_ANGLE = (3.5 * 5.5 + 1.5 * 1.5) / sqrt(14.5 * 32.5)
_NEXT_ANGLE = (2.3125 + 0.25 / 4) / sqrt(17 / 16 * (2.3125**2 + 1 / 16))


def angle(cosine):
    return np.degrees(np.arccos(cosine))


LINE_0 = {
    "step": 0,
    "whole": {
        "loss": 1.25,
        "learning_rate": 0.125,
        "input_rms": sqrt(5),
        "gradient_norm": sqrt(14.5),
        "update_norm": sqrt(32.5) / 8,
        "gradient_cosine": (3.5 + 1.5 / 4) / sqrt(14.5 * 17 / 16),
        "update_angle": angle(_ANGLE),
        "gradient_variance": 6.5,
        "signal_to_noise": 14.5 / 6.5,
        # tr S = 2 6.5 = 13, |G|² = 14.5 - 13/2 = 8.
        "noise_scale": 13 / 8,
        "step_length": -(-0.734375 + _SLOPES[1] * _LINE_PULL) / (-2.6875 + _SLOPES[0] * _LINE_PULL),
        "largest_eigenvalue": (7 + sqrt(41)) / 2,
        "hessian_trace": 7.0,
        "hessian_trace_error": 0.0,
    },
    "layers": {
        "output_mean": [4.0],
        "output_deviation": [2.0],
        "output_rms": [sqrt(20)],
        "delta_rms": [sqrt(5 / 8)],
        "delta_max": [1.0],
        "gradient_norm": [sqrt(14.5)],
        "weight_norm": [2.0],
        "update_ratio": [11 / 32],
        "distance": [0.0],
        "dead": [None],
        "saturated": [None],
        "effective_rank": [None],
        "output_histogram": [bins(_0=0.5, _31=0.5)],
        "output_low": [2.0],
        "output_high": [6.0],
        "delta_histogram": [bins(_0=0.5, _31=0.5)],
        "delta_low": [log10(0.5)],
        "delta_high": [0.0],
        "gradient_cosine": [(3.5 + 1.5 / 4) / sqrt(14.5 * 17 / 16)],
        "update_angle": [angle(_ANGLE)],
        # (1 + 1) 1/4 2 + (9 + 1) 1 2 - 14.5
        "gradient_variance": [6.5],
        "signal_to_noise": [14.5 / 6.5],
        "dead_over_set": [None],
    },
}
# What belongs to `full` alone is looked at every fifth time.
LINE_1 = {
    "step": 1,
    "whole": {
        "loss": 0.3125,
        "learning_rate": 0.125,
        "input_rms": sqrt(2),
        "gradient_norm": sqrt(17 / 16),
        "update_norm": sqrt(2.3125**2 + 1 / 16) / 8,
        "gradient_cosine": None,
        "update_angle": angle(_NEXT_ANGLE),
        # 1 1/16 2 + (4 + 1) 1/4 2 - 17/16 = 25/16;  tr S = 25/8 is more than |g|².
        "gradient_variance": 25 / 16,
        "signal_to_noise": 17 / 25,
        "noise_scale": None,
        "step_length": None,
    },
    "layers": {
        "output_mean": [1.125],
        "output_deviation": [21 / 16],
        "output_rms": [sqrt(1.125**2 + (21 / 16) ** 2)],
        "delta_rms": [sqrt((1 / 16 + 1 / 4) / 2)],
        "delta_max": [0.5],
        "gradient_norm": [sqrt(17 / 16)],
        "weight_norm": [21 / 16],
        "update_ratio": [2.3125 / 8 / (21 / 16)],
        "distance": [11 / 16],
        "dead": [None],
        "saturated": [None],
        "effective_rank": [None],
        "output_histogram": [bins(_0=0.5, _31=0.5)],
        "output_low": [-0.1875],
        "output_high": [2.4375],
        "delta_histogram": [bins(_0=0.5, _31=0.5)],
        "delta_low": [log10(0.25)],
        "delta_high": [log10(0.5)],
        "gradient_cosine": [None],
        "update_angle": [angle(_NEXT_ANGLE)],
        "gradient_variance": [25 / 16],
        "signal_to_noise": [17 / 25],
    },
}
LINE_2 = {"step": 2, "whole": {}, "layers": {"dead_over_set": [None]}}

# Network C: 1-2-1 with two sigmoids, the last one fused with its cross-entropy. Weights are logarithms, for
# sigmoid(ln r) = r / (r + 1). L = ln 99;  W = (ln 3, L), b = 0;  V = (2 L, 0), c = -L/2.
#
#            x   t  |  a             z            p      p - t   delta
#            1   1  |  3/4, 99/100   3/2 L - L/2  0.99   -0.01   -0.005
#           -1   0  |  1/4,  1/100   1/2 L - L/2  0.5     0.5     0.25
#
# The second unit has a (1 - a) = 0.0099, less than 5 % of 1/4, and so has p = 0.99. Delta behind the hidden sigmoid is
# (2 L delta, 0), before it 3/16 of that: 0.01 L 3/16 = 0.001875 L and 0.09375 L in size.
_L = log(99)
SIGMOID = {
    "rows": [((1.0,), 1, 1.0), ((-1.0,), 0, 1.0)],
    "layers": [dense(((log(3), _L),), (0, 0)), "sigmoid", dense(((2 * _L,), (0,)), (-_L / 2,)), "sigmoid"],
    "loss": "binary_cross_entropy",
    "rate": 1.0,
    "probes": "light",
}
_SQUARES = (0.005**2 + 0.25**2) / 2
# dV = (-3/4 0.005 + 1/4 1/4, -0.99 0.005 + 0.01 1/4), dc = 0.245;  dW = (-0.001875 - 0.09375) L, db = 0.091875 L.
_BELOW = _L * sqrt(0.095625**2 + 0.091875**2)
_ABOVE = sqrt(0.05875**2 + 0.00245**2 + 0.245**2)
SIGMOID_0 = {
    "step": 0,
    "whole": {
        "loss": (-log(0.99) - log(0.5)) / 2,
        "learning_rate": 1.0,
        "input_rms": 1.0,
        "gradient_norm": sqrt(_BELOW**2 + _ABOVE**2),
        "update_norm": sqrt(_BELOW**2 + _ABOVE**2),
    },
    "layers": {
        "output_mean": [0.0, 0.5, _L / 2, 0.745],
        # Deviations of a from 1/2 are 1/4 and 0.49.
        "output_deviation": [sqrt((log(3) ** 2 + _L**2) / 2), sqrt((1 / 16 + 0.49**2) / 2), _L / 2, 0.245],
        "output_rms": [
            sqrt((log(3) ** 2 + _L**2) / 2),
            sqrt(1 / 4 + (1 / 16 + 0.49**2) / 2),
            _L / sqrt(2),
            sqrt((0.99**2 + 0.25) / 2),
        ],
        "delta_rms": [_L * sqrt(2 * _SQUARES) * 3 / 16, _L * sqrt(2 * _SQUARES), sqrt(_SQUARES), sqrt(_SQUARES)],
        "delta_max": [_L / 2 * 3 / 16, _L / 2, 0.25, 0.25],
        "gradient_norm": [_BELOW, None, _ABOVE, None],
        "weight_norm": [sqrt(log(3) ** 2 + _L**2), None, 2 * _L, None],
        "update_ratio": [
            0.095625 * _L / sqrt(log(3) ** 2 + _L**2),
            None,
            sqrt(0.05875**2 + 0.00245**2) / (2 * _L),
            None,
        ],
        "distance": [0.0, None, 0.0, None],
        "dead": [None, 0.0, None, None],
        "saturated": [None, 0.5, None, 0.5],
    },
}

KNOWN = [
    pytest.param(RELU, [RELU_0, RELU_1, RELU_2], id="relu, weights, padding"),
    pytest.param(LINE, [LINE_0, LINE_1, LINE_2], id="line, hessian"),
    pytest.param(SIGMOID, [SIGMOID_0], id="sigmoids"),
]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize(("case", "expected"), KNOWN)
def test_every_number_of_a_network_with_known_weights(case, expected, engine):
    assert_same_numbers(list(recorded(engine, **case)), expected)


def numbers_of(entry):
    """The numbers in nested lists, without None."""
    if isinstance(entry, list):
        return [number for item in entry for number in numbers_of(item)]
    return [] if entry is None else [entry]


def test_there_is_no_quantity_without_a_known_value_and_an_explanation():
    (found, *_) = recorded("eager", **{**RELU, "probes": "full"})
    records = [record for case in KNOWN for record in case.values[1]]
    for kind in ("whole", "layers"):
        for name in found[kind]:
            assert any(numbers_of(record[kind].get(name)) for record in records), name
            assert f"`{name}`" in (ROOT / "docs" / "probes.md").read_text(), name


def test_tanh_saturates_by_its_own_derivative_and_bends_the_loss():
    """tanh(ln(r) / 2) = (r - 1) / (r + 1): y = 0.5 with y' = 0.75, and y = 0.98 with y' = 0.0396."""
    ends = 1.0, log(99) / log(3)
    rows = [((ends[0],), -0.5, 1.0), ((ends[1],), 1.48, 1.0)]
    case = {"layers": [dense(((log(3) / 2,),), (0,)), "tanh"], "loss": "squared_error", "rate": 1e-9, "probes": "full"}
    (found, end) = recorded("eager", rows, **case)
    layers = {name: values[1] for name, values in found["layers"].items()}
    assert (layers["dead"], layers["saturated"], layers["dead_over_set"]) == (0.0, 0.5, 0.0)
    # Both samples lie on one line.
    assert layers["effective_rank"] == 1.0
    assert end["layers"]["dead_over_set"] == [None, 0.0]
    # e = 1 and -1/2; each sample adds c (x², x; x, 1) / 2 with c = y'² + e y'', y'' = -2 y y'.
    c = 0.75**2 - 2 * 0.5 * 0.75, 0.0396**2 + 0.5 * 2 * 0.98 * 0.0396
    a, b, d = (sum(value * x**power for value, x in zip(c, ends, strict=True)) / 2 for power in (2, 1, 0))
    assert found["whole"]["hessian_trace"] == pytest.approx(a + d, rel=1e-5)
    assert found["whole"]["largest_eigenvalue"] == pytest.approx((a + d + sqrt((a - d) ** 2 + 4 * b * b)) / 2, rel=1e-5)


# Against PyTorch and NumPy --------------------------------------------------------------------------------------------


def state_of(plan, features, seed=0, steps=0):
    """The state after some steps on random batches, so that moments are not empty."""
    start = plan.network.initialize(seed, (features,))
    state = State(start.params, start.states, plan.optimizer.init(start.params), np.array(0), noise_key(0))
    for number in range(steps):
        state, _ = make_trace(plan)(state, batch_of(8, features, seed=100 + number))
    return state


def batch_of(n, features, seed=0, padding=0):
    rng = np.random.default_rng(seed)
    weight = np.concatenate([rng.uniform(0.5, 2, n - padding), np.zeros(padding)])
    return Batch(rng.normal(size=(n, features)), rng.integers(3, size=n), weight)


def look(plan, probes, state, batch, following=None, start=None):
    """What the probes find in the step from `state` on the batch, in full precision."""
    following = batch if following is None else following
    data = Batch(*(np.concatenate(arrays) for arrays in zip(batch, following, strict=True)))
    rows = np.arange(2 * len(batch.x)).reshape(2, -1)
    # As the engines do: where a layer has nothing to measure, 0 is divided by 0.
    with np.errstate(all="ignore"):
        return observe(plan, probes, state, state.params if start is None else start, data, rows)


def plan_of(*layers, optimizer=None, **options):
    return Plan(Network(layers), CrossEntropy(), optimizer or SGD(0.1), ClassificationMetric(), **options)


SMOOTH = ("dense 5", "tanh", "dense 4", "sigmoid", "dense 3", "softmax")
DENSE = [0, 2, 4]


def flat(own):
    return np.concatenate([np.ravel(array) for _, array in arrays_of(own)])


@pytest.fixture
def case():
    """A plan, a state in the midst of its training, a batch with padding and weights, and the batch after it."""
    plan = plan_of(*SMOOTH)
    return plan, state_of(plan, 4, steps=3), batch_of(12, 4, padding=3), batch_of(12, 4, seed=1, padding=1)


def samples_gradients(torch, plan, params, batch):
    """The gradients of each sample's loss, layer by layer: [(n, numbers of the layer)], by torch.func."""
    weights = [[torch.tensor(np.asarray(array)) for array in own] for own in params]

    def loss(weights, x, y):
        for layer, own in zip(plan.network.layers, weights, strict=True):
            if layer.kind == "dense":
                x = x @ own[0] + own[1]
            elif layer.kind != "identity":
                x = getattr(torch, layer.kind)(x)
        return torch.nn.functional.cross_entropy(x, y)

    x = torch.tensor(batch.x)
    y = torch.tensor(batch.y)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weights, x, y)
    n = len(batch.x)
    return [np.concatenate([part.numpy().reshape(n, -1) for part in own], axis=1) for own in each if own]


def test_gradient_noise_is_that_of_every_sample_by_itself(case):
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    plan, state, batch, _ = case
    found = look(plan, Standard(), state, batch)
    p = batch.weight / batch.weight.sum()
    own = samples_gradients(torch, plan, state.params, batch)
    means = [p @ gradients for gradients in own]
    variances = [p @ np.square(g - m).sum(axis=1) for g, m in zip(own, means, strict=True)]
    squares = [m @ m for m in means]
    np.testing.assert_allclose(found["layers"]["gradient_variance"][DENSE], variances, rtol=1e-9)
    np.testing.assert_allclose(found["layers"]["signal_to_noise"][DENSE], np.divide(squares, variances), rtol=1e-9)
    assert np.isnan(found["layers"]["gradient_variance"][[1, 3, 5]]).all()
    assert found["whole"]["gradient_variance"] == pytest.approx(sum(variances))
    assert found["whole"]["signal_to_noise"] == pytest.approx(sum(squares) / sum(variances))


def test_noise_scale_needs_no_more_rows_than_it_says():
    """Of batches without number, tr S and |G|² are known; the estimate's mean over batches comes to them."""
    plan = plan_of("dense 3", "softmax")
    state = state_of(plan, 4)
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    whole = Batch(*(array[:400] for array in batch_of(400, 4)))._replace(weight=np.ones(400))
    (own,) = samples_gradients(torch, plan, state.params, whole)
    trace = own.var(axis=0).sum()
    true = np.square(own.mean(axis=0)).sum()
    rng = np.random.default_rng(0)
    size = 20
    signals = []
    noises = []
    for _ in range(600):
        chosen = rng.integers(400, size=size)
        batch = Batch(*(array[chosen] for array in whole))
        found = look(plan, Standard(), state, batch)["whole"]
        noise = found["gradient_variance"] * size / (size - 1)
        signals.append(found["signal_to_noise"] * found["gradient_variance"] - noise / size)
        noises.append(noise)
        if np.isfinite(found["noise_scale"]):
            assert found["noise_scale"] == pytest.approx(noise / signals[-1])
        else:
            assert signals[-1] <= 0
    assert np.mean(noises) == pytest.approx(trace, rel=0.02)
    assert np.mean(signals) == pytest.approx(true, rel=0.1)


def test_losses_deltas_and_gradients_are_those_of_pytorch(case):
    plan, state, batch, _ = case
    found = look(plan, Standard(), state, batch)
    twin = Twin(plan.network, state.params)
    assert found["whole"]["loss"] == pytest.approx(twin.survey(batch))
    norms = [np.sqrt(sum(np.sum(g * g) for g in twin.grads[i : i + 2])) for i in (0, 2, 4)]
    np.testing.assert_allclose(found["layers"]["gradient_norm"][DENSE], norms)
    assert found["whole"]["gradient_norm"] == pytest.approx(np.linalg.norm(norms))
    p = batch.weight / batch.weight.sum()
    deltas = twin.deltas
    np.testing.assert_allclose(
        found["layers"]["delta_rms"][: len(deltas)], [np.sqrt(p @ np.mean(d * d, axis=1)) for d in deltas]
    )
    np.testing.assert_allclose(found["layers"]["delta_max"][: len(deltas)], [np.abs(d).max() for d in deltas])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD(0.1), lambda torch, w: torch.optim.SGD(w, lr=0.1)),
        (Momentum(0.1, 0.9), lambda torch, w: torch.optim.SGD(w, lr=0.1, momentum=0.9)),
        (Adam(0.01), lambda torch, w: torch.optim.Adam(w, lr=0.01)),
    ],
    ids=lambda part: getattr(part, "kind", ""),
)
def test_update_ratio_and_angle_are_those_of_the_real_update(ours, theirs):
    plan = plan_of(*SMOOTH, optimizer=ours)
    state = state_of(plan, 4)
    twin = Twin(plan.network, state.params)
    optimizer = theirs(twin.torch, twin.weights)
    start = [weight.detach().numpy().copy() for weight in twin.weights]
    for seed in range(3):
        batch = batch_of(12, 4, seed=seed, padding=2)
        found = look(plan, Standard(), state, batch, start=map_arrays(np.copy, plan.network.initialize(0, (4,)).params))
        before = [weight.detach().numpy().copy() for weight in twin.weights]
        twin.survey(batch)
        optimizer.step()
        updates = [weight.detach().numpy() - old for weight, old in zip(twin.weights, before, strict=True)]
        ratios = [np.linalg.norm(u) / np.linalg.norm(w) for u, w in zip(updates[::2], before[::2], strict=True)]
        np.testing.assert_allclose(found["layers"]["update_ratio"][DENSE], ratios, rtol=1e-6)
        np.testing.assert_allclose(
            found["layers"]["distance"][DENSE],
            [np.linalg.norm(now - then) for now, then in zip(before[::2], start[::2], strict=True)],
            atol=1e-9,
        )
        u, g = (np.concatenate([np.ravel(part) for part in parts]) for parts in (updates, twin.grads))
        assert found["whole"]["update_norm"] == pytest.approx(np.linalg.norm(u))
        cosine = -(u @ g) / np.linalg.norm(u) / np.linalg.norm(g)
        assert np.cos(np.radians(found["whole"]["update_angle"])) == pytest.approx(cosine, abs=1e-6)
        state, _ = make_trace(plan)(state, batch)


def test_gradient_cosine_is_that_of_the_next_gradient(case):
    plan, state, batch, following = case
    found = look(plan, Standard(), state, batch, following)
    twin = Twin(plan.network, state.params)
    twin.survey(batch)
    first = [np.concatenate([np.ravel(g) for g in twin.grads[i : i + 2]]) for i in (0, 2, 4)]
    after, _ = make_trace(plan)(state, batch)
    twin = Twin(plan.network, after.params)
    twin.survey(following)
    second = [np.concatenate([np.ravel(g) for g in twin.grads[i : i + 2]]) for i in (0, 2, 4)]

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    np.testing.assert_allclose(
        found["layers"]["gradient_cosine"][DENSE], [cosine(a, b) for a, b in zip(first, second, strict=True)]
    )
    assert found["whole"]["gradient_cosine"] == pytest.approx(cosine(np.concatenate(first), np.concatenate(second)))


def test_outputs_are_those_of_numpy(case):
    plan, state, batch, _ = case
    found = look(plan, Standard(), state, batch)["layers"]
    p = batch.weight / batch.weight.sum()
    real = batch.weight > 0
    (W, b), _, (V, c), *_ = state.params
    a = np.tanh(batch.x @ W + b)
    z = a @ V + c
    for index, values in ((1, a), (2, z)):
        mean = p @ values.mean(axis=1)
        assert found["output_mean"][index] == pytest.approx(mean)
        assert found["output_deviation"][index] == pytest.approx(np.sqrt(p @ ((values - mean) ** 2).mean(axis=1)))
        assert found["output_rms"][index] == pytest.approx(np.sqrt(p @ (values**2).mean(axis=1)))
        counts, edges = np.histogram(values[real], bins=32)
        np.testing.assert_allclose(found["output_histogram"][index], counts / counts.sum(), atol=1e-12)
        assert (found["output_low"][index], found["output_high"][index]) == pytest.approx((edges[0], edges[-1]))
    eigenvalues = np.linalg.eigvalsh(np.cov(a.T, aweights=p, bias=True))
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert found["effective_rank"][1] == pytest.approx(expected)
    # The outputs of the last layer are probabilities, though it runs fused with the loss.
    assert found["output_mean"][5] == pytest.approx(1 / 3)


def test_deltas_histogram_is_that_of_numpy(case):
    plan, state, batch, _ = case
    found = look(plan, Standard(), state, batch)["layers"]
    twin = Twin(plan.network, state.params)
    twin.survey(batch)
    for index, delta in enumerate(twin.deltas):
        counts, edges = np.histogram(np.log10(np.abs(delta[batch.weight > 0])), bins=32)
        np.testing.assert_allclose(found["delta_histogram"][index], counts / counts.sum(), atol=1e-12)
        assert (found["delta_low"][index], found["delta_high"][index]) == pytest.approx((edges[0], edges[-1]))


def test_slopes_of_the_step_are_those_of_the_loss_along_it(case):
    """Without noise between batches, alpha is -q'(1) / q'(0) of the loss itself, by differences."""
    plan = plan_of(*SMOOTH, optimizer=SGD(0.5))
    batch = batch_of(1, 4)._replace(weight=np.ones(1))
    state = state_of(plan, 4)
    after, trace = make_trace(plan)(state, batch)

    def slope(params, h=1e-6):
        ends = [map_arrays(lambda p, u, s=s: p + s * h * u, params, trace.updates) for s in (1, -1)]
        up, down = (Twin(plan.network, end).survey(batch) for end in ends)
        return (up - down) / (2 * h)

    found = look(plan, Standard(), state, batch)["whole"]["step_length"]
    # One row has no variance, so that nothing is corrected.
    assert found == pytest.approx(-slope(after.params) / slope(state.params), rel=1e-5)


@pytest.mark.parametrize(("hidden", "exact"), [(3, True), (8, False)])
def test_curvature_is_that_of_pytorchs_hessian(hidden, exact):
    """Of all rows at the start, with l2 on the weights: exact for 26 parameters, near to it for 66."""
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    y = rng.integers(2, size=30)
    rows = list(zip(x, y, np.ones(30), strict=True))
    layers = [f"dense {hidden}", "tanh", "dense 2" if exact else "dense 3", "softmax"]
    if not exact:
        rows = list(zip(x, rng.integers(3, size=30), np.ones(30), strict=True))
    (found, *_) = recorded(
        "eager", rows, layers, "cross_entropy", 0.1, "full", batch_size=30, regularization={"l2": 0.1}
    )
    start = [array for _, array in arrays_of(Network(layers).initialize(0, (4,)).params)]
    inputs = torch.tensor(x)
    classes = torch.tensor(np.array([row[1] for row in rows]))

    def objective(*weights):
        W, b, V, c = weights
        loss = torch.nn.functional.cross_entropy(torch.tanh(inputs @ W + b) @ V + c, classes)
        return loss + 0.05 * ((W * W).sum() + (V * V).sum())

    blocks = torch.autograd.functional.hessian(objective, tuple(torch.tensor(array) for array in start))
    sizes = [array.size for array in start]
    H = np.block(
        [[blocks[i][j].numpy().reshape(sizes[i], sizes[j]) for j in range(len(sizes))] for i in range(len(sizes))]
    )
    assert (len(H) <= 32) == exact
    curved = found["whole"]
    assert curved["largest_eigenvalue"] == pytest.approx(np.linalg.eigvalsh(H)[-1], rel=1e-5 if exact else 0.01)
    if exact:
        assert (curved["hessian_trace"], curved["hessian_trace_error"]) == (pytest.approx(np.trace(H), rel=1e-5), 0)
    else:
        assert 0 < curved["hessian_trace_error"] < 0.2 * np.trace(H)
        assert abs(curved["hessian_trace"] - np.trace(H)) < 4 * curved["hessian_trace_error"]


def test_softmax_saturates_where_it_is_sure():
    """softmax(0, 0, ln 198) = (1, 1, 198) / 200: all three p (1 - p) are below 5 % of 1/4; of (1, 1, 1) / 3 none is."""
    layers = [dense(((0, 0, log(198)),), (0, 0, 0)), "softmax"]
    batch = Batch(np.array([[1.0], [0.0]]), np.array([2, 0]), np.ones(2))
    for loss in (CrossEntropy(), SquaredError()):
        plan = Plan(Network(layers), loss, SGD(0.1), ClassificationMetric())
        found = look(plan, Standard(), state_of(plan, 1), batch)["layers"]
        assert found["saturated"][1] == 0.5
        assert np.isnan(found["dead"]).all()
        np.testing.assert_allclose(found["output_mean"][1], 1 / 3)


@pytest.mark.parametrize(
    "options",
    [
        {"regularization": Regularization(l2=0.3, l1=0.1)},
        {"clip": "global_norm 0.01"},
        {"accumulate": 2},
        {"average": 0.9},
    ],
    ids=lambda options: next(iter(options)),
)
def test_gradients_are_those_of_the_loss_alone_and_updates_those_that_are_made(options, case):
    _, _, batch, following = case
    plain = plan_of(*SMOOTH)
    plan = plan_of(*SMOOTH, **options)
    state = state_of(plan, 4)
    if plan.average is not None:
        state = state._replace(average=state.params)
    found = look(plan, Standard(), state, batch, following)
    expected = look(plain, Standard(), state._replace(average=()), batch, following)
    names = ("loss", "gradient_norm", "gradient_variance", "noise_scale")
    for name in names:
        np.testing.assert_allclose(found["whole"][name], expected["whole"][name], rtol=1e-9)
    after, _ = make_trace(plan)(state, batch)
    moved = flat(after.params) - flat(state.params)
    assert found["whole"]["update_norm"] == pytest.approx(np.linalg.norm(moved))


def test_a_batch_that_has_none_after_it_leaves_the_comparison_out(case):
    plan, state, batch, _ = case
    found = look(plan, Standard(), state, batch, Batch(*batch)._replace(weight=np.zeros(12)))
    assert np.isnan(found["whole"]["gradient_cosine"])
    assert np.isnan(found["layers"]["gradient_cosine"]).all()
    assert np.isnan(found["whole"]["step_length"])
    rest = look(plan, Standard(), state, batch)
    for name in rest["whole"].keys() - {"gradient_cosine", "step_length"}:
        np.testing.assert_array_equal(found["whole"][name], rest["whole"][name])


def test_all_that_is_recorded_runs_on_every_kind_of_array(on, case):
    plan, state, batch, following = case
    expected = look(plan, Standard(), state, batch, following)
    data = Batch(*(np.concatenate(arrays) for arrays in zip(batch, following, strict=True)))
    rows = np.arange(24).reshape(2, 12)
    with np.errstate(all="ignore"):
        found = on(lambda *given: observe(plan, Standard(), *given, rows), state, state.params, data)
    for kind, quantities in expected.items():
        for name, value in quantities.items():
            np.testing.assert_allclose(found[kind][name], value, rtol=1e-7, atol=1e-5, err_msg=name)


def test_which_units_are_alive_is_asked_as_the_network_answers():
    """In evaluation mode: dropout would kill half of the units of a batch."""
    plan = plan_of("dense 6", "dropout 0.9", "relu", "dense 3", "softmax")
    state = state_of(plan, 4)
    batch = batch_of(30, 4, padding=20)
    (W, b), *_ = state.params
    z = batch.x[:10] @ W + b
    found = alive(plan, state, batch, np.arange(30)[None])
    assert [len(units) for units in found] == [0, 0, 6, 0, 0]
    np.testing.assert_array_equal(found[2], (z > 0).any(axis=0))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_inside_of_residual_blocks_the_same_is_seen_as_outside(accumulate):
    """Where the way around is 0 its layers are those of a plain network, and so is all that is recorded of them."""
    inner = ["dense 5", "relu", "dense 4", "tanh"]
    blocked = Network([{"kind": "residual", "layers": inner}, "dense 2"])
    plain = Network([*inner, "dense 2"])
    rng = np.random.default_rng(3)
    batch = Batch(rng.normal(size=(12, 3)), rng.integers(2, size=12), np.ones(12))
    start = blocked.initialize(1, (3,)).params
    start = (Branch(start[0].layers, np.zeros_like(start[0].projection)), start[1])
    own = {"accumulate": accumulate, "metric": ClassificationMetric()}
    found = {}
    for name, network, params in (("blocked", blocked, start), ("plain", plain, (*start[0].layers, start[1]))):
        states = network.initialize(1, (3,)).states
        plan = Plan(network, SoftmaxCrossEntropy(), SGD(0.5), **own)
        state = State(params, states, (), np.array(0), np.zeros(2, np.uint32))
        rows = np.stack([np.arange(12), np.arange(12)])
        with np.errstate(all="ignore"):
            found[name] = observe(plan, Standard(), state, params, batch, rows)
            found[name]["layers"]["alive"] = alive(plan, state, batch, rows)
    # The next gradient has a part through the way around, which is no longer 0 after the step.
    found["plain"]["layers"].pop("gradient_cosine")
    for quantity, values in found["plain"]["layers"].items():
        inside = found["blocked"]["layers"][quantity][1:]
        for one, other in zip(inside, values, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, err_msg=quantity)
    for quantity in ("loss", "signal_to_noise", "noise_scale"):
        np.testing.assert_allclose(found["blocked"]["whole"][quantity], found["plain"]["whole"][quantity])
