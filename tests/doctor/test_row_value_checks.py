"""Checks of values and relations in rows: when they warn, when they note, and when they say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg import train
from thalweg.doctor.attainable import UncertainScore
from thalweg.doctor.causes import causes
from thalweg.doctor.checks import row_checks, row_fault_checks
from thalweg.doctor.checks import row_relation_checks as relations
from thalweg.doctor.checks import row_value_checks as values
from thalweg.doctor.findings import Learned
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.rows.row_faults import Atom, FilledTargets
from thalweg.doctor.rows.row_relations import OneClass, TellingPair, TwoKinds
from thalweg.doctor.rows.row_values import Edge, Magnitudes, TargetScore

SHORT = Learned("r2", 0.1, 0.0, 0.9)
SOUND = Learned("r2", 0.9, 0.0, 0.9)
NAMES = tuple("abcdef")


class Remedies:
    """Makes names of remedies."""

    def scale(self):
        return "scale"


def severity(check, **measured):
    found = [one.severity for one in check(Measurements(target_names=NAMES, column_names=NAMES, **measured))]
    return found[0] if found else None


def told(score):
    return FilledTargets(Atom(0, 1.0, 0.3), UncertainScore(score, 0.02), UncertainScore(0.5), np.arange(3))


@pytest.mark.parametrize(
    ("beyond", "score", "expected"),
    [(0.4, 0.9, "warning"), (0.4, 0.5, "warning"), (0.0, 0.9, "note"), (0.0, 0.5, None)],
)
def test_targets_were_cut_off_for_certain_where_others_are_beyond(beyond, score, expected):
    edge = Edge(Atom(0, 1.0, 0.3), is_upper=True, original=1.0)
    found = severity(values.cut_off_targets, target_edge=edge, beyond_edge={"test": beyond}, filled_targets=told(score))
    assert found == expected


@pytest.mark.parametrize(
    ("score", "attainable", "expected"), [(0.1, 0.9, "warning"), (0.8, 0.9, None), (0.0, 0.02, None)]
)
def test_magnitudes_warn_where_the_network_learned_only_the_largest(score, attainable, expected):
    found = Magnitudes(0, 6.0, score, UncertainScore(attainable, 0.02))
    assert severity(values.target_magnitudes, target_magnitudes=found) == expected


@pytest.mark.parametrize(
    ("deviation", "score", "expected"), [(0.001, 0.1, "warning"), (0.5, 0.1, None), (0.001, 0.8, None)]
)
def test_a_target_of_another_size_warns_where_it_was_not_learned(deviation, score, expected):
    small = TargetScore(1, deviation, score, UncertainScore(0.9, 0.02))
    large = TargetScore(0, 1.0, 0.9, UncertainScore(0.9, 0.02))
    assert severity(values.unequal_targets, target_scores=(large, small), remedies=Remedies()) == expected


@pytest.mark.parametrize(
    ("kurtosis", "score", "size", "expected"),
    [
        (1.2, 0.3, 0.3, "warning"),
        (1.75, 0.3, 0.3, None),
        (3.0, 0.3, 0.3, None),
        # Little is left to be in two branches.
        (1.2, 0.97, 0.3, None),
        # The size is told, and the sign is not.
        (2.5, 0.0, 0.9, "warning"),
        (2.5, 0.9, 0.9, None),
        (2.5, 0.0, 0.7, None),
    ],
)
def test_rows_of_two_kinds_warn_beyond_what_noise_can_do(kurtosis, score, size, expected):
    found = TwoKinds(0, kurtosis, 0.05, UncertainScore(score, 0.02), UncertainScore(size, 0.02))
    assert severity(relations.two_kinds, two_kinds=found) == expected


def test_rows_of_two_kinds_are_why_nothing_can_be_learned():
    kinds = TwoKinds(0, 1.2, 0.05, UncertainScore(0.0, 0.02), UncertainScore(0.9, 0.02))
    m = Measurements(two_kinds=kinds, target_names=NAMES, learned=Learned("r2", 0.0, 0.0, 0.0))
    (cause,) = causes([*relations.two_kinds(m), *row_checks.signal(m)])
    assert cause.finding.code == "two-kinds-of-rows"


def test_two_names_of_a_class_warn():
    found = OneClass((1, 4), UncertainScore(0.5, 0.02), 0.9)
    assert severity(relations.one_class, one_class=found) == "warning"
    assert severity(relations.one_class, one_class=OneClass((1, 4), UncertainScore(0.58, 0.02), 0.9)) is None
    assert severity(relations.one_class, one_class=None) is None


@pytest.mark.parametrize(("without", "expected"), [(0.5, "warning"), (0.0, "note"), (0.97, None)])
def test_a_pair_that_tells_is_suspicious_where_the_others_tell_a_part(without, expected):
    found = TellingPair((0, 1), "linear", UncertainScore(0.995, 0.001), UncertainScore(without, 0.02))
    assert severity(relations.telling_pair, telling_pair=found, learned=SOUND) == expected


@pytest.mark.parametrize(
    ("learned", "apart", "expected"), [(SHORT, True, "warning"), (SOUND, True, "note"), (SHORT, False, "note")]
)
def test_a_mark_for_missing_inputs_warns_where_it_decides_the_scale(learned, apart, expected):
    cells = (Atom(2, -999.0, 0.1, 0.0, is_apart=apart),)
    assert severity(row_fault_checks.filled_inputs, filled_inputs=cells, learned=learned, rows=500) == expected


# Whole trainings ------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(5)
X = RNG.standard_normal((700, 5))
T = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(700)


def codes(x, t, optimizer="adam 0.01", epochs=40, **data):
    """The codes of the findings above a note."""
    source = {"source": (x, t), "validation": 0.2, "test": 0.2, **data}
    outputs = 1 if np.ndim(t) == 1 else np.shape(t)[1]
    layers = ["dense 24", "tanh", f"dense {outputs}"]
    run = train(layers, source, epochs=epochs, batch_size=16, optimizer=optimizer, engine="eager", progress=False)
    return {finding.code for finding in run.diagnose().findings if finding.severity != "note"}


@pytest.mark.slow
def test_one_target_in_another_unit_is_not_learned():
    pairs = np.column_stack([90 * T, np.sin(2 * X[:, 2]) + X[:, 3]])
    assert "unequal-targets" in codes(X, pairs, "sgd 0.0001", epochs=20, scale="none")
    assert "unequal-targets" not in codes(X, pairs)


@pytest.mark.slow
def test_targets_that_a_late_part_shows_cut_off():
    cut = np.where(np.arange(700) < 560, np.minimum(T, 0.3), T)
    assert {"cut-off-targets", "mismatch"} <= codes(X, cut, split="time")
    assert not codes(X, T, split="time")


def test_a_leak_of_two_columns_that_is_gone_in_the_test_rows():
    told = np.where(np.arange(700) < 560, T, RNG.permutation(T))
    noise = 2 * RNG.standard_normal(700)
    found = codes(np.column_stack([X[:, :3], noise, noise - told]), T + X[:, 4], split="time")
    assert "mismatch" in found


def test_turned_targets_are_rows_of_two_kinds():
    x = RNG.uniform(-2, 2, (1500, 2))
    t = np.sin(2 * x[:, 0]) + x[:, 1]
    assert "two-kinds-of-rows" in codes(x, np.where(RNG.random(1500) < 0.4, -t, t), epochs=5)
