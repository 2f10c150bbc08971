"""Observations: what probes recorded, as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.parts.settings import Full, Light, Off, Probes, Standard
from thalweg.probes.records import Observations

RECORDS = [
    {
        "step": 0,
        "whole": {"loss": 2.0, "sharpness": 5.0},
        "layers": {"rms": [1.0, None], "bars_histogram": [[0.5, 0.5], None]},
    },
    {"step": 10, "whole": {"loss": None}, "layers": {"rms": [3.0, None], "bars_histogram": [None, None]}},
    {"step": 15, "whole": {}, "layers": {"dead": [None, 0.25]}},
]
NAMES = ("1: dense 2", "2: relu")


def test_what_was_not_observed_is_nan_in_arrays_of_one_shape():
    seen = Observations.of(RECORDS, NAMES, per_epoch=10)
    assert len(seen) == 3
    assert seen.epochs.tolist() == [0.0, 1.0, 1.5]
    np.testing.assert_array_equal(seen["loss"], [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(seen["sharpness"], [5.0, np.nan, np.nan])
    np.testing.assert_array_equal(seen["rms"], [[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(seen["dead"], [[np.nan, np.nan], [np.nan, np.nan], [np.nan, 0.25]])
    assert seen["bars_histogram"].shape == (3, 2, 2)
    np.testing.assert_array_equal(seen["bars_histogram"][0, 0], [0.5, 0.5])
    assert np.isnan(seen["bars_histogram"][0, 1]).all()
    assert np.isnan(seen["bars_histogram"][1:]).all()


def test_a_table_has_a_row_for_each_step_and_layer():
    table = Observations.of(RECORDS, NAMES, per_epoch=10).table()
    assert table.columns == ["step", "layer", "rms", "dead"]
    assert table["step"].to_list() == [0, 0, 10, 10, 15, 15]
    assert table["layer"].to_list() == list(NAMES) * 3
    assert table["rms"].is_nan().to_list() == [False, True, False, True, True, True]
    assert table["rms"][2] == 3.0


def test_without_records_there_is_nothing():
    seen = Observations.of([], NAMES, per_epoch=10)
    assert (len(seen), seen.steps.tolist(), seen.whole, seen.by_layer) == (0, [], {}, {})


def test_a_wrong_name_is_told_with_the_near_one():
    with pytest.raises(InputError, match=r"'los'.*'loss'"):
        Observations.of(RECORDS, NAMES, per_epoch=10)["los"]


@pytest.mark.parametrize("steps", [1, 5, 19, 20, 100, 399, 400, 2000, 10_000, 123_456])
def test_a_training_is_looked_at_often_enough_and_not_too_often(steps):
    looks = len(range(0, steps, Light().cadence(steps)))
    assert min(steps, 20) <= looks <= 200
    assert Light(7).cadence(steps) == 7


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("off", Off()),
        ("light", Light()),
        ("light 50", Light(50)),
        ("standard", Standard()),
        ({"kind": "full", "every": 3}, Full(3)),
    ],
)
def test_forms_of_a_preset(said, meant):
    found = Probes.of(said)
    assert found == meant
    assert type(found) is type(meant)
    assert Probes.of(meant.describe()) == meant


@pytest.mark.parametrize("said", ["nonsense", "light 0", "light -1", "light 2.5", "off 3", {"kind": "full", "evry": 5}])
def test_what_is_no_preset_is_refused(said):
    with pytest.raises(InputError):
        Probes.of(said)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"epoch": 1}, "step, whole and layers"),
        ({"step": 0, "whole": {}, "layers": {"dead": [0.0]}}, "dead for each of 2 layers, received 1"),
        ({"step": 0, "whole": {}, "layers": {"dead": 0.5}}, "dead for each of 2 layers, received 0.5"),
    ],
)
def test_what_is_no_record_of_these_layers_is_told(record, told):
    with pytest.raises(InputError, match=told):
        Observations.of([record], ("1: dense 2", "2: relu"), per_epoch=1)


def test_a_histogram_in_place_of_a_number_is_told():
    for layers in ({"dead": [[0.1, 0.2]]}, {"output_histogram": [0.1]}):
        with pytest.raises(InputError):
            Observations.of([{"step": 0, "whole": {}, "layers": layers}], ("1: relu",), 1)


def test_records_of_other_sizes_are_told():
    records = [
        {"step": step, "whole": {}, "layers": {"h_histogram": [[0.1] * size]}} for step, size in ((0, 2), (1, 3))
    ]
    with pytest.raises(InputError, match="h_histogram"):
        Observations.of(records, ("1: relu",), 1)
