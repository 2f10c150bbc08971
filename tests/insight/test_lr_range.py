"""The range test: its rate lies below what theory allows, it reports when there is none, and it repeats itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sessions import fit_parts

from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.insight.lr_range import RangeTest, Sweep, evaluate_sweeps, range_test
from thalweg.pages.blocks import Chart, CodeBlock, Facts, Heading, Text
from thalweg.pages.page import FORMS
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec

SPEC = completed(Spec.of({"data": {"source": "iris"}}), Data.of("iris").load(0).train)
IRIS = {"data": "iris", "network": "mlp"}
RATES = np.geomspace(1e-6, 10, 200)


def spec_of(x, y, **sections) -> Spec:
    return Spec.of({"data": {"source": (x, y), "validation": 0.0, "test": 0.0}, **sections})


def sweep(spec, **options) -> RangeTest:
    return range_test(spec, progress=False, **options)


def valley(lowest: float = 0.1, start: float = 2.0, bottom: float = 0.2) -> np.ndarray:
    """A loss over RATES that falls over one decade below `lowest`, and rises after it."""
    x = np.log10(RATES / lowest)
    return np.where(x < 0, start - (start - bottom) * np.clip(1 + x, 0, 1), bottom + x)


def paired(losses: np.ndarray, batches: np.ndarray | float = 1.0, start: float = 2.0) -> Sweep:
    """A sweep whose batches are that much harder than others for all weights alike."""
    return Sweep(losses * batches, start * batches * np.ones(len(losses)))


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("condition", [1.0, 30.0])
def test_a_quadratic_blows_up_where_the_hessian_says_and_the_rate_is_below(engine, condition):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) * np.geomspace(1, condition, 5)
    y = x @ (1 / np.geomspace(1, condition, 5)) + 0.01 * rng.normal(size=200)
    spec = spec_of(
        x,
        y,
        network={"layers": ["dense 1"]},
        loss="mse",
        optimizer={"kind": "sgd", "learning_rate": 0.1},
        training={"batch_size": "full", "engine": engine},
    )
    spec = dataclasses.replace(spec, data=Data.of({**spec.data.describe(), "source": (x, y), "scale": "none"}))
    rows = spec.data.load(0).train.x
    ones = np.column_stack([rows, np.ones(len(rows))])
    # The loss is the mean of (x w - y)^2: its Hessian is 2/n XᵀX.
    stable = 2 / np.linalg.eigvalsh(2 * ones.T @ ones / len(rows)).max()
    result = sweep(spec)
    assert result.chosen is not None
    assert stable / 100 < result.chosen < stable
    assert stable < result.blew_up < 10 * stable


@pytest.mark.parametrize("optimizer", ["sgd 0.1", "adam"])
def test_training_with_the_rate_does_about_as_well_as_with_the_best_of_a_grid(optimizer):
    spec = Spec.of({"data": {"source": "rings 400"}, "optimizer": optimizer, "training": {"batch_size": 16}})
    result = sweep(spec)
    spec = result.spec
    split = result.spec.data.load(0)

    def loss(rate: float) -> float:
        trained = dataclasses.replace(spec.optimizer, learning_rate=rate)
        epochs = dataclasses.replace(spec.training, epochs=10)
        ended = fit_parts(spec.network, spec.loss, trained, epochs, split.train)
        return np.inf if ended.diverged else ended.history[-1]["loss"]

    losses = np.array([loss(10.0**power) for power in (-6, -5, -4, -3, -2, -1, 0)])
    # The start is at log 2 = 0.69.
    assert loss(result.chosen) < losses.min() + 0.05
    assert np.median(losses) > losses.min() + 0.1


def test_targets_that_have_nothing_to_do_with_the_inputs_give_no_number():
    rng = np.random.default_rng(0)
    result = sweep(spec_of(rng.normal(size=(1000, 4)), rng.integers(0, 2, 1000).astype(str), network="mlp"))
    assert result.chosen is None
    assert "flat" in result.reason
    assert result.choices == ()


def test_rates_that_are_too_small_give_no_number():
    result = sweep(IRIS, low=1e-9, high=1e-6)
    assert result.chosen is None
    assert "larger high than 1e-6" in result.reason


def test_a_fall_that_the_range_cuts_off_gives_no_number():
    above = sweep(IRIS, high=3e-3)
    below = sweep(IRIS, low=0.03, high=100.0)
    assert above.chosen is None
    assert "upper edge" in above.reason
    assert below.chosen is None
    assert "smaller low than 0.03" in below.reason


def test_rates_that_are_too_large_give_no_number():
    result = sweep({"data": {"source": "diabetes"}, "optimizer": "sgd 0.1"}, low=10.0, high=1e6)
    assert result.chosen is None
    assert "smaller low than 10" in result.reason
    assert all(np.isfinite(losses).all() for losses in result.losses)


def test_the_rule_on_a_curve_worked_by_hand():
    result = evaluate_sweeps(SPEC, RATES, [paired(valley())] * 3)
    # Nine tenths of the fall are made at 10^-1.1 = 0.08, and half of the lowest is less. Smoothing rounds the corner.
    assert result.chosen == pytest.approx(0.05, rel=0.2)
    assert result.fell == pytest.approx(10**-1.9, rel=0.2)
    assert result.lowest == pytest.approx(0.1, rel=0.2)
    # Half of the fall, 0.9, is lost 0.9 decades behind the lowest point.
    assert result.blew_up == pytest.approx(10**-0.1, rel=0.25)


def test_one_wild_batch_and_noise_do_not_move_the_rate_far():
    rng = np.random.default_rng(0)
    noisy = [valley() + rng.normal(scale=0.1, size=200) for _ in range(3)]
    noisy[1][50] += 1.0
    assert evaluate_sweeps(SPEC, RATES, [paired(one) for one in noisy]).chosen == pytest.approx(0.05, rel=0.3)


def test_sweeps_that_disagree_give_no_number_and_say_so():
    result = evaluate_sweeps(SPEC, RATES, [paired(valley(1e-3)), paired(valley(1e-1))])
    assert result.chosen is None
    assert "disagree" in result.reason
    assert max(result.choices) > 10 * min(result.choices)


def test_a_fall_within_the_noise_of_a_batch_gives_no_number():
    rng = np.random.default_rng(0)
    losses = [valley(bottom=1.7) + rng.normal(scale=0.2, size=200) for _ in range(3)]
    assert evaluate_sweeps(SPEC, RATES, [paired(one) for one in losses]).chosen is None
    assert evaluate_sweeps(SPEC, RATES, [paired(valley(bottom=1.7))] * 3).chosen is not None


@pytest.mark.parametrize("deviation", [0.5, 1.5])
def test_batches_that_are_harder_than_others_for_all_weights_do_not_move_the_rate(deviation):
    rng = np.random.default_rng(0)
    hard = [np.exp(deviation * rng.normal(size=200)) for _ in range(3)]
    even = evaluate_sweeps(SPEC, RATES, [paired(valley())] * 3)
    uneven = evaluate_sweeps(SPEC, RATES, [paired(valley(), batches) for batches in hard])
    assert uneven.chosen == pytest.approx(even.chosen, rel=0.25)
    flat = evaluate_sweeps(SPEC, RATES, [paired(np.full(200, 2.0), batches) for batches in hard])
    assert flat.chosen is None
    assert flat.choices == ()


# A fall with targets of heavy tails, of each kind of network and rule that learns from them; and no fall.
def _log_normal(f, rng):
    return np.exp(1.5 * f)


def _student(f, rng):
    return 3 * f + 0.3 * rng.standard_t(2.1, len(f))


def _many_zeros(f, rng):
    return np.where(f < 0.8, 0.0, np.exp(1.5 * f))


@pytest.mark.parametrize("targets", [_log_normal, _student, _many_zeros])
@pytest.mark.parametrize(("optimizer", "batch"), [("adam", 16), ("sgd", 64)])
def test_a_valley_with_targets_of_heavy_tails_is_no_flat_loss(targets, optimizer, batch):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1000, 4))
    spec = spec_of(
        x,
        targets(x @ [1.0, -1.0, 0.5, 0.0] / 1.5, rng),
        network={"layers": ["dense 16", "relu", "dense 1"]},
        optimizer=optimizer,
        training={"batch_size": batch, "engine": "eager"},
    )
    result = sweep(spec)
    assert result.chosen is not None
    assert result.smoothed.min() < 0.7 * result.smoothed[0]


@pytest.mark.parametrize("options", [{"low": 1e-10, "high": 1e-7}, {}], ids=["tiny rates", "no gradient"])
def test_what_can_not_fall_is_flat_whatever_the_tails_of_the_targets(options):
    x = np.random.default_rng(5).normal(size=(1000, 4))
    dead = {"kind": "dense", "width": 16, "bias_init": {"kind": "constant", "value": -1000.0}}
    held = {"kind": "dense", "width": 1, "trainable": False}
    layers = ["dense 16", "relu", "dense 1"] if options else [dead, "relu", held]
    spec = spec_of(x, np.exp(2 * x[:, 0]), network={"layers": layers}, training={"engine": "eager"})
    result = sweep(spec, **options)
    assert result.chosen is None
    assert result.choices == ()


def test_a_sweep_that_ended_early_is_seen_to_blow_up():
    losses = valley()
    cut = int(np.argmax(RATES > 0.2))
    assert evaluate_sweeps(SPEC, RATES, [paired(losses), paired(losses[:cut])]).blew_up == RATES[cut - 1]


def test_two_identical_calls_give_identical_results():
    one = sweep(IRIS)
    other = sweep(IRIS)
    assert one.report() == other.report()
    for mine, yours in zip(one.losses, other.losses, strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_both_engines_agree():
    def losses(engine: str) -> tuple[np.ndarray, ...]:
        training = {"engine": engine, "precision": "float64"}
        return sweep(Spec.of({"data": "iris", "network": "mlp", "training": training}), high=1.0).losses

    for eager, compiled in zip(losses("eager"), losses("compiled"), strict=True):
        np.testing.assert_allclose(eager, compiled, rtol=1e-6)


def test_the_sweep_is_a_training_with_the_rate_it_says():
    """The loss of step t is that of the spec's own training with this schedule, by `fit`."""
    spec = Spec.of({"data": "iris", "network": "mlp", "training": {"batch_size": "full", "engine": "eager"}})
    result = sweep(spec, low=1e-4, high=1e-1, steps=60, sweeps=1)
    spec = result.spec
    split = result.spec.data.load(0)
    schedule = {"kind": "exponential", "initial": 1e-4, "factor": 1e3, "every": 59}
    ended = fit_parts(
        spec.network,
        spec.loss,
        type(spec.optimizer)(schedule),
        dataclasses.replace(spec.training, epochs=60),
        split.train,
    )
    np.testing.assert_allclose([record["learning_rate"] for record in ended.history], result.rates)
    np.testing.assert_allclose([record["loss"] for record in ended.history], result.losses[0])


def test_each_sweep_has_weights_and_an_order_of_its_own():
    first, second = sweep(IRIS, sweeps=2).losses
    assert first[0] != second[0]


def test_a_schedule_gives_way_and_the_result_says_so():
    learning_rate = {"kind": "cosine", "peak": 3e-3, "warmup": "1 epoch"}
    plain = sweep({**IRIS, "optimizer": {"kind": "adam"}})
    result = sweep({**IRIS, "optimizer": {"kind": "adam", "learning_rate": learning_rate}})
    np.testing.assert_array_equal(plain.smoothed, result.smoothed)
    assert any("schedule cosine" in remark for remark in result.remarks)
    plateau = {"kind": "plateau", "initial": 0.1}
    adaptive = sweep({**IRIS, "optimizer": {"kind": "adam", "learning_rate": plateau}})
    assert adaptive.chosen == plain.chosen


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"low": 0.0}, "low: expected a number above 0"),
        ({"low": float("nan")}, "low: expected a number above 0"),
        ({"low": 1.0, "high": 0.1}, "ten times low"),
        ({"low": 1.0, "high": float("inf")}, "ten times low"),
        ({"steps": 10}, "at least 60, received 10"),
        ({"sweeps": 0}, "at least 1, received 0"),
    ],
)
def test_a_range_of_no_use_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        sweep(IRIS, **options)


def test_the_page_is_complete_and_escapes_names():
    result = sweep(IRIS)
    page = result.page()
    kinds = [type(block) for block in page.blocks]
    assert kinds == [Chart, Text, Text, Heading, Facts, Heading, CodeBlock]
    assert dict(page.blocks[4].items)["chosen"] == f"{result.chosen:g}"
    for form in FORMS:
        assert f"{result.chosen:g}" in page.render(form)
    assert "default-src 'none'" in result.report()
    spec = dataclasses.replace(SPEC, data=Data.of({"source": "<b>.csv", "target": "y"}))
    assert "<b>" not in dataclasses.replace(result, spec=spec).report().split("<main>")[0].split("<body>")[1]


def test_the_notebook_shows_the_rate_and_the_command():
    result = sweep(IRIS)
    assert f"--set optimizer.learning_rate={result.chosen:g}" in result._repr_html_()
