"""Both engines run the same step: they agree, compile once, and leave alone what they do not own."""

from __future__ import annotations

import dataclasses
import functools
import gc
import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from compilations import compilations
from parts_table import OPTIMIZERS, name_of

from thalweg import losses, optimizers
from thalweg.core.arrays import Array, arrays_of, map_arrays
from thalweg.core.errors import InputError
from thalweg.core.noise import noise_key
from thalweg.engine import compiled
from thalweg.engine.compiled import Compiled
from thalweg.engine.eager import Eager
from thalweg.engine.engine import make_engine
from thalweg.engine.step import Batch, Plan, State, batch_at, loss_and_gradient, make_step, measure_at, predict
from thalweg.models.network import Network
from thalweg.parts.initializers import HeUniform
from thalweg.parts.layers import Dense, LeakyReLU
from thalweg.parts.part import ForwardContext
from thalweg.parts.regularization import Regularization
from thalweg.parts.schedules import Constant, Cosine, Joined, WarmRestarts
from thalweg.parts.task_metrics import ClassificationMetric, RegressionMetric

ENGINES = [Eager("float64"), Eager("float32"), Compiled("float64"), Compiled("float32")]
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda e: f"{type(e).__name__}-{e.precision}")


def rings():
    rng = np.random.default_rng(0)
    angle, label = rng.uniform(0, 2 * np.pi, 100), np.arange(100) % 2
    radius = 1 + label + rng.normal(size=100) / 10
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    network = Network(["dense 8", "tanh", "dense 1", "sigmoid"])
    plan = Plan(
        network,
        losses.BinaryCrossEntropy(),
        optimizers.Adam(Cosine(0.02, warmup=20, steps=300)),
        ClassificationMetric(0.0),
    )
    return plan, Batch(x, label, np.ones(100)), 16, 300


def digits():
    bundled = pytest.importorskip("sklearn.datasets").load_digits()
    x, y = bundled.data[:400] / 16, bundled.target[:400]
    network = Network(["dense 16", "relu", "dense 10", "softmax"])
    rule = optimizers.Momentum(0.05, 0.8)
    return Plan(network, losses.CrossEntropy(), rule, ClassificationMetric()), Batch(x, y, np.ones(400)), 32, 200


def regression():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 3))
    y = np.sin(x @ rng.normal(size=(3, 2)))
    network = Network(["dense 8", "gelu", "dense 4", {"kind": "leaky_relu", "alpha": 0.2}, "dense 2"])
    rate = Joined((Constant(0.01), WarmRestarts(0.02, period=30, growth=2.0)), (40,))
    plan = Plan(network, losses.Huber(0.7), optimizers.AdamW(rate), RegressionMetric((1.0, 1.0), (1.0, 1.0)))
    return plan, Batch(x, y, rng.uniform(0.5, 1.5, 90)), 20, 200


def held():
    plan, data, batch_size, steps = rings()
    layers = [
        {"kind": "dense", "width": 8, "trainable": ["W"]},
        "tanh",
        {"kind": "dense", "width": 4, "bias": False},
        {"kind": "batch_norm", "trainable": False},
        "tanh",
        "dense 1",
        "sigmoid",
    ]
    decay = Regularization(weight_decay=0.01, biases=True)
    return dataclasses.replace(plan, network=Network(layers), regularization=decay), data, batch_size, steps


PROBLEMS = {"rings": rings, "digits": digits, "regression": regression}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def rows_of(n: int, batch_size: int, steps: int) -> np.ndarray:
    """Row numbers, epoch after epoch, the last batch of each filled up with -1."""
    rng, batches = np.random.default_rng(7), []
    while len(batches) < steps:
        order = np.concatenate([rng.permutation(n), np.full(-n % batch_size, -1)])
        batches += list(order.reshape(-1, batch_size))
    return np.array(batches[:steps])


def placed(engine, plan: Plan, data: Batch, batch_size: int, steps: int, seed: int = 0):
    start = plan.network.initialize(seed, data.x.shape[1:])
    moments = plan.optimizer.init(plan.network.trained(start.params))
    state = engine.place(State(start.params, start.states, moments, np.array(0), noise_key(0)))
    return state, engine.place(data), engine.place(rows_of(len(data.x), batch_size, steps))


def steps_of(engine, plan, state, data, rows, start: int, stop: int):
    state, report = engine.run(plan, state, data, rows, start, stop)
    return state, map_arrays(lambda values: values[: stop - start], engine.fetch(report))


def trained(engine, problem, steps: int | None = None):
    plan, data, batch_size, all_steps = problem()
    state, data, rows = placed(engine, plan, data, batch_size, steps or all_steps)
    state, report = steps_of(engine, plan, state, data, rows, 0, len(rows))
    return engine.fetch(state), report


def assert_close(tree, other, **tolerance):
    for (place, a), (_, b) in zip(arrays_of(tree), arrays_of(other), strict=True):
        np.testing.assert_allclose(a, b, err_msg=place, **tolerance)


def assert_equal(tree, other):
    for (place, a), (_, b) in zip(arrays_of(tree), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=place)


# The same numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [*PROBLEMS.values(), held], ids=[*PROBLEMS, "held"])
def test_both_engines_agree_in_float64(problem):
    # The two sum in another order: 1e-16 a step, which a few hundred steps let grow by less than 1e6.
    (eager, report), (compiled, other) = trained(Eager("float64"), problem), trained(Compiled("float64"), problem)
    assert_close(other.sums, report.sums, rtol=1e-9, atol=1e-11)
    assert_close(other.learning_rate, report.learning_rate, rtol=1e-12)
    assert_close(compiled.params, eager.params, rtol=1e-8, atol=1e-10)
    assert_close(compiled.moments, eager.moments, rtol=1e-6, atol=1e-11)
    assert int(compiled.step) == int(eager.step) == len(report.learning_rate)


@every_problem
def test_both_engines_agree_loosely_in_float32(problem):
    (eager, report), (compiled, other) = (
        trained(Eager("float32"), problem, 40),
        trained(Compiled("float32"), problem, 40),
    )
    assert_close(other.sums.loss, report.sums.loss, rtol=1e-3)
    assert_close(compiled.params, eager.params, rtol=1e-2, atol=1e-3)


@every_engine
@every_problem
def test_a_training_lowers_the_loss_and_keeps_its_precision(engine, problem):
    state, report = trained(engine, problem)
    loss = report.sums.loss / report.sums.weight
    assert loss[-20:].mean() < 0.7 * loss[:5].mean()
    assert {a.dtype for _, a in arrays_of((state.params, state.moments))} == {np.dtype(engine.precision)}
    assert report.sums.loss.dtype == engine.precision


@every_engine
def test_a_training_in_pieces_is_the_training_in_one_bit_for_bit(engine):
    plan, data, batch_size, _ = rings()
    whole, report = trained(engine, rings, 60)
    state, data, rows = placed(engine, plan, data, batch_size, 60)
    parts = []
    for start, stop in ((0, 1), (1, 25), (25, 60)):
        state, part = steps_of(engine, plan, state, data, rows, start, stop)
        assert len(part.learning_rate) == stop - start
        parts.append(part)
    assert_equal(engine.fetch(state), whole)
    assert_equal(map_arrays(lambda *pieces: np.concatenate(pieces), *parts), report)


@every_engine
def test_a_state_that_was_fetched_and_placed_again_goes_on_bit_for_bit(engine):
    plan, data, batch_size, _ = rings()
    whole, _ = trained(engine, rings, 60)
    state, data, rows = placed(engine, plan, data, batch_size, 60)
    state, _ = engine.run(plan, state, data, rows, 0, 25)
    state, _ = engine.run(plan, engine.place(engine.fetch(state)), data, rows, 25, 60)
    assert_equal(engine.fetch(state), whole)


@every_engine
def test_what_was_fetched_is_not_touched_by_later_steps(engine):
    plan, data, batch_size, _ = rings()
    state, data, rows = placed(engine, plan, data, batch_size, 60)
    state, _ = engine.run(plan, state, data, rows, 0, 20)
    kept = engine.fetch(state)
    before = map_arrays(np.array, kept)
    state, _ = engine.run(plan, state, data, rows, 20, 60)
    assert_equal(kept, before)
    assert not np.allclose(engine.fetch(state).params[0].W, kept.params[0].W)


@every_engine
def test_what_was_given_is_not_touched(engine):
    plan, data, batch_size, _ = regression()
    start = plan.network.initialize(0, (3,))
    before = map_arrays(np.array, (start, data))
    moments = plan.optimizer.init(plan.network.trained(start.params))
    state = engine.place(State(start.params, start.states, moments, np.array(0), noise_key(0)))
    engine.run(plan, state, engine.place(data), engine.place(rows_of(90, batch_size, 5)), 0, 5)
    assert_equal((start, data), before)


@every_problem
def test_measures_and_answers_agree(problem):
    plan, data, batch_size, _ = problem()
    results = []
    for engine in (Eager("float64"), Compiled("float64")):
        state, placed_data, rows = placed(engine, plan, data, batch_size, 4)
        scores = [engine.fetch(engine.call(measure_at, plan, state, placed_data, rows, k)) for k in range(4)]
        answers = engine.call(predict, plan.network, plan.loss, state.params, state.layers, engine.place(data.x))
        results.append((tuple(scores), np.asarray(answers)))
    assert_close(tuple(results[0]), tuple(results[1]), rtol=1e-11, atol=1e-13)


def test_an_answer_that_overflows_is_infinite_and_no_warning():
    plan = Plan(Network(["dense 1", "exponential"]), losses.SquaredError(), optimizers.SGD(), ClassificationMetric())
    state, data, _ = placed(Eager(), plan, Batch(np.array([[1e5], [-1e5]]), np.zeros((2, 1)), np.ones(2)), 2, 1)
    answers = Eager().call(predict, plan.network, plan.loss, state.params, state.layers, data.x)
    assert sorted(answers.ravel().tolist()) == [0.0, np.inf]


# Compiled once --------------------------------------------------------------------------------------------------------


def pieces(plan: Plan):
    """A run, a measure and a prediction of that plan."""
    engine = Compiled("float32")
    _, data, batch_size, _ = rings()
    state, data, rows = placed(engine, plan, data, batch_size, 10)
    engine.call(measure_at, plan, state, data, rows, 0)
    engine.call(predict, plan.network, plan.loss, state.params, state.layers, data.x)
    engine.run(plan, state, data, rows, 0, 10)


def leaky(alpha: float = 0.1, init=None) -> Network:
    return Network((Dense(4, init=init), LeakyReLU(alpha), Dense(1)))


BASE = Plan(leaky(), losses.Huber(1.0), optimizers.Momentum(0.01, 0.9), ClassificationMetric())
ADAM = dataclasses.replace(BASE, optimizer=optimizers.Adam(Cosine(0.01, steps=50)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BASE, BASE),
        (BASE, dataclasses.replace(BASE, optimizer=optimizers.Momentum(0.02, 0.9))),
        (BASE, dataclasses.replace(BASE, optimizer=optimizers.Momentum(0.01, 0.5))),
        (BASE, dataclasses.replace(BASE, network=leaky(alpha=0.3))),
        (BASE, dataclasses.replace(BASE, loss=losses.Huber(0.5))),
        (BASE, dataclasses.replace(BASE, metric=ClassificationMetric(0.0))),
        (BASE, dataclasses.replace(BASE, network=leaky(init=HeUniform()))),
        (BASE, dataclasses.replace(BASE, network=dataclasses.replace(leaky(), init=HeUniform()))),
        (ADAM, dataclasses.replace(ADAM, optimizer=optimizers.Adam(Cosine(0.05, steps=50)))),
        (ADAM, dataclasses.replace(ADAM, optimizer=optimizers.Adam(Cosine(0.01, final=0.001, warmup=5, steps=90)))),
        (ADAM, dataclasses.replace(ADAM, optimizer=optimizers.Adam(Cosine(0.01, steps=50), 0.8, 0.99, epsilon=1e-5))),
    ],
    ids=[
        "nothing",
        "rate",
        "momentum",
        "alpha",
        "huber",
        "threshold",
        "init",
        "network_init",
        "peak",
        "durations",
        "betas",
    ],
)
def test_another_number_compiles_nothing(first, second):
    pieces(first)
    before = compilations()
    pieces(second)
    assert compilations() == before


def test_another_seed_another_start_and_another_stretch_compile_nothing():
    engine = Compiled("float32")
    plan, data, batch_size, _ = rings()
    state, placed_data, rows = placed(engine, plan, data, batch_size, 30)
    state, _ = engine.run(plan, state, placed_data, rows, 0, 10)
    before = compilations()
    state, _ = engine.run(plan, state, placed_data, rows, 10, 17)
    state, _ = engine.run(plan, engine.place(engine.fetch(state)), placed_data, rows, 17, 30)
    state, placed_data, rows = placed(engine, plan, data, batch_size, 30, seed=5)
    engine.run(plan, state, placed_data, rows, 0, 1)
    assert compilations() == before


def test_another_width_compiles_another_program():
    # The counter counts: without this the tests above could not fail.
    pieces(BASE)
    before = compilations()
    pieces(dataclasses.replace(BASE, network=Network((Dense(5), LeakyReLU(0.1), Dense(1)))))
    assert compilations() == before + 3


def squares(x: Array) -> Array:
    return x * x


def test_the_programs_that_were_used_last_are_kept_and_results_are_those_of_before(monkeypatch):
    kept = 4
    program = functools.lru_cache(maxsize=kept)(compiled._program.__wrapped__)
    monkeypatch.setattr(compiled, "_program", program)
    engine = Compiled("float32")

    def square(size: int) -> list[float]:
        result = engine.fetch(engine.call(squares, engine.place(np.arange(float(size)))))
        return result.tolist()

    def count(size: int) -> int:
        """Compilations of a call, whose result is the right one."""
        before = compilations()
        assert square(size) == [float(index**2) for index in range(size)]
        return compilations() - before

    sizes = range(1, 13)
    assert [count(size) for size in sizes] == [1] * 12
    assert program.cache_info().currsize == kept
    # The last ones are there; the others are compiled again, and push out what was used longest ago.
    assert [count(size) for size in (9, 10, 11, 12, 9)] == [0] * 5
    assert count(1) == 1
    assert [count(size) for size in (9, 11, 12, 1)] == [0] * 4
    assert count(10) == 1


def test_a_program_that_is_not_kept_is_freed(monkeypatch):
    monkeypatch.setattr(compiled, "_program", functools.lru_cache(maxsize=1)(compiled._program.__wrapped__))
    plan, data, batch_size, _ = rings()
    results = []
    alive = []
    for rows in (40, 50, 40):
        engine = Compiled("float32")
        part = Batch(*(array[:rows] for array in data))
        state, part, chosen = placed(engine, plan, part, batch_size, 20)
        state, _ = engine.run(plan, state, part, chosen, 0, 20)
        results.append(engine.fetch(state.params))
        gc.collect()
        alive.append(len(jax.devices()[0].client.live_executables()))
    assert_equal(results[0], results[2])
    assert alive[1] <= alive[0]
    assert alive[2] <= alive[0]


def test_changed_numbers_are_used_though_nothing_is_compiled():
    states = []
    for rate in (0.01, 0.02):
        engine = Compiled("float64")
        plan = dataclasses.replace(BASE, optimizer=optimizers.SGD(rate))
        _, data, batch_size, _ = rings()
        state, data, rows = placed(engine, plan, data, batch_size, 1)
        start = engine.fetch(state).params[0].W
        state, report = engine.run(plan, state, data, rows, 0, 1)
        assert report.learning_rate == pytest.approx(rate)
        states.append(engine.fetch(state).params[0].W - start)
    np.testing.assert_allclose(states[1], 2 * states[0], rtol=1e-10, atol=1e-16)


# Devices, precision, cache --------------------------------------------------------------------------------------------


def test_make_engine_knows_its_names_and_default_precisions():
    assert make_engine("eager") == Eager("float64")
    assert make_engine("eager", "float32", "cpu") == Eager("float32")
    assert make_engine("compiled") == Compiled("float32")
    assert make_engine("compiled", "float64", "cpu") == Compiled("float64", "cpu")


def test_a_device_that_is_not_there_is_an_input_error():
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match=r"device: expected a gpu, found only: cpu.*--device cpu"):
        make_engine("compiled", device="gpu")


def test_the_eager_engine_has_no_gpu():
    with pytest.raises(InputError, match="--engine compiled"):
        make_engine("eager", device="gpu")


def test_float64_is_asked_for_through_a_context_and_never_left_on():
    trained(Compiled("float64"), rings, 3)
    assert not jax.config.jax_enable_x64
    assert jax.numpy.zeros(1).dtype == np.float32


def test_whole_numbers_are_placed_as_32_bits():
    tree = Compiled("float32").place((np.arange(3), np.ones(2), np.array([True])))
    assert [a.dtype for a in tree] == [np.dtype("int32"), np.dtype("float32"), np.dtype(bool)]


_CACHE = """
import numpy as np
from thalweg.engine.compiled import Compiled
from thalweg.parts.losses import SquaredError
from thalweg.models.network import Network
from thalweg.engine.step import State, predict
network = Network(["dense 1"])
engine = Compiled()
state = State(engine.place(network.initialize(0, (1,)).params), ((),), (), 0, np.zeros(2, np.uint32))
engine.call(predict, network, SquaredError(), state.params, state.layers, np.ones((1, 1)))
"""


def test_the_cache_of_compiled_programs_is_the_users_alone(tmp_path):
    folder = tmp_path / "cache"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "THALWEG_CACHE": str(folder), "PYTHONPATH": path}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    subprocess.run([sys.executable, "-W", "error", "-c", _CACHE], env=environment, check=True, timeout=120)
    compiled = folder / "compiled"
    assert stat.S_IMODE(compiled.stat().st_mode) == 0o700
    assert any(compiled.iterdir())


def test_a_cache_folder_that_can_not_be_made_stops_nobody(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "THALWEG_CACHE": str(blocked), "PYTHONPATH": path}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", _CACHE], env=environment, check=True, timeout=120)
    assert Path(blocked).is_file()


@pytest.mark.parametrize("variable", ["THALWEG_CACHE", "JAX_COMPILATION_CACHE_DIR"])
def test_a_cache_that_others_can_write_to_is_neither_read_nor_written_and_this_is_said_once(tmp_path, variable):
    folder = tmp_path / "cache"
    (folder / "compiled").mkdir(parents=True)
    (folder / "compiled").chmod(0o777)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path, variable: str(folder)}
    if variable == "JAX_COMPILATION_CACHE_DIR":
        environment[variable] = str(folder / "compiled")
    else:
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    twice = f"{_CACHE}\nCompiled('float64')"
    done = subprocess.run(
        [sys.executable, "-c", twice], env=environment, check=True, timeout=120, capture_output=True, text=True
    )
    assert not list((folder / "compiled").iterdir())
    assert done.stderr.count("\n") == 1
    assert variable in done.stderr


def test_few_and_many_parameters_are_carried_alike():
    # Few are carried through the loop as one vector; the formulas must not notice.
    from thalweg.engine import compiled

    packed, _ = trained(Compiled("float64"), rings, 60)
    limit, compiled._FEW_PARAMETERS = compiled._FEW_PARAMETERS, 0
    try:
        jax.clear_caches()
        apart, _ = trained(Compiled("float64"), rings, 60)
    finally:
        compiled._FEW_PARAMETERS = limit
        jax.clear_caches()
    assert_close(packed, apart, rtol=1e-10, atol=1e-12)


# What both do beside steps --------------------------------------------------------------------------------------------


@every_engine
def test_the_slope_is_that_of_the_loss_with_its_penalty(engine):
    plan, data, _, _ = digits()
    plan = dataclasses.replace(plan, regularization=Regularization(l1=0.01, alpha=3.0))
    data = data._replace(weight=np.linspace(0, 2, 400))
    state, _, rows = placed(engine, plan, data, 100, 1)
    batch = batch_at(data, rows, 0)
    value, grads = engine.fetch(engine.call(loss_and_gradient, plan, state, engine.place(batch)))

    def objective(params):
        outputs = plan.network.forward(params, state.layers, batch.x, ForwardContext(training=True)).outputs[-1]
        loss, _ = plan.loss(outputs, losses.as_targets(outputs, batch.y), batch.weight)
        return loss + plan.regularization.penalty(params, batch.weight.sum())

    with jax.enable_x64(True):
        expected, slope = jax.value_and_grad(objective)(Eager("float64").place(engine.fetch(state)).params)
    tolerance = 1e-9 if engine.precision == "float64" else 1e-4
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    assert_close(grads, slope, rtol=tolerance, atol=tolerance / 100)


@every_engine
def test_there_is_no_slope_where_a_layer_draws_noise(engine):
    plan, data, _, _ = rings()
    plan = dataclasses.replace(plan, network=Network(["dense 3", "dropout 0.5", "dense 1", "sigmoid"]))
    state, data, _ = placed(engine, plan, data, 10, 1)
    with pytest.raises(InputError, match="noise"):
        engine.call(loss_and_gradient, plan, state, data)


@pytest.mark.parametrize("entry", OPTIMIZERS, ids=name_of)
def test_parameters_as_one_vector_make_the_same_steps_bit_for_bit(entry):
    plan, data, batch_size, _ = rings()
    rule = entry.part
    plan = dataclasses.replace(plan, optimizer=rule)
    state, data, rows = placed(Eager("float64"), plan, data, batch_size, 6)
    found, _ = Eager("float64").run(plan, state, data, rows, 0, 6)
    step = make_step(plan)
    for index in range(6):
        state, _ = step(state, batch_at(data, rows, index))
    assert_equal(found, state)
