"""A lab takes whatever a page sends: it obeys or refuses, and goes on."""

from __future__ import annotations

import json
import random
import time
from multiprocessing import Pipe

import numpy as np
import pytest

from thalweg.playground.labs.commands import ORDERS
from thalweg.playground.labs.lab import Lab
from thalweg.playground.specs import FilesAllowed
from thalweg.spec.spec import Spec

TABLE = {
    "data": {"source": "rings 40", "validation": 0.0, "test": 0.5},
    "network": {"kind": "mlp", "hidden": [3], "activation": "tanh"},
    "training": {"engine": "eager", "batch_size": 10},
}
COMMANDS = 400
VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2.5,
    1e300,
    10**18,
    "",
    "x",
    "W",
    "b",
    "relu",
    [],
    [0],
    [0, 1],
    [[0.0, 1.0]],
    {},
    {"kind": "sgd"},
]
PLACES = [
    "optimizer.learning_rate", "optimizer", "network.hidden", "network.layers.0.width", "network.activation", "loss",
    "training.batch_size", "training.seed", "data.test", "data.source.noise", "data", "nonsense", "a.b.c", "..", "",
]  # fmt: skip
NAMES = [
    "step",
    "place",
    "value",
    "layer",
    "name",
    "index",
    "quantity",
    "maps",
    "size",
    "axes",
    "x",
    "y",
    "epochs",
    "spec",
]


@pytest.fixture
def lab(tmp_path):
    ours, theirs = Pipe()
    analyst, far = Pipe()
    trainer, farther = Pipe()
    made = Lab(theirs, trainer, analyst, TABLE, FilesAllowed(str(tmp_path)), ORDERS)
    sent: list[dict] = []
    made.send = sent.append
    made.transmit = lambda kind, content: sent.append({"type": "bytes", "kind": kind, "content": content})
    made.sent = sent
    yield made
    for end in (ours, theirs, analyst, far, trainer, farther):
        end.close()


def random_command(rng: random.Random) -> dict:
    # Playing and analyses go on in time; the page's other commands end at once.
    known = sorted(set(ORDERS.commands) - {"play", "try"})
    command = {"do": rng.choice([*known, "nothing"])}
    for name in rng.sample(NAMES, rng.randint(0, 6)):
        command[name] = rng.choice(PLACES) if name == "place" else rng.choice(VALUES)
    return command


def test_it_survives_any_command(lab):
    rng = random.Random(0)
    for _ in range(COMMANDS):
        lab.obey(random_command(rng))
        if lab.remaining:
            lab.train_rest()
    for message in lab.sent:
        if message["type"] != "bytes":
            json.dumps(message, allow_nan=False)
    lab.obey({"do": "spec", "spec": TABLE})
    lab.obey({"do": "reset"})
    lab.obey({"do": "step"})
    lab.train_rest()
    assert lab.training.step == 1


def test_an_epoch_ends_at_its_last_step_whatever_else_is_asked(lab):
    lab.obey({"do": "epoch"})
    per_epoch = lab.training.per_epoch
    rounds = 0
    while lab.remaining:
        rounds += 1
        lab.commands.append({"do": "stop_trials"})
        lab.train_rest()
        while lab.commands:
            lab.obey(lab.commands.popleft())
        assert rounds <= 10 * per_epoch
    assert lab.training.step == per_epoch
    lab.obey({"do": "epoch"})
    lab.obey({"do": "pause"})
    assert not lab.remaining


def test_what_cannot_be_obeyed_is_said(lab):
    for command in ({"do": "nothing"}, {"do": "seek"}, {"do": "set"}, {"do": "weight"}, {"do": "spec", "spec": 3}):
        lab.sent.clear()
        lab.obey(command)
        assert [message["type"] for message in lab.sent] == ["error"]


def frames_in(sent: list[dict]) -> int:
    return sum(message["type"] == "bytes" for message in sent)


def test_two_frames_are_on_the_way_and_the_next_is_sent_when_one_is_drawn(lab):
    lab.obey({"do": "hello"})
    assert frames_in(lab.sent) == 1
    for _ in range(3):
        lab.draw()
    assert frames_in(lab.sent) == 2
    for _ in range(3):
        lab.obey({"do": "ready"})
        lab.draw()
    # The first is the one that could not be sent before.
    assert frames_in(lab.sent) == 5
    lab.obey({"do": "bye"})
    lab.draw()
    assert frames_in(lab.sent) == 5


def test_frames_that_take_long_leave_half_of_the_time_to_the_training(lab):
    lab.obey({"do": "hello"})
    lab.obey({"do": "ready"})
    lab.sent.clear()
    now = time.perf_counter()
    lab.drawn, lab.drawing = now - 1.0, 60.0
    lab.train(3)
    # The last one shows where it stopped.
    assert frames_in(lab.sent) == 1


def test_a_question_has_an_answer_or_a_reason(lab):
    for what in ("state", "step", "nothing"):
        lab.sent.clear()
        lab.obey({"ask": 5, "what": what, "unit": "0.0"})
        (answer,) = (json.loads(message["content"]) for message in lab.sent)
        assert answer["ask"] == 5
        assert ("problems" in answer) == (what == "nothing")


def test_painted_points_are_a_table_that_an_experiment_can_read(lab, tmp_path):
    points = {"x": [[0.5, -1.0], [2.0, 3.25], [1.0, 0.0], [-1.0, 4.0]] * 3, "y": [0, 1, 1, 0] * 3}
    lab.obey({"do": "points", **points})
    spec = lab.training.spec
    assert lab.allowed.is_upload(spec.data.source.named_files[0])
    again = Spec.of(spec.describe()).data.source.load(0)
    assert np.asarray(again.x, float)[:, :2].tolist() == points["x"]
    assert spec.data.load(0).train.task == "classification"
    lab.sent.clear()
    for wrong in ({"x": [[1.0, 2.0]], "y": [0.5]}, {"x": [[1.0, None]], "y": [0]}, {"x": [], "y": []}, {"x": [[1.0]]}):
        lab.obey({"do": "points", **wrong})
    assert [message["type"] for message in lab.sent] == ["error"] * 4
    assert lab.training.spec == spec
