"""The cases of the clinic agree with their records, and the kept results with the README."""

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
from case_index import all_cases, read_case
from learns import SHARE, Range, range_of, read_verdicts, seeds_of, table
from make_data import ARRAYS, DATA, TABLES, make_data
from rows import ROWS
from run_cache import cached_runs, folders_of, outcomes_of
from scorecard import FAMILIES, Card, Kind, Rate, Repair, Scorecard, fits, rate, read_scorecard, report
from thalweg.data import Dataset
from thalweg.parts.settings import Off, Standard
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training.session import Session

CASES = {case.name: case for case in all_cases()}
ROLES = {"faulty": 31, "correction": 13, "healthy": 8}
KEPT = sorted({path.stem for path in DATA.glob("*.csv")} - {"47724077"})


@pytest.fixture(scope="module", autouse=True)
def rows():
    make_data()


def run(name, seed=0, **training):
    spec = read_spec(str(CASES[name].path))
    training = dataclasses.replace(spec.training, seed=seed, **training)
    return run_spec(dataclasses.replace(spec, training=training, probes=Off()))


def losses(run):
    return [record["loss"] for record in run.history]


def test_the_clinic_is_complete():
    roles = [case.role for case in CASES.values()]
    assert {role: roles.count(role) for role in ROLES} == ROLES
    for case in CASES.values():
        assert case.about
        assert {"record", "source"} <= case.facts.keys()
        assert case.faults or case.role != "faulty" or case.origin == "50481178"


def test_readme_explains_each_code():
    codes = {code for case in CASES.values() for code in case.faults}
    text = (DATA.parent / "README.md").read_text()
    explained = text.partition("## Faults")[2].partition("\n## ")[0]
    assert codes == {line.split("`")[1] for line in explained.splitlines() if line.startswith("| `")}


def test_the_head_of_a_spec_is_read(tmp_path):
    file = tmp_path / "a.toml"
    head = "# What it\n# is.\n#\n# case: 7\n# role: faulty\n# faults: loss, lr-too-low\n# record: x: 1\n#   and 2\n"
    file.write_text(head + "\n[data]\n")
    case = read_case(file)
    assert (case.name, case.about, case.origin, case.role) == ("a", "What it is.", "7", "faulty")
    assert case.faults == ("loss", "lr-too-low")
    assert case.facts["record"] == "x: 1 and 2"


@pytest.mark.parametrize("name", CASES)
def test_a_spec_fits_its_data(name):
    spec = read_spec(str(CASES[name].path))
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
    split = read_spec(str(CASES[name].path)).data.load(seed=0)
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
    assert adult["sex"].sum() == 10771  # women, as Female sorts before Male
    extremes = {"age": (17, 90), "fnlwgt": (12285, 1484705), "capital-gain": (0, 99999), "hours-per-week": (1, 99)}
    assert {name: (adult[name].min(), adult[name].max()) for name in extremes} == extremes
    letters = TABLES["39525358"]()
    assert len(letters) == 20
    assert letters[:13]["y"].sum() == 5
    x, y = ARRAYS["31880720"]()
    assert (x == y[:, None]).all()


@pytest.mark.parametrize("name", ["34311586-faulty", "44066044-faulty"])
def test_a_network_without_a_gradient_keeps_its_loss(name):
    history = losses(run(name, epochs=20))
    assert max(history) - min(history) < 1e-5 * history[0]


def test_softmax_over_one_unit_always_answers_1():
    result = run("31880720-faulty", epochs=1, batch_size=500)
    # Half of the rows are class 0: half of -log(1 - p) with p cut to the last number below 1 - 1e-7 of 32 bits.
    assert losses(result)[0] == pytest.approx(-0.5 * math.log(1 - float(np.float32(1 - 1e-7))), rel=1e-3)
    assert result.measures["training"]["accuracy"] == 0.5
    assert result.outputs_of(np.zeros((1, 128), np.float32)).item() == 1.0


def test_a_sigmoid_in_its_place_learns_in_one_epoch():
    result = run("31880720-correction", epochs=1, batch_size=50)
    assert result.measures["training"]["accuracy"] == 1.0


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "exploding" in case.faults])
def test_exponential_layers_overflow_in_the_first_epoch(name):
    result = run(name, epochs=2, engine="eager", precision="float32")
    assert result.diverged
    assert not result.history


def test_small_initial_weights_stay_at_the_loss_of_a_constant_answer():
    result = run("B-circle-10702695", epochs=50, engine="eager")
    assert result.measures["training"]["loss"] == pytest.approx(math.log(2), abs=1e-3)


def test_the_correction_of_44066044_learns_and_the_program_does_not():
    assert run("44066044-correction").measures["training"]["accuracy"] == 1.0
    assert run("44066044-faulty").measures["training"]["accuracy"] < 0.7


def test_the_decaying_rate_is_that_of_keras():
    rate = read_spec(str(CASES["31556268-faulty"].path)).optimizer.learning_rate
    assert float(rate(1000)) == pytest.approx(0.05 / (1 + 1e-6 * 1000))


def test_the_attainable_score_depends_on_the_rows():
    x = np.arange(6)[:, None] // 2
    twins = Dataset(x, np.array([0, 0, 1, 1, 0, 1]), "classification")
    assert range_of(twins) == Range(constant=0.5, attainable=5 / 6)
    rng = np.random.default_rng(0)
    x, noise = rng.uniform(size=(2, 300, 1))
    assert range_of(Dataset(x, noise, "regression")).share(0.9) == 0
    assert range_of(Dataset(x, 3 * x, "regression")).attainable > 0.99


def test_kept_verdicts_agree_with_the_readme():
    verdicts = {verdict.case.name: verdict for verdict in read_verdicts()}
    assert verdicts.keys() == CASES.keys()
    for verdict in verdicts.values():
        learned = [not o.diverged and verdict.rows.share(o.score) >= SHARE for o in verdict.outcomes]
        assert learned == [outcome.learned for outcome in verdict.outcomes]
    assert table(list(verdicts.values())) in (DATA.parent / "README.md").read_text()


@pytest.mark.parametrize("role", ["faulty", "healthy"])
def test_cases_learn_exactly_if_they_have_no_fault(role):
    for verdict in read_verdicts():
        if verdict.case.role == role:
            assert verdict.learns == (not verdict.case.faults), verdict.case.name


def test_a_row_is_right_only_if_all_its_labels_are():
    y = np.array([[0, 1], [0, 1], [1, 1], [1, 0]])
    assert range_of(Dataset(np.arange(4)[:, None], y, "multilabel")) == Range(0.5, 1.0)


def test_long_trainings_have_fewer_seeds():
    spec = read_spec(str(CASES["52800582-correction"].path))
    whole = completed(spec, spec.data.load(0).train)
    assert seeds_of(whole, rows=400) == 3
    assert seeds_of(dataclasses.replace(whole, training=dataclasses.replace(whole.training, epochs=400)), rows=400) == 5


TINY = {"data": "xor", "network": ["dense 2"], "training": {"epochs": 2, "engine": "eager"}}


def test_a_run_is_trained_once(tmp_path, capsys):
    runs = cached_runs({"xor": Spec.of(TINY)}, [0, 1])
    folders = folders_of(runs, tmp_path, jobs=1)
    assert len({*folders.values()}) == 2
    assert "1 of 2: xor, seed 0" in capsys.readouterr().err
    assert folders_of(runs, tmp_path, jobs=1) == folders
    assert not capsys.readouterr().err
    assert [outcome.learned for outcome in outcomes_of(runs, tmp_path).values()] == [False, False]


def test_the_key_of_a_run_depends_on_rows_and_spec_only(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        polars.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": ["a", "b", "a", "b"]}).write_csv(tmp_path / place / "a.csv")

    def key(place, **training):
        data = {"source": str(tmp_path / place / "a.csv"), "target": "y", "validation": 0, "test": 0}
        return cached_runs({"a": Spec.of({"data": data, "training": training})})[0].key

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


def test_both_halves_of_the_grid_have_all_values():
    grid = healthy.grid()
    calibrating = [name for name in grid if healthy.calibrates(name)]
    assert len(calibrating) == len(grid) / 2
    assert not any(map(healthy.calibrates, healthy.examples()))
    for part in (calibrating, grid.keys() - {*calibrating}):
        words = [name.split() for name in part]
        assert {word[1] for word in words} == healthy.DATA.keys()
        assert {word[2] for word in words} == healthy.INITIALIZERS.keys()
        assert {word[5] for word in words} == healthy.RATES.keys()
        sizes = [tuple(map(int, word[3].split("x"))) for word in words]
        assert {1, 16} <= {depth for depth, _ in sizes}
        assert {5, 128} <= {width for _, width in sizes}


@pytest.mark.slow
def test_rows_have_the_fault_in_their_name():
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


def test_kept_results_are_those_of_all_cases():
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


def make_card(name, faults, ill, codes):
    return Card(name=name, seed=0, faults=faults, ill=ill, causes=codes, alarms=codes)


def test_a_card_counts_in_the_right_rates():
    card = make_card("a", ("loss", "lr-too-low"), True, ("epochs-too-few", "loss"))
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


def test_a_scorecard_is_written_and_read(tmp_path):
    ill = make_card("B-1", ("exploding",), True, ("exploding",))
    well = make_card("H-1", (), False, ())
    shown = make_card("example rings", (), False, ("leak",))
    card = Scorecard(
        [ill, well],
        [shown],
        [Kind(kind="k", cases=1, runs=2, found=2, noticed=2, right=1, main=0)],
        [],
        [Repair("B-1", ("x",), (1.0,), None)],
    )
    file = tmp_path / "card.json"
    file.write_text(json.dumps(card.described()))
    assert read_scorecard(file) == card
    text = report(card)
    assert "| found | 1 of 1 (100%)" in text
    assert "| false alarms: shipped examples | 1 of 1 (100%)" in text
    assert "| k | 1 | 2 | 2 of 2 (100%) | 2 of 2 (100%) | 1 of 2 (50%) | 0 of 2 (0%) |" in text
    assert "| B-1 | x | 1.00 | - | yes |" in text


def test_the_read_scorecard_agrees_with_the_cases_and_the_readme():
    card = read_scorecard()
    outcomes = {(verdict.case.name, o.seed): o for verdict in read_verdicts() for o in verdict.outcomes}
    assert {one.name for one in card.patients} == CASES.keys()
    assert {(one.name, one.seed) for one in card.patients} <= outcomes.keys()
    for one in card.patients:
        case = CASES[one.name]
        learned = outcomes[one.name, one.seed].learned
        assert one.faults == case.faults
        assert one.ill is not True or (case.role == "faulty" and not learned)
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
def test_the_doctor_names_the_labelled_fault(name):
    spec = read_spec(str(CASES[name].path))
    result = run_spec(dataclasses.replace(spec, probes=Standard())).diagnose()
    assert not result.healthy
    assert fits(result.causes[0].finding.code, CASES[name].faults)


@pytest.mark.parametrize("name", ["44066044-correction", "H-circle-b060fc17"])
def test_the_doctor_finds_healthy_cases_healthy(name):
    spec = read_spec(str(CASES[name].path))
    result = run_spec(dataclasses.replace(spec, probes=Standard())).diagnose()
    assert result.healthy
    assert result.evidence
