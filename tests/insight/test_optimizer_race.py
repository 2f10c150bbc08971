"""The arena: fair by construction, the same on both engines, and known outcomes on known functions."""

from __future__ import annotations

import json
import math
import shlex

import numpy as np
import pytest
import scipy.stats
from compilations import compilations
from typer.testing import CliRunner

from thalweg.cli.shell import app
from thalweg.core.errors import InputError
from thalweg.core.intervals import wilson
from thalweg.engine.eager import Eager
from thalweg.engine.engine import make_engine
from thalweg.insight.optimizer_paths import follow_paths
from thalweg.insight.optimizer_race import TARGET_FRACTION, arena
from thalweg.insight.race.trials import FORGETTING, RATES, arrivals, draw_starts, variant
from thalweg.insight.test_functions import CustomLandscape, Landscape, Quadratic, Rosenbrock, Saddle
from thalweg.pages.blocks import Suggestion, Table
from thalweg.pages.numbers import number
from thalweg.parts.optimizers import SGD, Adadelta, Adam, AdamW, GradientDescent, Momentum, Nesterov, RMSProp
from thalweg.parts.part import Optimizer
from thalweg.parts.schedules import Cosine

EAGER = make_engine("eager")


def small(landscape, optimizers, **options):
    return arena(
        landscape, optimizers, **{"starts": 8, "steps": 60, "budget": 4, "repeats": 1, "engine": EAGER, **options}
    )


class RecordingEngine(Eager):
    """An engine that records its calls."""

    def loop(self, function, state, start, steps, size, descent, key):
        starts = np.stack(state.point, axis=1)
        self.__dict__.setdefault("calls", []).append((descent, starts, tuple(key), steps))
        return super().loop(function, state, start, steps, size, descent, key)


# Fairness -------------------------------------------------------------------------------------------------------------


def test_every_optimizer_is_tuned_equally_on_other_starts_than_the_race():
    engine = RecordingEngine()
    race = small("saddle", ["sgd", "adam", "nesterov"], engine=engine, budget=5, deviation=0.1)
    judged = draw_starts(Saddle(), 8, 0, "race")
    for contender in race.contenders:
        calls = [call for call in engine.calls if call[0].optimizer.kind == contender.name]
        racing = [call for call in calls if np.array_equal(call[1], judged)]
        tuning = [call for call in calls if not np.array_equal(call[1], judged)]
        assert len(tuning) == 5
        # The given hyper-parameters, and each trial that improved on those before it.
        raced = [call[0].optimizer for call in racing]
        assert (raced[0], raced[-1]) == (contender.default.optimizer, contender.tuned.optimizer)
        assert contender.tuned.optimizer in [call[0].optimizer for call in tuning]
        for _, starts, _, _ in tuning:
            assert not set(map(tuple, starts)) & set(map(tuple, judged))
        assert not {call[2] for call in tuning} & {call[2] for call in racing}
    # In total: one set of starts and noise for tuning, one for the race, the same number of steps.
    assert len({(starts.tobytes(), key, steps) for _, starts, key, steps in engine.calls}) == 2


def test_the_best_trial_on_the_tuning_starts_is_kept():
    engine = RecordingEngine()
    race = small("quadratic", ["momentum"], engine=engine, budget=6)
    (contender,) = race.contenders
    practice = draw_starts(Quadratic(), 8, 0, "practice")
    means = {}
    for rule in [Momentum(), *(variant(Momentum(), 0, trial) for trial in range(1, 6))]:
        descent = next(call for call in engine.calls if call[0].optimizer == rule)[0]
        height = follow_paths(descent, EAGER, practice, np.zeros(2, np.uint32), 60).height
        steps = arrivals(height, race.distance)
        means[rule] = np.where(np.isinf(steps), 2 * 60, steps).mean()
    assert min(means, key=means.get) == contender.tuned.optimizer


@pytest.mark.parametrize("kind", sorted(set(Optimizer.kinds)))
def test_a_variant_is_in_the_ranges_and_changes_nothing_else(kind):
    optimizer = Optimizer.of(kind)
    for trial in range(20):
        drawn = variant(optimizer, 3, trial).describe()
        assert RATES[0] <= drawn.pop("learning_rate") <= RATES[1]
        for name in ("momentum", "rho", "beta_1", "beta_2"):
            if name in drawn:
                assert FORGETTING[0] <= 1 - drawn.pop(name) <= FORGETTING[1]
        assert drawn.items() <= optimizer.describe().items()


def test_a_trial_has_the_same_values_for_all_optimizers():
    rates = [variant(SGD(), 0, trial).learning_rate for trial in range(200)]
    assert rates == [variant(Adam(), 0, trial).learning_rate for trial in range(200)]
    assert rates == [variant(SGD(Cosine(0.1, steps=9)), 0, trial).learning_rate for trial in range(200)]
    assert len(set(rates)) == 200
    assert variant(Momentum(), 0, 7).momentum == variant(Nesterov(0.5, 0.1), 0, 7).momentum
    # Evenly on a logarithmic scale.
    logs = np.log(rates)
    spread = math.log(RATES[1] / RATES[0])
    assert scipy.stats.kstest((logs - math.log(RATES[0])) / spread, "uniform").pvalue > 0.01


def test_starts_are_in_the_bounds_and_have_finite_heights():
    starts = draw_starts(CustomLandscape("log(x) + y^2", reach=2.0), 300, 0, "race")
    assert starts.shape == (300, 2)
    assert np.all((starts[:, 0] > 0) & (np.abs(starts) < 2).all(axis=1))


def test_the_seed_decides_the_race():
    one, same, other = (small("branin", ["adam"], seed=seed).contenders[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.tuned.path, same.tuned.path)
    assert one.tuned.optimizer == same.tuned.optimizer != other.tuned.optimizer
    assert not np.array_equal(one.tuned.path[0], other.tuned.path[0])


def test_a_repetition_is_the_race_of_another_seed():
    race = small("branin", ["sgd", "adam"], repeats=3, seed=4, distance=0.5)
    for repeat in range(3):
        alone = small("branin", ["sgd", "adam"], seed=4 + repeat, distance=0.5)
        for together, one in zip(race.contenders, alone.contenders, strict=True):
            assert together.tunings[repeat].trials == one.tunings[0].trials
            np.testing.assert_array_equal(together.tunings[repeat].after(4).steps, one.tuned.steps)


def test_a_smaller_budget_has_the_result_of_a_race_with_that_budget():
    race = small("beale", ["momentum"], budget=12, repeats=2, distance=0.1)
    (contender,) = race.contenders
    for budget in (1, 3, 7, 12):
        (alone,) = small("beale", ["momentum"], budget=budget, repeats=2, distance=0.1).contenders
        np.testing.assert_array_equal(contender.costs(budget), alone.costs(budget))
        np.testing.assert_array_equal(contender.arrived(budget), alone.arrived(budget))
        assert [one.optimizer for one in contender.races(budget)] == [one.optimizer for one in alone.races(budget)]


def test_more_trials_never_raise_the_cost_on_the_tuning_starts():
    engine = RecordingEngine()
    race = small("quadratic", ["momentum"], engine=engine, budget=10)
    ((numbers, _),) = race.contenders[0].tunings
    assert numbers[0] == 1
    assert list(numbers) == sorted(set(numbers))
    practice = draw_starts(Quadratic(), 8, 0, "practice")
    costs = []
    for trial in range(10):
        rule = variant(Momentum(), 0, trial) if trial else Momentum()
        descent = next(call for call in engine.calls if call[0].optimizer == rule)[0]
        steps = arrivals(follow_paths(descent, EAGER, practice, np.zeros(2, np.uint32), 60).height, race.distance)
        costs.append(np.where(np.isinf(steps), 120, steps).mean())
    # A trial that is not the best one so far changes nothing.
    records = [trial + 1 for trial in range(10) if trial == 0 or costs[trial] < min(costs[:trial])]
    assert set(records) <= set(numbers)


# Measures -------------------------------------------------------------------------------------------------------------


def test_a_path_arrives_at_the_step_from_which_on_it_stays():
    heights = np.array([[5, 0, 5, 5], [0, 5, 0, 5], [0, 0, 5, 5], [0, 0, np.inf, np.nan]], dtype=float)
    assert arrivals(heights, 1.0).tolist() == [1, 2, np.inf, np.inf]
    assert arrivals(np.zeros((4, 1)), 0.0).tolist() == [0]


def test_steps_and_final_heights_on_a_quadratic_by_hand():
    race = small(Quadratic(condition=4.0), [SGD(0.1)], distance=0.01, steps=100)
    result = race.contenders[0].default
    starts = draw_starts(Quadratic(4.0), 8, 0, "race")
    powers = np.arange(101)[:, None]
    heights = ((starts[:, 0] * 0.9**powers) ** 2 + 4 * (starts[:, 1] * 0.6**powers) ** 2) / 2
    # The height only decreases, so the first arrival is for good.
    np.testing.assert_array_equal(result.steps, np.argmax(heights <= 0.01, axis=0))
    np.testing.assert_allclose(result.final_heights, heights[-1], rtol=1e-9)
    np.testing.assert_allclose(result.path, starts[0] * np.array([0.9, 0.6]) ** powers, rtol=1e-9, atol=1e-15)
    assert result.quartiles[1] == sorted(result.steps)[3]


def test_the_target_is_a_fraction_of_the_median_height_of_the_starts():
    race = small(Saddle(), ["sgd"])
    heights = Saddle().value(*draw_starts(Saddle(), 8, 0, "practice").T) + 1
    assert race.distance == pytest.approx(TARGET_FRACTION * np.median(heights))
    assert race.lowest == pytest.approx(-1)


def test_a_diverging_path_never_arrives():
    result = small("quadratic", [SGD(1.0)], steps=400).contenders[0].default
    assert result.arrived == 0
    assert result.quartiles == (math.inf,) * 3
    assert result.cost == (800.0, math.inf)


@pytest.mark.parametrize(("right", "trials"), [(0, 30), (7, 30), (200, 200)])
def test_the_interval_equals_that_of_scipy(right, trials):
    expected = scipy.stats.binomtest(right, trials).proportion_ci(0.95, method="wilson")
    assert wilson(right, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


# Known outcomes -------------------------------------------------------------------------------------------------------


def test_tuned_momentum_beats_tuned_gradient_descent_in_a_ravine():
    race = arena(Quadratic(condition=100.0), ["sgd", "momentum"], starts=50, steps=400, budget=25, repeats=1)
    sgd, momentum = race.contenders
    assert [one.name for one in race.ranking] == ["momentum", "sgd"]
    assert momentum.tuned.quartiles[1] < sgd.tuned.quartiles[1]
    # No rate above 2 / condition converges, so none is kept.
    assert sgd.tuned.optimizer.learning_rate < 0.02
    assert sgd.tuned.cost < sgd.default.cost


def test_most_starts_on_rastrigin_end_in_another_minimum():
    race = arena("rastrigin", ["sgd", "adam"], starts=60, steps=200, budget=10, repeats=1)
    assert all(contender.tuned.interval[1] < 0.5 for contender in race.contenders)


def test_noise_keeps_a_constant_rate_above_the_minimum():
    quiet, noisy = (
        small(Quadratic(4.0), [SGD(0.1)], deviation=deviation, steps=200).contenders[0].default
        for deviation in (None, 1.0)
    )
    assert quiet.final_heights.max() < 1e-12
    assert noisy.final_heights.min() > 1e-6


@pytest.mark.parametrize("deviation", [None, 0.5])
def test_a_race_is_the_same_on_both_engines(deviation):
    rules = [SGD(), RMSProp(), Adadelta(), AdamW(), GradientDescent()]
    races = [
        small("himmelblau", rules, deviation=deviation, steps=25, engine=make_engine(name, "float64"))
        for name in ("eager", "compiled")
    ]
    for one, other in zip(*(race.contenders for race in races), strict=True):
        assert one.tuned.optimizer == other.tuned.optimizer
        np.testing.assert_array_equal(one.default.steps, other.default.steps)
        np.testing.assert_allclose(one.default.path, other.default.path, rtol=1e-6, atol=1e-9)


def test_tuning_compiles_one_program_for_each_optimizer():
    engine = make_engine("compiled", "float64")
    rules = ["sgd", "momentum", "adam"]
    options = {"starts": 7, "steps": 13, "engine": engine}
    before = compilations("_loop")
    small(Rosenbrock(), rules, budget=5, **options)
    assert compilations("_loop") == before + 3
    small(Rosenbrock(10.0), rules, budget=3, seed=5, **options)
    assert compilations("_loop") == before + 3


# The page -------------------------------------------------------------------------------------------------------------


def text_of(*arguments, **options):
    return " ".join(small(*arguments, **options).page().text().split())


def test_the_page_has_setup_results_and_commands():
    race = small("beale", ["sgd 0.001", "rmsprop"], deviation=0.2)
    page = race.page()
    settings = {"starts": "8", "steps": "60", "budget": "4", "repeats": "1", "noise": "0.2", "seed": "0"}
    assert (page.title, dict(page.settings)) == ("Arena: beale", settings)
    results, *_ = (block for block in page.blocks if isinstance(block, Table))
    assert [row[:2] for row in results.rows] == [
        (name, setting) for name in ("sgd", "rmsprop") for setting in ("default", "tuned")
    ]
    text = " ".join(page.text().split())
    assert f"at most {number(race.distance, 3)} above the minimum" in text
    assert "standard deviation 0.2" in text
    commands = [block.command for block in page.blocks if isinstance(block, Suggestion)]
    more_trials = "--optimizers sgd,rmsprop --starts 8 --steps 60 --budget 16 --repeats 1 --seed 0 --noise 0.2"
    assert f"thalweg arena beale {more_trials}" in commands
    assert json.loads(page.json())["title"] == "Arena: beale"


def test_the_page_of_a_formula_explains_its_minimum():
    text = text_of(CustomLandscape("x^2 + y^2"), ["sgd"])
    assert "minimum of this formula is not known" in text
    assert "below this point" not in text
    assert "below this point" in text_of(CustomLandscape("x^2 - y^2"), ["sgd"])


def test_a_race_without_arrivals_has_no_ranking():
    text = text_of("rosenbrock", [SGD(1e-9)], steps=1, budget=1, distance=1e-12)
    assert "No optimizer arrives" in text


def test_the_page_shows_the_result_by_budget():
    page = small("quadratic", ["sgd", "momentum"], budget=6, repeats=3, steps=40).page()
    (table,) = [block for block in page.blocks if isinstance(block, Table) and "trials" in block.columns]
    assert [row[:2] for row in table.rows] == [(name, k) for name in ("sgd", "momentum") for k in (1, 2, 5, 6)]
    figures = {figure.layout.title.text: figure for figure in page.figures()}
    lines = [trace for trace in figures["Steps by tuning budget"].data if trace.showlegend is not False]
    assert [line.name for line in lines] == ["sgd", "momentum"]
    race = small("quadratic", ["sgd", "momentum"], budget=6, repeats=3, steps=40)
    for line, contender in zip(lines, race.contenders, strict=True):
        assert line.y.tolist() == [contender.costs(budget).mean() for budget in range(1, 7)]


def test_optimizers_that_are_equal_are_not_ranked():
    # Momentum of 0 as given is gradient descent; with one trial nothing is tuned.
    text = text_of(Quadratic(4.0), [SGD(0.1), Momentum(0.1, momentum=0.0)], budget=1, repeats=4)
    assert "cannot be judged" in text
    assert "more than chance" not in text


# The command ----------------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(app, ["arena", *words])


def test_the_command_writes_the_page(tmp_path):
    file = tmp_path / "race.html"
    words = '--formula "x^2 + 10*y^2" --reach 2 --starts 5 --steps 20 --budget 2 --noise 1'
    done = run(*shlex.split(words), "--optimizers", "sgd, adam 0.1", "--out", str(file), "--quiet")
    assert done.exit_code == 0
    assert "x^2 + 10*y^2" in file.read_text()


def test_the_command_lists_the_landscapes():
    output = run().output
    assert all(kind in output for kind in Landscape.kinds)
    assert {entry["name"] for entry in json.loads(run("--json").output)} == set(Landscape.kinds) - {"formula"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "unknown landscape 'nosuch'"),
        (["saddle", "--optimizers", "sgd,nosuch"], "unknown optimizer 'nosuch'"),
        (["saddle", "--optimizers", "sgd,sgd 0.1"], "received twice: sgd"),
        (["saddle", "--optimizers", ","], "expected at least one"),
        (["saddle", "--budget", "0"], "budget: expected at least 1"),
        (["saddle", "--repeats", "0"], "repeats: expected at least 1"),
        (["saddle", "--starts", "0"], "starts: expected at least 1"),
        (["saddle", "--steps", "-1"], "steps: expected at least 1"),
        (["saddle", "--starts", "100000"], "5,000,000"),
        (["saddle", "--noise", "nan"], "standard deviation"),
        (["saddle", "--distance", "0"], "a height above 0"),
        (["saddle", "--reach", "3"], "--formula"),
        (["saddle", "--formula", "x"], "received both"),
        (["formula"], "expected the formula itself"),
        (["--formula", "x +"], "at the end"),
        (["--formula", "sum(x)"], "no derivative"),
        (["--formula", "x", "--reach", "0"], "greater than 0"),
        (["--formula", "log(x - 4.97)"], "hardly any point"),
        (["--out", "page.html"], "expected a landscape"),
        (["saddle", "--out", "page.doc"], "doc"),
    ],
)
def test_bad_input_is_one_message(words, message):
    error = run(*words).exception
    assert isinstance(error, InputError)
    assert message in str(error)
