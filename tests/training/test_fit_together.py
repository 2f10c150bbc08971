"""Trainings that run as one program: each must end as it does alone, whatever becomes of the others."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from sessions import Watching

from thalweg.core.arrays import arrays_of
from thalweg.spec.spec import Spec
from thalweg.training.callbacks import Callback
from thalweg.training.fit import Fit, fit, fit_together
from thalweg.training.session import Session


def session(seed, layers=("dense 8", "tanh", "dense 2"), optimizer="adam 0.01", stopping=None, **training):
    return Session.load(
        Spec.of(
            {
                "data": {"source": "rings 200", "validation": 0.2},
                "network": list(layers),
                "optimizer": optimizer,
                "stopping": stopping or {},
                "probes": "off",
                "training": {"epochs": 4, "seed": seed, "engine": "compiled", "precision": "float64", **training},
            }
        )
    )


def assert_same(together: Fit, alone: Fit, bound=1e-10):
    """Everything but the clock is the same, to rounding."""
    for (place, one), (_, other) in zip(arrays_of(together.state), arrays_of(alone.state), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=bound, err_msg=place)
    assert [record.keys() for record in together.history] == [record.keys() for record in alone.history]
    for one, other in zip(together.history, alone.history, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), abs=bound)
    assert (together.stopped, together.signal, together.fault) == (alone.stopped, alone.signal, alone.fault)
    mine, other = together.early_stopping, alone.early_stopping
    assert (mine.best_epoch, mine.waited) == (other.best_epoch, other.waited)
    assert [(rate.value, rate.waited) for rate in mine.rates] == [(rate.value, rate.waited) for rate in other.rates]


def compared(sessions):
    fits = fit_together(sessions)
    for number, together in enumerate(fits):
        alone = sessions[number]
        assert_same(together, fit(Session(alone.spec, alone.split)))
    return fits


@pytest.mark.parametrize(
    ("layers", "optimizers"),
    [
        (("dense 8", "tanh", "dense 2"), [f"adam {rate}" for rate in (0.001, 0.01, 0.1)]),
        (("dense 8", "batch_norm", "relu", "dropout 0.3", "dense 2"), [f"momentum 0.05 {m}" for m in (0.0, 0.5, 0.9)]),
        (("gaussian_noise 0.1", "dense 4", {"kind": "leaky_relu", "alpha": 0.1}, "dense 2"), ["sgd 0.1"] * 3),
        (
            ("dense 8", "relu", "dense 2"),
            [
                {"kind": "momentum", "learning_rate": {"kind": "reduce_on_plateau", "initial": rate, "patience": 1}}
                for rate in (0.01, 0.1, 1.0)
            ],
        ),
    ],
    ids=["rates", "normalisation and dropout", "noise", "plateaus"],
)
def test_seeds_and_rates_end_as_alone(layers, optimizers):
    fits = compared([session(seed, layers, optimizer) for seed, optimizer in enumerate(optimizers)])
    assert len({fitted.history[-1]["loss"] for fitted in fits}) == 3


def test_those_that_stop_early_stop_where_they_do_alone_and_the_last_ones_go_on():
    stopping = {"patience": 2, "restore_best": True}
    sessions = [session(seed, optimizer=f"adam {0.05 * (1 + seed)}", stopping=stopping, epochs=80) for seed in range(4)]
    ends = [len(fitted.history) for fitted in compared(sessions)]
    # Different ends, so that the group has lost members, and some trainings have gone on without it.
    assert len(set(ends)) > 2
    assert sorted(ends)[1] < sorted(ends)[2]


def test_one_that_diverges_ends_with_its_fault_and_harms_no_other():
    optimizers = ["sgd 0.1", "sgd 1e200", "sgd 0.2", "sgd 0.05"]
    fits = compared([session(seed, ("dense 8", "relu", "dense 2"), rate) for seed, rate in enumerate(optimizers)])
    assert [fitted.fault is not None for fitted in fits] == [False, True, False, False]
    assert [len(fitted.history) for fitted in fits] == [4, 0, 4, 4]


class _AfterEpoch(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_progress(self, progress):
        if progress.epoch == self.epoch:
            self.stop = "enough"


def test_a_callback_stops_its_own_training_alone():
    fits = fit_together([session(seed) for seed in range(3)], [[], [_AfterEpoch(2)], []])
    assert [(len(fitted.history), fitted.stopped) for fitted in fits] == [(4, ""), (2, "enough"), (4, "")]
    assert_same(fits[1], fit(session(1), [_AfterEpoch(2)]))


def test_ctrl_c_ends_all_of_them():
    def press(progress):
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    fits = fit_together([session(seed) for seed in range(3)], [[], [Watching(press)], []])
    assert all(fitted.interrupted for fitted in fits)


def test_what_trainings_must_share_to_run_as_one_program():
    one = session(0).structure
    assert session(1, optimizer="adam 0.5").structure == one
    others = [
        session(0, ("dense 9", "tanh", "dense 2")),
        session(0, ("dense 8", "relu", "dense 2")),
        session(0, optimizer="sgd 0.1"),
        session(0, stopping={"patience": 3}),
        session(0, epochs=5),
        session(0, batch_size=16),
        session(0, precision="float32"),
    ]
    assert all(other.structure != one for other in others)
    assert len({other.structure for other in others}) == len(others)
