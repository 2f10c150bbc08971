"""The patients of the clinic are what their records say, as far as seconds can show it."""

import dataclasses
import math

import numpy as np
import polars
import pytest
from polars.testing import assert_frame_equal

from learns import SHARE, Range, kept, range_of, seeds_of, table
from make_data import ARRAYS, DATA, TABLES, make_data
from register import patients, read_patient
from thalweg.data import Dataset
from thalweg.probes import Off
from thalweg.spec import completed, read_spec
from thalweg.trainer import check, run_spec

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
    check(completed(spec, split.train), split)


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
