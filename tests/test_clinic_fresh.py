"""The faults and healthy specs of clinic/fresh are complete and valid, and sealed files are those that were kept."""

import doctest
import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

import fresh_counts
import unseen
from fresh import (
    first_half,
    fourth_healthy,
    fourth_part,
    healthy,
    kinds,
    picture_part,
    redrawn,
    second_half,
    third_healthy,
    third_part,
)
from fresh.bases import bases
from fresh.fourth_bases import fourth_bases
from fresh.gains import WORSE, Count, attainable_gain, counts_of_case, gain_of, read_counts
from fresh.kinds import Case, Kind, changed, is_right, value_at
from fresh.third_bases import third_bases
from fresh_counts import HEALTHY, SEEDS, all_bases, parts
from fresh_scorecard import (
    CLOSED,
    Answer,
    Repair,
    first_runs,
    one_of_each_kind,
    proposed,
    repairs,
    report,
    runs_that_count,
)
from run_cache import cached_runs, folders_of
from thalweg import load
from thalweg.doctor.findings import Finding, Remedy
from thalweg.spec.complete import completed
from thalweg.spec.toml import spec_of
from thalweg.training.session import Session

FOLDER = Path(first_half.__file__).parent
DOCTOR = FOLDER.parents[1] / "docs" / "doctor.md"
PARTS_OF_DATA = {"data.inputs", "data.targets", "data.validation", "data.test"}
PARTS = {
    "f": (first_half.KINDS, first_half.first_half),
    "s": (second_half.KINDS, second_half.second_half),
    "t": (third_part.KINDS, third_part.third_part),
    "q": (fourth_part.KINDS, fourth_part.fourth_part),
}


def checked(spec):
    """The completed spec, which suits its rows."""
    split = spec.data.load(seed=0)
    whole = completed(spec, split.train)
    Session(whole, split).check()
    return whole


@pytest.mark.parametrize("sealed", ["first_half", "third_part", "fourth_part"])
def test_a_sealed_part_is_the_one_that_was_kept(sealed):
    files = [line.split() for line in (FOLDER / f"{sealed}.sha256").read_text().splitlines()]
    assert f"{sealed}.py" in [name for _, name in files]
    for kept, name in files:
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == kept, name


@pytest.mark.parametrize("base", all_bases().values(), ids=lambda base: base.name)
def test_a_base_fits_its_rows(base):
    assert checked(spec_of(base.table, base.name)).data.keeps_test_rows
    x, y = base.rows()
    assert len(x) == len(y)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_complete_and_valid(part):
    kinds, cases = PARTS[part]
    text = DOCTOR.read_text().partition("<!-- table codes -->")[2].partition("<!-- end -->")[0]
    codes = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")} | {"optimizer"}
    assert len(kinds) >= 20
    assert len({kind.name for kind in kinds}) == len(kinds)
    by_kind = {kind.name: [] for kind in kinds}
    for case in cases().values():
        by_kind[case.kind.name].append(case.base)
        assert {*case.codes} <= codes
        described = checked(case.spec).describe()
        assert case.places
        for place in {*case.places} - PARTS_OF_DATA:
            assert value_at(described, place) is not None, (case.name, place)
    for used in by_kind.values():
        assert 1 <= len({*used}) == len(used) <= 4


@pytest.mark.parametrize(("known", "specs", "least"), [
    (healthy.KINDS, healthy.unusual, 12), (third_healthy.KINDS, third_healthy.third_unusual, 30),
    (fourth_healthy.KINDS, fourth_healthy.fourth_unusual, 20),
])  # fmt: skip
def test_the_unusual_specs_are_complete_and_valid(known, specs, least):
    assert {case.kind.name for case in specs().values()} == {kind.name for kind in known}
    assert len(known) >= least
    for case in specs().values():
        assert not case.codes
        checked(case.spec)


def test_the_redrawn_cases_are_valid_and_have_the_kinds_of_the_unseen_ones():
    cases = redrawn.redrawn()
    left_out = {"sorted, not shuffled", "rows that leak"}
    assert {case.kind.name for case in cases.values()} == {name for name, *_ in unseen.KINDS} - left_out
    assert not {case.base for case in cases.values()} & {*unseen.bases(), *bases(), *third_bases(), *fourth_bases()}
    for case in cases.values():
        described = checked(case.spec).describe()
        for place in case.places:
            assert value_at(described, place) is not None, (case.name, place)


def test_the_cases_of_pictures_are_valid_and_have_at_least_three_specs_of_four_kinds():
    by_kind = {kind.name: 0 for kind in picture_part.KINDS}
    for case in [*picture_part.pictures().values(), *picture_part.unusual_pictures().values()]:
        described = checked(case.spec).describe()
        assert any("conv2d" in str(layer) for layer in described["network"]["layers"])
        for place in {*case.places} - PARTS_OF_DATA:
            assert value_at(described, place) is not None, (case.name, place)
        by_kind[case.kind.name] = by_kind.get(case.kind.name, 0) + 1
    assert {case.kind.name for case in picture_part.unusual_pictures().values()} == {
        kind.name for kind in picture_part.UNUSUAL
    }
    assert all(by_kind.values())
    assert sum(count >= 3 for count in by_kind.values()) >= 4


def test_no_kind_is_in_two_parts():
    names = [kind.name for known in (*(known for known, _ in PARTS.values()), picture_part.KINDS) for kind in known]
    assert len(names) == len({*names})
    assert sum(not kind.codes for known, _ in PARTS.values() for kind in known) >= 5
    assert sum(not kind.codes for kind in third_part.KINDS) >= 12


def test_the_examples_of_right_answers_hold():
    assert doctest.testmod(kinds) == (0, 10)


def case_of(changes, places, codes=""):
    base = bases()["additive"]
    table = changed(base.table, changes)
    return Case("a", Kind("a", lambda base: None, codes), base.name, spec_of(table, "a"), table, places)


def finding(code="leak", place="training", changes=()):
    remedies = (Remedy("a", tuple(changes)),) if changes else ()
    return Finding(code, "training", "severe", place, 0.0, "", "", "", remedies)


CLIP = case_of({"training.clip": "value 1e-5"}, ("training.clip",), "lr-too-low, step-too-short")
WAIST = case_of({"network.layers.2": "dense 1"}, ("network.layers.2",))
WIDER = ["dense 32", "relu", "dense 32", "relu", "dense 1"]
NORMALISED = ["dense 32", "batch_norm", "relu", "dense 1", "batch_norm", "relu", "dense 1"]


@pytest.mark.parametrize(("case", "answer", "right"), [
    (CLIP, finding("lr-too-low"), True),
    (CLIP, finding("epochs-too-few"), True),  # the family of lr-too-low
    (CLIP, finding("leak"), False),
    (CLIP, finding("plateau", changes=[("training.clip", None)]), False),  # a symptom
    (CLIP, finding(place="training.clip"), True),
    (CLIP, finding(changes=[("training.clip", None)]), True),
    (CLIP, finding(changes=[("training.epochs", 100)]), False),
    (WAIST, finding(place="layer 3 (dense 1)"), True),
    (WAIST, finding(place="layer 1 (dense 32)"), False),
    (WAIST, finding(changes=[("network.layers.2", "dense 32")]), True),
    (WAIST, finding(changes=[("network.layers", ["dense 32", "relu", "dense 1"])]), False),
    (WAIST, finding(changes=[("network.init", "he_normal")]), False),
])  # fmt: skip
def test_an_answer_is_right_by_code_place_or_remedy(case, answer, right):
    assert is_right(case, answer) == right


def test_new_layers_are_right_if_the_wrong_one_is_gone():
    waist = case_of({"network.layers.2": {"kind": "dense", "width": 1, "init": "zeros"}}, ("network.layers.2",))
    assert is_right(waist, finding(changes=[("network.layers", WIDER)]))
    kept = [*NORMALISED[:3], waist.table["network"]["layers"][2], *NORMALISED[4:]]
    assert not is_right(waist, finding(changes=[("network.layers", kept)]))


@pytest.mark.parametrize("name", ["flavanoids", "progress", "arm", "chords"])
def test_a_gain_is_that_of_the_answers_for_the_test_rows(name, tmp_path):
    base = all_bases()[name]
    folder = folders_of(cached_runs({name: spec_of(base.table, name)}, [0]), tmp_path, jobs=1)[name, 0]
    run = load(folder)
    test = run.rows().test
    outputs = run.outputs_of(test.x)
    if base.numbers:
        expected = r2_score(test.y, outputs)
    elif name == "chords":
        expected = (
            np.mean([balanced_accuracy_score(*label) for label in zip(test.y.T, outputs.T > 0.5, strict=True)]) - 0.5
        )
    else:
        expected = balanced_accuracy_score(test.y, run.classes(outputs)) - 0.5
    assert expected > 0.1
    assert gain_of(folder) == pytest.approx(expected, abs=1e-5)


def test_classes_without_test_rows_count_for_nothing(monkeypatch):
    confusion = [[3, 1, 0], [1, 3, 0], [0, 0, 0]]
    result = {"diverged": False, "measures": {"test": {"balanced_accuracy": 0.75}}, "confusion": confusion}
    monkeypatch.setattr("fresh.gains.read_result", lambda folder: result)
    assert gain_of(FOLDER) == 0.75 - 1 / 2


def test_the_gain_of_several_labels_is_a_mean_over_labels():
    assert 0.4 < attainable_gain(third_bases()["chords"]) <= 0.5


def test_a_case_counts_where_its_base_learns_and_it_does_worse(monkeypatch):
    monkeypatch.setattr("fresh.gains.gain_of", {"a": 0.3, "b": 0.5, "c": 0.1}.get)
    of_base = [Count(0, 0.6, 1.0, True), Count(1, 0.6, 1.0, True), Count(2, 0.2, 0.4, False)]
    folders = {0: "a", 1: "b", 2: "c"}
    assert [one.counts for one in counts_of_case(CLIP, folders, of_base, ill=True)] == [True, False, False]
    assert [one.counts for one in counts_of_case(CLIP, folders, of_base, ill=False)] == [False, True, False]
    always = CLIP._replace(kind=CLIP.kind._replace(shows="always"))
    assert [one.counts for one in counts_of_case(always, folders, of_base, ill=True)] == [True, True, False]


def test_kept_counts_are_those_of_all_specs():
    counts = read_counts()
    assert {part: {*by_name} for part, by_name in counts.items()} == {
        "bases": {*all_bases()}, **{part: {*cases} for part, cases in parts().items()}
    }  # fmt: skip
    learns = {(name, one.seed): one.counts for name, by_seed in counts["bases"].items() for one in by_seed}
    assert sum(learns.values()) > 0.9 * len(learns)
    for part, cases in parts().items():
        for name, case in cases.items():
            assert [one.seed for one in counts[part][name]] == [*SEEDS]
            for one in counts[part][name]:
                worse = one.share < WORSE or case.kind.shows == "always"
                assert one.counts == (learns[case.base, one.seed] and worse == (part not in HEALTHY))
    text = (FOLDER.parent / "README.md").read_text()
    for part in counts:
        runs = [[one.counts for one in by_seed] for by_seed in counts[part].values()]
        counted = f"{sum(map(sum, runs))} of {sum(map(len, runs))}"
        assert f"| {part} | {len(runs)} | {sum(map(any, runs))} | {counted} |" in text


def test_counts_of_a_part_leave_the_others_as_they_were(monkeypatch, tmp_path):
    found = {"bases": {"arm": [Count(0, 0.5, 0.4, False)]}, "third": {}}
    monkeypatch.setattr("fresh_counts.counts", lambda chosen, cache, jobs: found)
    monkeypatch.setattr("fresh_counts.RESULTS", tmp_path / "counts.json")
    monkeypatch.setattr("sys.argv", ["fresh_counts.py", "third"])
    fresh_counts.main()
    kept, written = read_counts(), read_counts(tmp_path / "counts.json")
    assert written == {**kept, "bases": kept["bases"] | found["bases"], "third": {}}


@pytest.mark.parametrize(("part", "least", "of_kinds", "unnamed"), [("third", 100, 30, 12), ("fourth", 40, 20, 2)])
def test_most_sealed_kinds_show(part, least, of_kinds, unnamed):
    counted = [name for name, by_seed in read_counts()[part].items() if any(one.counts for one in by_seed)]
    cases = parts()[part]
    kinds = {cases[name].kind.name: cases[name].kind for name in counted}
    assert len(counted) >= least
    assert len(kinds) >= of_kinds
    assert sum(not kind.codes for kind in kinds.values()) >= unnamed


def answer(name, kind, part, right=True, noticed=True, **more):
    return Answer(name, kind, part, 0, right, right, noticed, ("leak",), **more)


def test_a_draw_has_each_kind_once_whatever_the_order_of_the_runs():
    chosen = runs_that_count([], ["fourth"], 1)
    drawn = one_of_each_kind(chosen, 5)
    kinds_of = [run.kind for run in drawn]
    assert len(kinds_of) == len(set(kinds_of))
    assert set(kinds_of) == {run.kind for run in chosen}
    assert [run.run.name for run in one_of_each_kind(chosen[::-1], 5)] == [run.run.name for run in drawn]


def test_a_report_counts_runs_and_kinds():
    given = [
        answer("a", "x", "first"),
        answer("b", "x", "first", right=False),
        answer("c", "y", "first"),
        answer("additive", "additive", "healthy", right=False, noticed=False),
        answer("h", "z", "healthy", right=False),
        answer("arm", "arm", "third-healthy", right=False),
    ]
    mended = [
        Repair("a", "x", "first", (), True, (0.2, 0.95, 1.0)),
        Repair("c", "y", "first", (), False, (0.2, 0.2, 1.0)),
    ]
    text = report(given, mended)
    assert "| all runs | 2 of 3 (67%, 21% to 94%) |" in text
    assert "| all kinds | 1 of 2 (50%, 9% to 91%) |" in text
    assert [round(one.closed, 4) for one in mended] == [0.9375, 0]
    assert "| all with a wrong spec | 0.94 | 1 of 1 (100%, 21% to 100%) |" in text
    assert "| all | 0.47 (-5.49 to 6.42) | 1 of 2 (50%, 9% to 91%) |" in text
    assert "| bases | 0 of 1 (0%, 0% to 79%) |  |" in text
    assert "| unusual | 1 of 1 (100%, 21% to 100%) | h |" in text
    assert "| bases | 1 of 1 (100%, 21% to 100%) | arm |" in text


def test_a_confirmed_repair_is_scored_with_fresh_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr("fresh_scorecard.FRESH_SEEDS", [1000])
    name = next(name for name in parts()["second"] if name.endswith("clipped by norm to nothing: flavanoids"))
    first = first_runs(runs_that_count([name], ["second"], 1))
    given = [answer(name, first[name].kind, "second", repair=(("training.clip", None),))]
    specs = proposed(first, given)
    assert specs[name].by == ("training.clip",)
    (mended,) = repairs(first, specs, tmp_path, jobs=1)
    assert mended.of_spec
    assert mended.closed > CLOSED
    assert mended.gains[1] == pytest.approx(mended.gains[2])  # the repaired spec is the twin
    (unmended,) = repairs(first, {}, tmp_path, jobs=1)
    assert (unmended.by, unmended.closed) == ((), 0)
