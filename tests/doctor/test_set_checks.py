"""Checks of the sets: targets, relations and scores that differ between training, validation and test rows."""

from __future__ import annotations

import pytest

from thalweg.doctor.attainable import UncertainScore
from thalweg.doctor.checks import set_checks as checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.rows.set_differences import FrequencyShift, Halves, SetShift, Transfer
from thalweg.doctor.rows.spoiled_rows import SpoiledRows

NAMES = ("a", "b")
WORSE = {"training": 0.1, "validation": 0.1, "test": 0.5}


class Remedies:
    """Makes names of remedies."""

    def random_split(self):
        return "split"


def found(check, score=0.9, **measured):
    measured = {"target_names": NAMES, "column_names": NAMES, "remedies": Remedies(), **measured}
    learned = Learned(measured.pop("measure", "r2"), score, 0.0, 0.9)
    return [(one.severity, one.place) for one in check(Measurements(learned=learned, **measured))]


def scores(validation, test, error=0.02):
    return {"validation": UncertainScore(validation, error), "test": UncertainScore(test, error)}


@pytest.mark.parametrize(
    ("distance", "chance", "losses", "test", "expected"),
    [
        (0.6, 1e-9, WORSE, -1.0, [("warning", "data.target")]),
        # Another distribution that costs nothing is only noted.
        (0.6, 1e-9, {"training": 0.1, "test": 0.1}, 0.9, [("note", "data.target")]),
        (0.1, 1e-9, WORSE, -1.0, []),
        (0.6, 0.01, WORSE, -1.0, []),
    ],
)
def test_targets_of_another_distribution(distance, chance, losses, test, expected):
    shift = {"test": SetShift(1, distance, chance)}
    measured = {"target_differences": shift, "final_losses": losses, "held_out_scores": scores(0.9, test)}
    assert found(checks.shifted_targets, **measured) == expected


def test_a_difference_that_costs_a_reference_learner_nothing_is_noted():
    shift = {"test": SetShift(0, 0.6, 1e-9)}
    measured = {"set_differences": shift, "final_losses": WORSE, "held_out_scores": scores(0.9, 0.3)}
    assert found(checks.shifted_rows, **measured) == [("warning", "data.split")]
    for there, severity in ((0.3, "warning"), (0.78, "note")):
        transfers = {"test": Transfer(UncertainScore(0.8, 0.02), UncertainScore(there, 0.02))}
        assert found(checks.shifted_rows, transfers=transfers, **measured) == [(severity, "data.split")]


def test_other_frequencies_of_classes_cost_loss_and_no_balanced_accuracy():
    shift = {"test": FrequencyShift(1, 0.01, 0.3, 1e-9)}
    measured = {"frequency_differences": shift, "held_out_scores": scores(0.9, 0.9), "measure": "balanced_accuracy"}
    assert found(checks.shifted_targets, final_losses=WORSE, **measured) == [("warning", "data.target")]
    same = dict.fromkeys(WORSE, 0.1)
    assert found(checks.shifted_targets, final_losses=same, **measured) == [("note", "data.target")]


@pytest.mark.parametrize(
    ("known", "there", "validation", "test", "expected"),
    [
        # What a learner of the training rows tells does not hold.
        (0.8, 0.1, 0.2, 0.1, [("warning", "data.test")]),
        # It holds, and the network has another fault.
        (0.8, 0.75, 0.12, 0.1, []),
        # Validation and test rows, which no step has seen, differ for the network itself.
        (0.8, 0.75, 0.9, 0.2, [("warning", "data.test")]),
        (0.01, 0.0, 0.01, 0.0, []),
    ],
)
def test_a_relation_that_does_not_hold(known, there, validation, test, expected):
    transfer = {"test": Transfer(UncertainScore(known, 0.02), UncertainScore(there, 0.02))}
    measured = {"transfers": transfer, "held_out_scores": scores(validation, test), "final_losses": WORSE}
    assert found(checks.broken_relation, **measured) == expected
    # Rows that differ in their inputs have a finding of their own.
    assert found(checks.broken_relation, set_differences={"test": SetShift(0, 0.6, 1e-9)}, **measured) == []


def test_a_network_that_learned_as_little_of_the_training_rows_shows_no_broken_relation():
    transfer = {"test": Transfer(UncertainScore(0.8), UncertainScore(0.1))}
    measured = {"transfers": transfer, "held_out_scores": scores(0.1, 0.1), "final_losses": WORSE}
    assert found(checks.broken_relation, score=0.1, **measured) == []


@pytest.mark.parametrize(
    ("there", "score", "inputs", "expected"),
    [
        (0.1, 0.3, 0.05, [("warning", "data.target")]),
        (0.1, 0.3, 0.6, [("warning", "input columns")]),
        (0.1, 0.9, 0.6, [("note", "input columns")]),
        (0.7, 0.3, 0.6, []),
    ],
)
def test_a_relation_that_changes_along_the_rows_warns_where_it_costs(there, score, inputs, expected):
    transfer = Transfer(UncertainScore(0.8, 0.02), UncertainScore(there, 0.02))
    halves = Halves(transfer, SetShift(0, inputs, 1e-9))
    assert found(checks.drift, score=score, halves=halves, rows=500) == expected


@pytest.mark.parametrize(
    ("part", "columns", "test", "expected"),
    [
        ("inputs", (1,), 0.2, [("severe", "input columns b")]),
        ("inputs", (), 0.2, [("severe", "inputs")]),
        ("targets", (), 0.2, [("severe", "data.target")]),
        ("relation", (), 0.2, [("severe", "data.target")]),
    ],
)
def test_training_rows_that_tell_less_than_others_are_spoiled(part, columns, test, expected):
    spoiled = SpoiledRows("test", UncertainScore(0.2, 0.02), UncertainScore(0.9, 0.02), part, columns)
    assert found(checks.spoiled_training_rows, spoiled_rows=spoiled, held_out_scores=scores(0.1, test)) == expected
    # Rows that cost less than half of what the network lacks leave something else to be found.
    slightly = spoiled._replace(there=UncertainScore(0.6, 0.02))
    place = expected[0][1]
    for score, severity in ((test, "warning"), (0.5, "severe")):
        measured = {"spoiled_rows": slightly, "held_out_scores": scores(0.1, score)}
        assert found(checks.spoiled_training_rows, **measured) == [(severity, place)]


def test_rows_are_not_spoiled_where_nothing_was_measured():
    assert found(checks.spoiled_training_rows) == []
