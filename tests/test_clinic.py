"""The patients of the clinic are what their records say, as far as seconds can show it."""

import dataclasses
import json
import math

import numpy as np
import polars
import pytest
from polars.testing import assert_frame_equal

import healthy
import injected
import unseen
from learns import SHARE, Range, kept, range_of, seeds_of, table
from make_data import ARRAYS, DATA, TABLES, make_data
from register import patients, read_patient
from rows import ROWS
from scorecard import FAMILIES, Card, Kind, Rate, Repair, Scorecard, fits, kept_scorecard, rate, report
from thalweg.data import Dataset
from thalweg.parts.settings import Off, Standard
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training.session import Session
from ward import outcomes, stays, trained

PATIENTS = {patient.name: patient for patient in patients()}
ROLES = {"faulty": 31, "correction": 13, "healthy": 8}
KEPT = sorted({path.stem for path in DATA.glob("*.csv")} - {"47724077"})


@pytest.fixture(scope="module", autouse=True)
def rows():
    make_data()


def run(name, seed=0, **training):
    spec = read_spec(str(PATIENTS[name].path))
    training = dataclasses.replace(spec.training, seed=seed, **training)
    return run_spec(dataclasses.replace(spec, training=training, probes=Off()))


def losses(run):
    return [record["loss"] for record in run.history]


def test_the_clinic_is_complete():
    roles = [patient.role for patient in PATIENTS.values()]
    assert {role: roles.count(role) for role in ROLES} == ROLES
    for patient in PATIENTS.values():
        assert patient.about
        assert {"record", "source"} <= patient.facts.keys()
        assert patient.faults or patient.role != "faulty" or patient.case == "50481178"


def test_each_code_is_explained():
    codes = {code for patient in PATIENTS.values() for code in patient.faults}
    text = (DATA.parent / "README.md").read_text()
    explained = text.partition("## Faults")[2].partition("\n## ")[0]
    assert codes == {line.split("`")[1] for line in explained.splitlines() if line.startswith("| `")}


def test_a_head_is_read(tmp_path):
    file = tmp_path / "a.toml"
    head = "# What it\n# is.\n#\n# case: 7\n# role: faulty\n# faults: loss, lr-too-low\n# record: x: 1\n#   and 2\n"
    file.write_text(head + "\n[data]\n")
    patient = read_patient(file)
    assert (patient.name, patient.about, patient.case, patient.role) == ("a", "What it is.", "7", "faulty")
    assert patient.faults == ("loss", "lr-too-low")
    assert patient.facts["record"] == "x: 1 and 2"


@pytest.mark.parametrize("name", PATIENTS)
def test_a_spec_fits_its_data(name):
    spec = read_spec(str(PATIENTS[name].path))
    split = spec.data.load(seed=0)
    Session(completed(spec, split.train), split).check()


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_table_is_the_one_that_is_made(name):
    kept = polars.read_csv(DATA / f"{name}.csv")
    assert_frame_equal(TABLES[name](), kept, check_dtypes=False)


@pytest.mark.parametrize(
    ("name", "rows", "validation", "test"),
    [
        ("31880720-faulty", 20_000, 200, 0),
        ("38648195-faulty", 48_000, 12_000, 0),
        ("39525358-faulty", 13, 0, 7),
        ("39525358-correction", 13, 7, 0),
        ("47724077-faulty", 32_561, 0, 0),
        ("50481178-faulty", 720, 80, 200),
        ("58609115-faulty", 1767, 0, 442),
        ("B-blob-0448d813", 700, 300, 0),
    ],
)
def test_the_rows_are_split_as_the_programs_do(name, rows, validation, test):
    split = read_spec(str(PATIENTS[name].path)).data.load(seed=0)
    assert [len(part or ()) for part in (split.train, split.validation, split.test)] == [rows, validation, test]


def test_published_rows_are_as_their_records_say():
    codes = TABLES["58609115"]()
    first = codes["x0"].cast(polars.String)
    length = first.str.len_chars()
    # 0 for one digit, else the first digit + 10^(digits - 2).
    expected = [0 if n == 1 else int(word[0]) + 10 ** (n - 2) for word, n in zip(first, length, strict=True)]
    assert codes["code"].to_list() == expected
    adult = polars.read_csv(DATA / "47724077.csv")
    assert adult["income"].value_counts().sort("count")["count"].to_list() == [7841, 24720]
    assert adult["sex"].sum() == 10771  # women: Female sorts before Male
    extremes = {"age": (17, 90), "fnlwgt": (12285, 1484705), "capital-gain": (0, 99999), "hours-per-week": (1, 99)}
    assert {name: (adult[name].min(), adult[name].max()) for name in extremes} == extremes
    letters = TABLES["39525358"]()
    assert len(letters) == 20
    assert letters[:13]["y"].sum() == 5
    x, y = ARRAYS["31880720"]()
    assert (x == y[:, None]).all()


@pytest.mark.parametrize("name", ["34311586-faulty", "44066044-faulty"])
def test_what_passes_no_gradient_stays_where_it_is(name):
    met = losses(run(name, epochs=20))
    assert max(met) - min(met) < 1e-5 * met[0]


def test_softmax_over_one_unit_says_1_for_ever():
    found = run("31880720-faulty", epochs=1, batch_size=500)
    # Half of the rows are class 0: half of -log(1 - p) with p cut to the last number below 1 - 1e-7 of 32 bits.
    assert losses(found)[0] == pytest.approx(-0.5 * math.log(1 - float(np.float32(1 - 1e-7))), rel=1e-3)
    assert found.measures["training"]["accuracy"] == 0.5
    assert found.answers(np.zeros((1, 128), np.float32)).item() == 1.0


def test_the_sigmoid_in_its_place_learns_at_once():
    found = run("31880720-correction", epochs=1, batch_size=50)
    assert found.measures["training"]["accuracy"] == 1.0


@pytest.mark.parametrize("name", [name for name, patient in PATIENTS.items() if "exploding" in patient.faults])
def test_exponential_layers_overflow_in_the_first_epoch(name):
    found = run(name, epochs=2, engine="eager", precision="float32")
    assert found.diverged
    assert not found.history


def test_the_start_within_a_twentieth_of_zero_stays_at_the_share_of_the_classes():
    found = run("B-circle-10702695", epochs=50, engine="eager")
    assert found.measures["training"]["loss"] == pytest.approx(math.log(2), abs=1e-3)


def test_a_correction_of_packets_learns_where_the_program_does_not():
    assert run("44066044-correction").measures["training"]["accuracy"] == 1.0
    assert run("44066044-faulty").measures["training"]["accuracy"] < 0.7


def test_the_rate_that_decays_is_that_of_keras():
    rate = read_spec(str(PATIENTS["31556268-faulty"].path)).optimizer.learning_rate
    assert float(rate(1000)) == pytest.approx(0.05 / (1 + 1e-6 * 1000))


def test_what_can_be_done_is_told_by_the_rows():
    x = np.arange(6)[:, None] // 2
    twins = Dataset(x, np.array([0, 0, 1, 1, 0, 1]), "classification")
    assert range_of(twins) == Range(constant=0.5, attainable=5 / 6)
    rng = np.random.default_rng(0)
    x, noise = rng.uniform(size=(2, 300, 1))
    assert range_of(Dataset(x, noise, "regression")).share(0.9) == 0
    assert range_of(Dataset(x, 3 * x, "regression")).attainable > 0.99


def test_the_verdicts_that_are_kept_are_those_of_the_readme():
    verdicts = {verdict.patient.name: verdict for verdict in kept()}
    assert verdicts.keys() == PATIENTS.keys()
    for verdict in verdicts.values():
        learned = [not o.diverged and verdict.rows.share(o.score) >= SHARE for o in verdict.outcomes]
        assert learned == [outcome.learned for outcome in verdict.outcomes]
    assert table(list(verdicts.values())) in (DATA.parent / "README.md").read_text()


@pytest.mark.parametrize("role", ["faulty", "healthy"])
def test_who_has_a_fault_does_not_learn_and_who_has_none_does(role):
    for verdict in kept():
        if verdict.patient.role == role:
            assert verdict.learns == (not verdict.patient.faults), verdict.patient.name


def test_labels_are_right_together():
    y = np.array([[0, 1], [0, 1], [1, 1], [1, 0]])
    assert range_of(Dataset(np.arange(4)[:, None], y, "multilabel")) == Range(0.5, 1.0)


def test_long_trainings_are_tried_with_fewer_seeds():
    spec = read_spec(str(PATIENTS["52800582-correction"].path))
    whole = completed(spec, spec.data.load(0).train)
    assert seeds_of(whole, rows=400) == 3
    assert seeds_of(dataclasses.replace(whole, training=dataclasses.replace(whole.training, epochs=400)), rows=400) == 5


TINY = {"data": "xor", "network": ["dense 2"], "training": {"epochs": 2, "engine": "eager"}}


def test_a_run_is_trained_once(tmp_path, capsys):
    wanted = stays({"xor": Spec.of(TINY)}, [0, 1])
    folders = trained(wanted, tmp_path, jobs=1)
    assert len({*folders.values()}) == 2
    assert "1 of 2: xor, seed 0" in capsys.readouterr().err
    assert trained(wanted, tmp_path, jobs=1) == folders
    assert not capsys.readouterr().err
    assert [outcome.learned for outcome in outcomes(wanted, tmp_path).values()] == [False, False]


def test_a_run_is_found_by_what_decides_it(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        polars.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": ["a", "b", "a", "b"]}).write_csv(tmp_path / place / "a.csv")

    def key(place, **training):
        data = {"source": str(tmp_path / place / "a.csv"), "target": "y", "validation": 0, "test": 0}
        return stays({"a": Spec.of({"data": data, "training": training})})[0].key

    assert key("here") == key("there")
    assert len({key("here"), key("here", seed=1), key("here", epochs=3)}) == 3


@pytest.mark.parametrize("specs", [
    healthy.grid,
    lambda: {name: case.spec for name, case in injected.injected().items()},
    lambda: {name: case.spec for name, case in unseen.unseen().items()},
])  # fmt: skip
def test_healthy_and_injected_specs_fit_their_data(specs):
    splits = {}
    for spec in specs().values():
        data = json.dumps(spec.data.describe(), sort_keys=True)
        splits[data] = splits.get(data) or spec.data.load(seed=0)
        Session(completed(spec, splits[data].train), splits[data]).check()


def test_the_grid_is_as_wide_as_it_says():
    grid = healthy.grid()
    calibrating = [name for name in grid if healthy.calibrates(name)]
    assert len(calibrating) == len(grid) / 2
    assert not any(map(healthy.calibrates, healthy.examples()))
    for part in (calibrating, grid.keys() - {*calibrating}):
        words = [name.split() for name in part]
        assert {word[1] for word in words} == healthy.DATA.keys()
        assert {word[2] for word in words} == healthy.STARTS.keys()
        assert {word[5] for word in words} == healthy.RATES.keys()
        sizes = [tuple(map(int, word[3].split("x"))) for word in words]
        assert {1, 16} <= {depth for depth, _ in sizes}
        assert {5, 128} <= {width for _, width in sizes}


def test_rows_have_the_fault_that_their_name_says():
    def named(suffix):
        return [name for name in ROWS if name.endswith(suffix)]

    for name in named("-doubled"):
        x, _ = ROWS[name]()
        assert len(np.unique(x, axis=0)) <= len(x) / 2
    for name in named("-sorted"):
        _, y = ROWS[name]()
        assert y.ndim == 2 or (np.diff(y) >= 0).all()
    for name in named("-offset"):
        x, _ = ROWS[name]()
        assert (np.abs(x.mean(axis=0)) > 50 * x.std(axis=0)).all()
    for name in ("iris-permuted", "wave-permuted", "clouds-permuted", "planes-permuted"):
        x, y = ROWS[name]()
        data = Dataset(x, y[:, None], "regression") if y.dtype.kind == "f" else Dataset(x, y, "classification")
        assert range_of(data).share(0.9) == 0


def test_who_counts_is_kept():
    learned = json.loads(healthy.RESULTS.read_text())
    assert learned.keys() == {*healthy.examples(), *healthy.grid()}
    assert sum(outcome["learned"] for outcome in learned.values()) > 0.8 * len(learned)
    assert [name for name, outcome in learned.items() if name[0] == "e" and not outcome["learned"]] == [
        "example deep-plain"
    ]
    counts = json.loads(injected.RESULTS.read_text())
    cases = injected.injected() | unseen.unseen()
    assert counts.keys() == cases.keys()
    for name, result in counts.items():
        assert (result["kind"], result["faults"]) == (cases[name].kind, list(cases[name].faults))


@pytest.mark.parametrize(("code", "faults", "expected"), [
    ("lr-too-high", ("lr-too-high",), True),
    ("step-too-long", ("loss", "lr-too-high"), True),
    ("lr-too-low", ("lr-too-high",), False),
    ("init-too-small", ("init-too-large",), False),
    ("loss", (), False),
])  # fmt: skip
def test_a_code_fits_faults_by_its_family(code, faults, expected):
    assert fits(code, faults) == expected


def test_no_code_has_two_families():
    codes = [code for family in FAMILIES for code in family]
    assert len(codes) == len({*codes})


def test_a_card_is_rated():
    card = Card("a", 0, ("loss", "lr-too-low"), True, ("epochs-too-few", "loss"), ("epochs-too-few", "loss"))
    assert (card.found, card.noticed, card.right, card.main) == (True, True, True, False)
    beside = card._replace(causes=("leak",), alarms=("leak",))
    assert (beside.found, beside.noticed, beside.right, beside.main) == (False, True, False, False)
    silent = card._replace(causes=(), alarms=())
    assert (silent.found, silent.noticed, silent.right, silent.main) == (False, False, False, False)
    assert str(rate([card, beside, silent], lambda c: c.found)) == "1 of 3 (33%)"
    assert str(Rate(0, 0)) == "-"


@pytest.mark.parametrize(("shares", "correction", "right"), [
    ((1.0, 0.8), 0.94, True),
    ((1.0, 0.8), 0.96, False),
    ((0.0, 0.0), 0.0, True),
    ((0.8, 0.8, 0.1), None, True),
    ((0.8, 0.1), None, False),
])  # fmt: skip
def test_a_repair_is_as_good_as_the_correction_or_learns(shares, correction, right):
    assert Repair("a", ("x",), shares, correction).right == right


def test_a_scorecard_is_told_and_kept(tmp_path):
    ill = Card("B-1", 0, ("exploding",), True, ("exploding",), ("exploding",))
    well = Card("H-1", 0, (), False, (), ())
    shown = Card("example rings", 0, (), False, ("leak",), ("leak",))
    card = Scorecard([ill, well], [shown], [Kind("k", 1, 2, 2, 2, 1, 0)], [], [Repair("B-1", ("x",), (1.0,), None)])
    file = tmp_path / "card.json"
    file.write_text(json.dumps(card.described()))
    assert kept_scorecard(file) == card
    text = report(card)
    assert "| found | 1 of 1 (100%)" in text
    assert "| false alarms: shipped examples | 1 of 1 (100%)" in text
    assert "| k | 1 | 2 | 2 of 2 (100%) | 2 of 2 (100%) | 1 of 2 (50%) | 0 of 2 (0%) |" in text
    assert "| B-1 | x | 1.00 | - | yes |" in text


def test_the_kept_scorecard_is_that_of_the_patients_and_of_the_readme():
    card = kept_scorecard()
    outcomes = {(verdict.patient.name, o.seed): o for verdict in kept() for o in verdict.outcomes}
    assert {one.name for one in card.patients} == PATIENTS.keys()
    assert {(one.name, one.seed) for one in card.patients} <= outcomes.keys()
    for one in card.patients:
        patient, learned = PATIENTS[one.name], outcomes[one.name, one.seed].learned
        assert one.faults == patient.faults
        assert one.ill is not True or (patient.role == "faulty" and not learned)
        assert one.ill is not False or learned
    results = json.loads(healthy.RESULTS.read_text())
    counted = {name for name, outcome in results.items() if outcome["learned"] and not healthy.calibrates(name)}
    assert {one.name for one in card.healthy} == counted | {f"base {name}" for name in unseen.bases()}
    counts = json.loads(injected.RESULTS.read_text())
    for kinds, cases in ((card.injected, injected.injected()), (card.unseen, unseen.unseen())):
        assert sum(kind.runs for kind in kinds) == sum(
            seed["counts"] for name in cases for seed in counts[name]["seeds"]
        )
    assert report(card) in (DATA.parent / "README.md").read_text()


@pytest.mark.parametrize("name", ["44066044-faulty", "39525358-faulty", "34311586-faulty", "B-blob-0448d813"])
def test_the_cause_is_told(name):
    spec = read_spec(str(PATIENTS[name].path))
    found = run_spec(dataclasses.replace(spec, probes=Standard())).diagnose()
    assert not found.healthy
    assert fits(found.causes[0].finding.code, PATIENTS[name].faults)


@pytest.mark.parametrize("name", ["44066044-correction", "H-circle-b060fc17"])
def test_who_learns_gets_a_clean_bill(name):
    spec = read_spec(str(PATIENTS[name].path))
    found = run_spec(dataclasses.replace(spec, probes=Standard())).diagnose()
    assert found.healthy
    assert found.evidence
