"""The arena: fair by construction, the same on both engines, and known outcomes on known ground."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from typer.testing import CliRunner

from thalweg.cli.shell import app
from thalweg.core.errors import InputError
from thalweg.core.intervals import wilson
from thalweg.engine.compiled import _loop
from thalweg.engine.eager import Eager
from thalweg.engine.engine import make_engine
from thalweg.insight.optimizer_race import FORGETTING, RATES, SHARE, arena, arrivals, draw_starts, variant
from thalweg.insight.test_functions import Formula, Landscape, Quadratic, Rosenbrock, Saddle, follow
from thalweg.parts.optimizers import SGD, Adadelta, Adam, AdamW, GradientDescent, Momentum, Nesterov, RMSProp
from thalweg.parts.part import Optimizer
from thalweg.parts.schedules import Cosine

EAGER = make_engine("eager")


def small(landscape, optimizers, **options):
    return arena(landscape, optimizers, **{"starts": 8, "steps": 60, "budget": 4, "engine": EAGER, **options})


class Watched(Eager):
    """An engine that remembers what was asked of it."""

    def loop(self, function, walkers, start, steps, size, walk, key):
        starts = np.stack(walkers.place, axis=1)
        self.__dict__.setdefault("walks", []).append((walk, starts, tuple(key), steps))
        return super().loop(function, walkers, start, steps, size, walk, key)


# Fairness -------------------------------------------------------------------------------------------------------------


def test_every_optimizer_has_the_same_number_of_trials_on_starts_that_are_not_those_of_the_race():
    engine = Watched()
    race = small("saddle", ["sgd", "adam", "nesterov"], engine=engine, budget=5, deviation=0.1)
    judged = draw_starts(Saddle(), 8, 0, "race")
    for contender in race.contenders:
        own = [call for call in engine.walks if call[0].optimizer.kind == contender.name]
        racing = [call for call in own if np.array_equal(call[1], judged)]
        tuning = [call for call in own if not np.array_equal(call[1], judged)]
        assert len(tuning) == 5
        assert [call[0].optimizer for call in racing] == [contender.default.optimizer, contender.tuned.optimizer]
        assert contender.tuned.optimizer in [call[0].optimizer for call in tuning]
        for _, starts, _, _ in tuning:
            assert not set(map(tuple, starts)) & set(map(tuple, judged))
        assert not {call[2] for call in tuning} & {call[2] for call in racing}
    # All of them: one set of starts and of noise for tuning, one for the race, the same number of steps.
    assert len({(starts.tobytes(), key, steps) for _, starts, key, steps in engine.walks}) == 2


def test_the_trial_that_is_kept_has_the_lowest_cost_of_all_on_the_tuning_starts():
    engine = Watched()
    race = small("quadratic", ["momentum"], engine=engine, budget=6)
    (contender,), practice = race.contenders, draw_starts(Quadratic(), 8, 0, "practice")
    means = {}
    for rule in [Momentum(), *(variant(Momentum(), 0, trial) for trial in range(1, 6))]:
        walk = next(call for call in engine.walks if call[0].optimizer == rule)[0]
        height = follow(walk, EAGER, practice, np.zeros(2, np.uint32), 60).height
        steps = arrivals(height, race.distance)
        means[rule] = np.where(np.isinf(steps), 2 * 60, steps).mean()
    assert min(means, key=means.get) == contender.tuned.optimizer


@pytest.mark.parametrize("kind", sorted(set(Optimizer.kinds)))
def test_a_variant_lies_in_the_ranges_and_changes_nothing_else(kind):
    optimizer = Optimizer.of(kind)
    for trial in range(20):
        drawn = variant(optimizer, 3, trial).describe()
        assert RATES[0] <= drawn.pop("learning_rate") <= RATES[1]
        for name in ("momentum", "rho", "beta_1", "beta_2"):
            if name in drawn:
                assert FORGETTING[0] <= 1 - drawn.pop(name) <= FORGETTING[1]
        assert drawn.items() <= optimizer.describe().items()


def test_trial_by_trial_all_optimizers_draw_the_same_numbers_and_each_trial_others():
    rates = [variant(SGD(), 0, trial).learning_rate for trial in range(200)]
    assert rates == [variant(Adam(), 0, trial).learning_rate for trial in range(200)]
    assert rates == [variant(SGD(Cosine(0.1, steps=9)), 0, trial).learning_rate for trial in range(200)]
    assert len(set(rates)) == 200
    assert variant(Momentum(), 0, 7).momentum == variant(Nesterov(0.5, 0.1), 0, 7).momentum
    # Evenly on a logarithmic scale.
    logs = np.log(rates)
    spread = math.log(RATES[1] / RATES[0])
    assert scipy.stats.kstest((logs - math.log(RATES[0])) / spread, "uniform").pvalue > 0.01


def test_starts_lie_in_the_picture_where_there_is_a_height():
    starts = draw_starts(Formula("log(x) + y^2", reach=2.0), 300, 0, "race")
    assert starts.shape == (300, 2)
    assert np.all((starts[:, 0] > 0) & (np.abs(starts) < 2).all(axis=1))


def test_the_same_seed_is_the_same_race_and_another_seed_another():
    one, same, other = (small("branin", ["adam"], seed=seed).contenders[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.tuned.path, same.tuned.path)
    assert one.tuned.optimizer == same.tuned.optimizer != other.tuned.optimizer
    assert not np.array_equal(one.tuned.path[0], other.tuned.path[0])


# Measures -------------------------------------------------------------------------------------------------------------


def test_a_walk_arrives_when_it_comes_to_stay():
    left = np.array([[5, 0, 5, 5], [0, 5, 0, 5], [0, 0, 5, 5], [0, 0, np.inf, np.nan]], dtype=float)
    assert arrivals(left, 1.0).tolist() == [1, 2, np.inf, np.inf]
    assert arrivals(np.zeros((4, 1)), 0.0).tolist() == [0]


def test_steps_and_ends_are_those_of_gradient_descent_on_a_quadratic_by_hand():
    race = small(Quadratic(condition=4.0), [SGD(0.1)], distance=0.01, steps=100)
    result, starts = race.contenders[0].default, draw_starts(Quadratic(4.0), 8, 0, "race")
    powers = np.arange(101)[:, None]
    left = ((starts[:, 0] * 0.9**powers) ** 2 + 4 * (starts[:, 1] * 0.6**powers) ** 2) / 2
    # It only falls, so that the first time is for good.
    np.testing.assert_array_equal(result.steps, np.argmax(left <= 0.01, axis=0))
    np.testing.assert_allclose(result.ends, left[-1], rtol=1e-9)
    np.testing.assert_allclose(result.path, starts[0] * np.array([0.9, 0.6]) ** powers, rtol=1e-9, atol=1e-15)
    assert result.quartiles[1] == sorted(result.steps)[3]


def test_the_target_is_a_share_of_the_median_height_of_the_tuning_starts():
    race = small(Saddle(), ["sgd"])
    heights = Saddle().value(*draw_starts(Saddle(), 8, 0, "practice").T) + 1
    assert race.distance == pytest.approx(SHARE * np.median(heights))
    assert race.lowest == pytest.approx(-1)


def test_what_diverges_never_arrives():
    result = small("quadratic", [SGD(1.0)], steps=400).contenders[0].default
    assert result.arrived == 0
    assert result.quartiles == (math.inf,) * 3
    assert result.cost == (800.0, math.inf)


@pytest.mark.parametrize(("right", "trials"), [(0, 30), (7, 30), (200, 200)])
def test_the_interval_is_wilsons(right, trials):
    wanted = scipy.stats.binomtest(right, trials).proportion_ci(0.95, method="wilson")
    assert wilson(right, trials) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


# Known outcomes -------------------------------------------------------------------------------------------------------


def test_on_a_ravine_momentum_beats_gradient_descent_once_both_are_tuned():
    race = arena(Quadratic(condition=100.0), ["sgd", "momentum"], starts=50, steps=400, budget=25)
    sgd, momentum = race.contenders
    assert [one.name for one in race.ranking] == ["momentum", "sgd"]
    assert momentum.tuned.quartiles[1] < sgd.tuned.quartiles[1]
    # No rate above 2 / condition converges, so that none is kept.
    assert sgd.tuned.optimizer.learning_rate < 0.02
    assert sgd.tuned.cost < sgd.default.cost
    assert "It arrives before sgd from" in race.page().text().replace("\n", " ")


def test_on_rastrigin_most_starts_end_in_a_pit_that_is_not_the_lowest():
    race = arena("rastrigin", ["sgd", "adam"], starts=60, steps=200, budget=10)
    assert all(contender.tuned.interval[1] < 0.5 for contender in race.contenders)


def test_noise_keeps_what_has_a_constant_rate_above_the_minimum():
    quiet, noisy = (
        small(Quadratic(4.0), [SGD(0.1)], deviation=deviation, steps=200).contenders[0].default
        for deviation in (None, 1.0)
    )
    assert quiet.ends.max() < 1e-12
    assert noisy.ends.min() > 1e-6


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
    rules, options = ["sgd", "momentum", "adam"], {"starts": 7, "steps": 13, "engine": engine}
    before = _loop._cache_size()
    small(Rosenbrock(), rules, budget=5, **options)
    assert _loop._cache_size() == before + 3
    small(Rosenbrock(10.0), rules, budget=3, seed=5, **options)
    assert _loop._cache_size() == before + 3


# The page -------------------------------------------------------------------------------------------------------------


def told(*arguments, **options):
    return " ".join(small(*arguments, **options).page().text().split())


def test_the_page_states_what_makes_it_fair_and_stands_default_beside_tuned():
    race = small("beale", ["sgd 0.001", "rmsprop"], deviation=0.2)
    page = " ".join(race.page().text().split())
    assert "tuned by 4 trials on 8 other starts" in page
    assert f"at most {race.distance:.3g} above the minimum" in page
    assert "Noise of standard deviation 0.2" in page
    assert page.count(" default ") >= 2
    assert page.count(" tuned ") >= 2
    assert "thalweg arena beale --optimizers sgd,rmsprop --starts 8 --steps 60 --budget 16 --seed 0 --noise 0.2" in page
    assert json.loads(race.page().json())["title"] == "Arena: beale"


def test_the_page_of_a_formula_says_what_stands_for_its_minimum():
    page = told(Formula("x^2 + y^2"), ["sgd"])
    assert "No minimum of this formula is known" in page
    assert "below it" not in page
    assert "the ground falls on" in told(Formula("x^2 - y^2"), ["sgd"])


def test_where_nobody_arrives_nothing_is_claimed():
    page = told("rosenbrock", [SGD(1e-9)], steps=1, budget=1, distance=1e-12)
    assert "nothing is known of their order" in page


# The command ----------------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(app, ["arena", *words])


def test_the_command_writes_the_page(tmp_path):
    file = tmp_path / "race.html"
    words = (
        "--formula",
        "x^2 + 10*y^2",
        "--reach",
        "2",
        "--starts",
        "5",
        "--steps",
        "20",
        "--budget",
        "2",
        "--noise",
        "1",
    )
    done = run(*words, "--optimizers", "sgd, adam 0.1", "--out", str(file), "--quiet")
    assert done.exit_code == 0
    assert "x^2 + 10*y^2" in file.read_text()


def test_without_a_landscape_they_are_listed():
    listed = run().output
    assert all(kind in listed for kind in Landscape.kinds)
    assert {entry["name"] for entry in json.loads(run("--json").output)} == set(Landscape.kinds) - {"formula"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "unknown landscape 'nosuch'"),
        (["saddle", "--optimizers", "sgd,nosuch"], "unknown optimizer 'nosuch'"),
        (["saddle", "--optimizers", "sgd,sgd 0.1"], "received twice: sgd"),
        (["saddle", "--optimizers", ","], "expected at least one"),
        (["saddle", "--budget", "0"], "budget: expected at least 1"),
        (["saddle", "--starts", "0"], "starts: expected at least 1"),
        (["saddle", "--steps", "-1"], "steps: expected at least 1"),
        (["saddle", "--starts", "100000"], "5,000,000"),
        (["saddle", "--noise", "nan"], "standard deviation"),
        (["saddle", "--distance", "0"], "a height above 0"),
        (["saddle", "--reach", "3"], "a formula's picture"),
        (["saddle", "--formula", "x"], "received both"),
        (["formula"], "expected the formula itself"),
        (["--formula", "x +"], "at the end"),
        (["--formula", "sum(x)"], "no derivative"),
        (["--formula", "x", "--reach", "0"], "greater than 0"),
        (["--formula", "log(x - 4.97)"], "hardly anywhere"),
        (["--out", "page.html"], "expected a landscape"),
        (["saddle", "--out", "page.doc"], "doc"),
    ],
)
def test_bad_input_is_one_message(words, message):
    error = run(*words).exception
    assert isinstance(error, InputError)
    assert message in str(error)
