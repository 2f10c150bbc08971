"""The registry of checks: codes, their order, and the graph of what explains what."""

from __future__ import annotations

import pytest

from thalweg.doctor import checks, registry
from thalweg.doctor.causes import causes
from thalweg.doctor.findings import Finding
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.registry import (
    CHECKS,
    CODES,
    SETTING,
    check,
    explanation_graph,
    ordered_codes,
    rank_of_place,
)
from thalweg.watching import checks as watch_checks  # noqa: F401 - registers the codes of watched trainings

GRAPH = explanation_graph()
every_code = pytest.mark.parametrize("code", ordered_codes())


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(registry, "CODES", dict(CODES))
    monkeypatch.setattr(registry, "CHECKS", list(CHECKS))


def finding(code, severity="warning"):
    return Finding(
        code=code,
        stage="at the start",
        severity=severity,
        place="x",
        value=1.0,
        measured="much",
        normal="little",
        sentence="So.",
    )


@every_code
def test_a_code_explains_only_codes_of_higher_rank_so_there_are_no_cycles(code):
    assert all(CODES[code].rank < CODES[other].rank for other in GRAPH[code])


def test_ranks_are_distinct_and_every_code_belongs_to_a_check():
    assert len({code.rank for code in CODES.values()}) == len(CODES)
    assert {check.code for check in CHECKS} == set(CODES) - {SETTING}
    assert all(code.meaning for code in CODES.values())


def test_codes_and_places_are_in_one_order_from_the_beginning_of_a_training_to_its_end():
    ranks = [
        CODES["data-unlearnable"].rank,
        rank_of_place("data.order"),
        CODES["missing-input-scaling"].rank,
        rank_of_place("data.scale"),
        CODES["output-activation"].rank,
        rank_of_place("network.layers.0.width"),
        CODES["init-too-small"].rank,
        rank_of_place("network.layers.0.init"),
        CODES["loss"].rank,
        rank_of_place("loss.label_smoothing"),
        rank_of_place("regularization.l2"),
        rank_of_place("training.clip"),
        rank_of_place("stopping"),
        CODES["decayed-rate"].rank,
        rank_of_place("optimizer.learning_rate"),
        rank_of_place("optimizer.epsilon"),
        CODES["lr-too-low"].rank,
        rank_of_place("training.batch_size"),
        rank_of_place("optimizer"),
        rank_of_place("training.epochs"),
        CODES["overfitting"].rank,
        CODES["plateau"].rank,
    ]
    assert ranks == sorted(ranks)


@every_code
def test_every_code_is_a_root_or_is_explained(code):
    """Each code alone is a cause; with any code that explains it, it is not."""
    (alone,) = causes([finding(code)])
    assert alone.finding.code == code
    for other in (name for name in GRAPH if code in GRAPH[name]):
        result = causes([finding(code), finding(other)])
        assert [cause.finding.code for cause in result] == [other]
        assert [explained.code for explained in result[0].explains] == [code]


def test_symptoms_are_explained_and_faults_of_rows_and_network_are_roots():
    explained = set().union(*GRAPH.values())
    assert {name for name, code in CODES.items() if code.group} <= explained
    roots = {"wrong-gradient", "step-activation", "constant-target", "gradients-not-reset", "leak"}
    assert roots.isdisjoint(explained)


def test_groups_and_the_reverse_direction_enter_the_graph(fresh):
    options = {"stage": "at the start", "meaning": "", "advice": ""}
    check(code="first", rank=1, explains=(registry.STUCK,), **options)(lambda m: iter(()))
    check(code="last", rank=999, group=registry.STUCK, explained_by=("loss",), **options)(lambda m: iter(()))
    graph = explanation_graph()
    assert graph["first"] == {name for name, code in registry.CODES.items() if code.group == registry.STUCK}
    assert graph["loss"] == GRAPH["loss"] | {"last"}


def test_a_code_is_registered_once_and_before_it_is_used(fresh):
    with pytest.raises(ValueError, match="plateau"):
        check(code="plateau", stage="at the start", rank=1)
    with pytest.raises(ValueError, match="unknown"):
        check(code="unknown", stage="at the start")


def test_a_check_makes_findings_of_its_code_and_stage():
    (found,) = checks.static_checks.encoding(Measurements(single_label_rows=1.0, outputs=3))
    assert (found.code, found.stage, found.severity, found.value) == ("encoding-bug", "before training", "note", 1.0)
    assert list(checks.static_checks.encoding(Measurements(single_label_rows=0.5))) == []
