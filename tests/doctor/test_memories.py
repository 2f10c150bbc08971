"""Averages of gradients that count too many steps: which optimizers have one, and what takes it away."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.doctor.checks import memory_checks
from thalweg.doctor.findings import Learned
from thalweg.doctor.measurements import Measurements
from thalweg.doctor.memories import Memory, memories
from thalweg.parts.optimizers import SGD, Adadelta, Adam, Momentum, RMSProp
from thalweg.parts.part import Optimizer
from thalweg.parts.schedules import Polynomial
from thalweg.runs.train import run_spec
from thalweg.spec.edit import changed
from thalweg.spec.spec import Spec

SHORT = Learned("r2", 0.1, 0.0, 0.9)
SOUND = Learned("r2", 0.9, 0.0, 0.9)


class Remedies:
    """Makes names of remedies."""

    def default(self, option):
        return option


def severities(optimizer, learned, steps=400):
    m = Measurements(memories=memories(optimizer, steps), learned=learned, rows=500, remedies=Remedies())
    return [finding.severity for finding in memory_checks.long_memory(m)]


@pytest.mark.parametrize("weight", [0.5, 0.9, 0.99])
def test_a_memory_is_the_sum_of_the_weights_of_all_past_steps(weight):
    [memory] = memories(Momentum(0.1, momentum=weight), 100)
    assert memory.longest == pytest.approx(np.sum(weight ** np.arange(10_000)))


def test_a_schedule_counts_as_its_steps_had_it():
    [memory] = memories(Momentum(0.1, momentum=Polynomial(initial=0.9, final=0.5, steps=50)), 100)
    assert memory == Memory("momentum", pytest.approx(10), pytest.approx(10), pytest.approx(0.5), 100)
    [memory] = memories(Momentum(0.1, momentum=Polynomial(initial=0.5, final=1.0, steps=50)), 100)
    assert memory.longest == np.inf


USUAL = {
    "sgd": SGD(0.1),
    "adam": Adam(0.001),
    "adadelta": Adadelta(),
    "rmsprop": RMSProp(0.001),
    "a long average of squares": Adam(0.001, beta_2=0.9999),
    "a long momentum": Momentum(0.01, momentum=0.99),
    "a momentum that rises": Momentum(0.01, momentum=Polynomial(initial=0.5, final=0.99, steps=400)),
    "a momentum that falls": Momentum(0.01, momentum=Polynomial(initial=0.95, final=0.85, steps=400)),
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_averages_are_nothing_whatever_was_learned(name):
    assert severities(USUAL[name], SHORT) == severities(USUAL[name], SOUND) == []


@pytest.mark.parametrize(
    ("optimizer", "steps", "sound"),
    [
        (Momentum(0.01, momentum=0.999), 5000, "note"),
        (Momentum(0.01, momentum=0.999), 500, "warning"),
        (Momentum(0.01, momentum=Polynomial(initial=0.5, final=1.0, steps=400)), 400, "warning"),
        (Adam(0.001, beta_1=Polynomial(initial=0.9, final=1.0, steps=200)), 400, "warning"),
    ],
)
def test_an_average_longer_than_the_training_warns_even_where_the_network_learned(optimizer, steps, sound):
    assert severities(optimizer, SHORT, steps) == ["warning"]
    assert severities(optimizer, SOUND, steps) == [sound]


def test_the_remedy_is_the_default_of_the_option():
    x = np.random.default_rng(0).standard_normal((200, 3))
    rising = {"kind": "polynomial", "initial": 0.5, "final": 1.0}
    spec = Spec.of(
        {
            "data": {"source": (x, np.sin(2 * x[:, 0])), "validation": 0.2, "test": 0.0},
            "network": ["dense 8", "relu", "dense 1"],
            "optimizer": {"kind": "momentum", "learning_rate": 0.05, "momentum": rising},
            "training": {"epochs": 60, "engine": "eager"},
            "probes": "standard",
        }
    )
    [finding] = [one for one in run_spec(spec).diagnose().findings if one.code == "long-memory"]
    assert finding.place == "optimizer.momentum"
    optimizer = changed(spec, finding.remedies[0].changes).optimizer
    assert isinstance(optimizer, Optimizer)
    assert optimizer == Momentum(0.05)
