"""Explained steps: against numbers worked out by hand, PyTorch, and the training itself."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from parts_table import LAYERS, LOSSES, OPTIMIZERS, name_of

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.insight.explain import explain
from thalweg.insight.gradient_flow import gradient_flow
from thalweg.pages.blocks import ArrayBlock, Check, Heading, Table, Text
from thalweg.pages.page import FORMS
from thalweg.parts.layers import Tanh
from thalweg.parts.optimizers import Adam
from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training.replay import replay
from thalweg.training.session import Session


def spec_of(data, layers, **sections):
    training = {"engine": "eager", "batch_size": 8, "epochs": 20, **sections.pop("training", {})}
    return Spec.of({"data": data, "network": {"layers": layers}, "training": training, **sections})


def small(**sections):
    return spec_of("moons 40", ["dense 3", "tanh", "dense 2", "softmax"], **sections)


def section(page, heading):
    """The blocks below a heading."""
    blocks = iter(page.blocks)
    next(block for block in blocks if isinstance(block, Heading) and block.text == heading)
    return list(itertools.takewhile(lambda block: not isinstance(block, Heading), blocks))


def numbers(page, heading):
    """The arrays below a heading, by their names."""
    return {block.name: block.values for block in section(page, heading) if isinstance(block, ArrayBlock)}


def headings(page):
    return [block.text for block in page.blocks if isinstance(block, Heading)]


def words(page):
    return " ".join(block.text for block in page.blocks if isinstance(block, Text))


def check_of(page):
    (check,) = (block for block in page.blocks if isinstance(block, Check))
    return check


def given(values):
    return {"kind": "given", "values": values}


def test_a_run_and_its_folder_are_explained_as_its_spec(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    spec = spec_of({"source": (x, x[:, 0])}, ["dense 4", "tanh", "dense 1"])
    run = run_spec(spec)
    pages = [explain(source, step=2).json() for source in (spec, run)]
    assert pages[0] == pages[1]
    deep = ["dense 4", "tanh", "dense 4", "tanh", "dense 1"]
    spec = spec_of({"source": (x, x[:, 0])}, deep)
    assert np.array_equal(*(gradient_flow(source, seeds=2).deltas for source in (spec, run_spec(spec))))
    run_spec(spec_of("xor", ["dense 2"]), tmp_path / "run")
    of_folder, of_file = (explain(tmp_path / name, step=2).json() for name in ("run", "run/spec.toml"))
    assert of_folder == of_file
    with pytest.raises(InputError, match="nowhere"):
        explain(tmp_path / "nowhere.toml")


def test_one_weight_by_hand_through_json():
    # w = 1, b = 0, x = 2, y = 4: prediction 2, loss (2-4)²/2 = 2, gradients -2 * 2 and -2; w = 1 + 0.1 * 4.
    data = {"source": (np.array([[2.0]]), np.array([4.0])), "task": "regression", "validation": 0.0, "test": 0.0}
    layers = [{"kind": "dense", "width": 1, "init": given([[1.0]]), "bias_init": given([0.0])}]
    spec = spec_of(data | {"scale": "none"}, layers, loss="squared_error", optimizer="sgd 0.1")
    blocks = json.loads(explain(spec).json())["blocks"]
    arrays = {block["name"]: block["values"] for block in blocks if "values" in block}
    assert arrays["x"] == [[2]]
    assert arrays["z"] == [[2]]
    assert arrays["L"] == 2
    assert arrays["dL/dz"] == [[-2]]
    assert arrays["dL/dW"] == [[-4]]
    assert arrays["dL/db"] == [-2]
    assert arrays["W after"] == [[pytest.approx(1.4, rel=1e-15)]]
    assert arrays["b after"] == [pytest.approx(0.2, rel=1e-15)]


def test_three_logits_and_one_step_of_adam_by_hand():
    # z = (2, 1, 0.1), class 0. Exponentials 7.389056, 2.718282, 1.105171, their sum 11.212509.
    source = (np.ones((1, 1)), np.array([[1, 0, 0]]))
    data = {"source": source, "task": "multilabel", "validation": 0.0, "test": 0.0, "scale": "none"}
    layers = [{"kind": "dense", "width": 3, "init": given([[2.0, 1.0, 0.1]])}, "softmax"]
    spec = spec_of(data, layers, loss="cross_entropy", optimizer="adam 0.01")
    page = explain(spec)
    loss = numbers(page, "Loss: softmax and cross_entropy")
    np.testing.assert_allclose(loss["probabilities"], [[0.659001, 0.242433, 0.098566]], atol=1e-6)
    assert loss["t"].tolist() == [[1, 0, 0]]
    assert loss["L"] == pytest.approx(0.417030, abs=1e-6)
    g = numbers(page, "Update: b of layer 1")["g"]
    np.testing.assert_allclose(g, [-0.340999, 0.242433, 0.098566], atol=1e-6)
    update = numbers(page, "Update: b of layer 1")
    np.testing.assert_allclose(update["m after"], 0.1 * g, rtol=1e-12)
    np.testing.assert_allclose(update["v after"], 0.001 * g**2, rtol=1e-12)
    np.testing.assert_allclose(update["m̂"], g, rtol=1e-12)
    np.testing.assert_allclose(update["v̂"], g**2, rtol=1e-12)
    np.testing.assert_allclose(update["Δ"], [0.01, -0.01, -0.01], rtol=1e-6)
    assert (update["m before"] == 0).all()


def test_all_numbers_agree_with_pytorch():
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    spec = spec_of("moons 40", ["dense 4", "gelu", "layer_norm", "dense 2", "softmax"])
    page = explain(spec, step=3)
    batch = numbers(page, "The batch")
    first = numbers(page, "Forward: layer 1, dense 4")
    third = numbers(page, "Forward: layer 4, dense 2")
    scale = numbers(page, "Forward: layer 3, layer_norm")
    leaves = [
        torch.tensor(array, requires_grad=True)
        for array in (first["W"], first["b"], scale["gamma"], scale["beta"], third["W"], third["b"])
    ]
    w1, b1, gamma, beta, w2, b2 = leaves
    z1 = torch.tensor(batch["x"], dtype=torch.float64) @ w1 + b1
    y1 = torch.nn.functional.gelu(z1)
    y2 = torch.nn.functional.layer_norm(y1, (4,), gamma, beta, 1e-5)
    z2 = y2 @ w2 + b2
    loss = torch.nn.functional.cross_entropy(z2, torch.tensor(batch["target"].astype(np.int64)))
    for tensor in (z1, y1, y2, z2):
        tensor.retain_grad()
    loss.backward()

    def same(ours, tensor):
        np.testing.assert_allclose(ours, tensor.detach().numpy(), rtol=1e-10, atol=1e-14)

    same(first["z"], z1)
    same(numbers(page, "Forward: layer 2, gelu")["y"], y1)
    same(scale["y"], y2)
    same(third["z"], z2)
    same(numbers(page, "Loss: softmax and cross_entropy")["L"], loss)
    same(numbers(page, "Delta of the output")["dL/dz"], z2.grad)
    same(numbers(page, "Backward: layer 4, dense 2")["dL/dx"], y2.grad)
    same(numbers(page, "Backward: layer 3, layer_norm")["dL/dx"], y1.grad)
    activation = numbers(page, "Backward: layer 2, gelu")
    same(activation["dL/dz"], z1.grad)
    np.testing.assert_allclose(activation["dL/dy"] * activation["f'(z)"], activation["dL/dz"], rtol=1e-14)
    below = numbers(page, "Backward: layer 1, dense 4")
    same(below["dL/dz"], z1.grad)
    gradients = [below["dL/dW"], below["dL/db"]]
    gradients += [numbers(page, "Backward: layer 3, layer_norm")[f"dL/d{name}"] for name in ("gamma", "beta")]
    gradients += [numbers(page, "Backward: layer 4, dense 2")[f"dL/d{name}"] for name in ("W", "b")]
    for gradient, leaf in zip(gradients, leaves, strict=True):
        same(gradient, leaf.grad)


@pytest.mark.parametrize("entry", OPTIMIZERS, ids=name_of)
def test_parameters_after_the_step_equal_those_of_the_training(entry):
    spec = small(optimizer=entry.part, regularization={"weight_decay": 0.1, "max_norm": 1.5})
    step = 2 if entry.part.full_batch else 7
    page = explain(spec, step)
    (point,) = replay(Session.load(spec), [step]).states
    for layer, name in ((1, "W"), (1, "b"), (3, "W"), (3, "b")):
        expected = getattr(point.state.params[layer - 1], name)
        update = numbers(page, f"Update: {name} of layer {layer}")
        np.testing.assert_array_equal(update[f"{name} after"], expected)
        np.testing.assert_allclose(update[f"{name} before"] + update["Δ"], expected, rtol=1e-14)
        for moment in getattr(point.state.moments, "_fields", ()):
            of_training = getattr(getattr(point.state.moments, moment)[layer - 1], name)
            np.testing.assert_array_equal(update[f"{moment} after"], of_training)


@pytest.mark.parametrize("entry", [e for e in OPTIMIZERS if isinstance(e.part, Adam)], ids=name_of)
def test_the_corrected_moments_give_the_update_of_adam(entry):
    part = entry.part
    page = explain(small(optimizer=part), step=5)
    for heading in ("Update: W of layer 1", "Update: b of layer 3"):
        update = numbers(page, heading)
        expected = -part.learning_rate * update["m̂"] / (np.sqrt(update["v̂"]) + part.epsilon)
        if heading == "Update: W of layer 1":
            expected = expected - part.learning_rate * getattr(part, "weight_decay", 0.0) * update["W before"]
        np.testing.assert_allclose(update["Δ"], expected, rtol=1e-12)


CHECKED = {
    "a batch with padding": (small(training={"batch_size": 16}), 3),
    "features of a linear unit": (spec_of("xor", ["products", "dense 1", "sigmoid"]), 2),
    "adaline": (Spec.of({"data": {"source": "and"}, "network": {"kind": "adaline"}}), 8),
    "batch_norm, dropout and noise, in pieces": (
        spec_of(
            "moons 40",
            ["gaussian_noise", "dense 5", "batch_norm", "swish", "dropout 0.3", "dense 2", "softmax"],
            training={"accumulate": 2},
            loss={"kind": "cross_entropy", "label_smoothing": 0.1},
        ),
        3,
    ),
    "a residual block": (
        spec_of("moons 40", [{"kind": "residual", "layers": ["dense 4", "tanh"]}, "layer_norm", "dense 1", "sigmoid"]),
        3,
    ),
    "penalties, clipping and an average": (
        small(
            regularization={"l1": 0.01, "l2": 0.1, "biases": True},
            training={"clip": {"kind": "global_norm", "limit": 0.01}, "average": 0.9},
        ),
        4,
    ),
    "a regression": (spec_of("wave 50", ["dense 4", "softplus", "dense 1"], loss="huber"), 2),
    "softmax with a squared error": (spec_of("xor", ["dense 3", "tanh", "dense 2", "softmax"], loss="mse"), 5),
    "held parameters": (
        spec_of(
            "moons 40",
            [
                {"kind": "dense", "width": 4, "trainable": ["b"]},
                {"kind": "layer_norm", "trainable": False},
                {"kind": "residual", "layers": [{"kind": "dense", "width": 4, "bias": False}, "tanh"]},
                {"kind": "dense", "width": 1, "trainable": ["W"]},
                "sigmoid",
            ],
            regularization={"l2": 0.1, "biases": True, "weight_decay": 0.01, "max_norm": 1.0},
        ),
        3,
    ),
    "many layers": (spec_of("moons 40", [*["dense 4", "tanh"] * 8, "dense 2", "softmax"]), 2),
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_equal_the_slopes_of_the_loss(name):
    spec, step = CHECKED[name]
    check = check_of(explain(spec, step, check=True))
    assert check.holds
    assert check.measured > 0


@pytest.mark.parametrize("entry", LAYERS, ids=name_of)
def test_every_layer_is_explained_in_every_form_and_checked(entry):
    page = explain(spec_of("moons 40", ["dense 4", entry.part, "dense 2", "softmax"]), step=2, check=True)
    assert check_of(page).holds
    assert all(page.render(form) for form in FORMS)


@pytest.mark.parametrize("entry", LOSSES, ids=name_of)
def test_every_loss_is_explained_and_checked(entry):
    assert check_of(explain(spec_of("moons 40", ["dense 4", "tanh", "dense 2"], loss=entry.part), check=True)).holds


@pytest.mark.parametrize("name", ["xor", "rings", "flowers", "digits", "deep-residual"])
def test_gradients_of_the_examples_equal_the_slopes_of_the_loss(name):
    assert check_of(explain(read_spec(name, ["training.engine=eager"]), check=True)).holds


def test_the_check_finds_a_wrong_derivative(monkeypatch):
    monkeypatch.setattr(Tanh, "derivative", lambda self, z, y: 1 - 0.999 * y * y)
    page = explain(small(), check=True)
    assert not check_of(page).holds
    (table,) = (block for block in section(page, headings(page)[-1]) if isinstance(block, Table))
    # The layers above the wrong slope are right.
    assert [row[0] for row in table.rows if row[-1] > 1e-6] == ["W of layer 1", "b of layer 1"]


def test_entries_at_a_kink_are_left_out():
    # The row (0, 0) of xor meets every ReLU at its kink while the biases are 0.
    page = explain(spec_of("xor", ["dense 4", "relu", "dense 1", "sigmoid"]), check=True)
    assert "kink" in words(page)
    (table,) = (block for block in section(page, headings(page)[-1]) if isinstance(block, Table))
    compared = {row[0]: row[1] for row in table.rows}
    assert compared["W of layer 1"] == "8 of 8"
    assert compared["b of layer 1"] != "4 of 4"
    assert check_of(page).holds


def test_a_step_with_infinite_numbers_does_not_pass_the_check():
    spec = spec_of("wave 50", ["dense 4", "relu", "dense 1"], optimizer="sgd 1e200")
    assert not check_of(explain(spec, step=2, check=True)).holds


def test_the_pieces_of_a_batch_are_joined():
    whole = explain(small(training={"batch_size": 8}), step=1)
    pieces = explain(small(training={"batch_size": 4, "accumulate": 2}), step=1)
    for heading in ("Forward: layer 1, dense 3", "Backward: layer 2, tanh", "Backward: layer 1, dense 3"):
        one = numbers(whole, heading)
        other = numbers(pieces, heading)
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-12, err_msg=name)


def test_a_sample_is_one_row_of_the_whole_batch():
    whole = explain(small(), step=2)
    single = explain(small(), step=2, sample=5)
    assert headings(whole) == headings(single)
    rows = 0
    for heading in headings(whole):
        one = numbers(single, heading)
        for name, array in numbers(whole, heading).items():
            if array.shape == one[name].shape:
                np.testing.assert_array_equal(one[name], array)
            else:
                np.testing.assert_array_equal(one[name], array[[5]])
                rows += 1
    assert rows > 15


def test_the_loss_after_the_step_is_that_of_the_new_parameters():
    spec = spec_of("and", ["dense 1", "sigmoid"], optimizer="gradient_descent 0.5")
    (table,) = (block for block in section(explain(spec, step=1), "After the step") if isinstance(block, Table))
    following = numbers(explain(spec, step=2), "Loss: sigmoid and binary_cross_entropy")["L"]
    assert table.rows[0][2] == pytest.approx(float(following), rel=1e-12)


def test_the_middle_of_many_layers_is_in_tables_alone():
    page = explain(CHECKED["many layers"][0])
    shown = [text for text in headings(page) if text.startswith("Forward")]
    assert [text.split()[2].strip(",") for text in shown] == ["1", "2", "3", "15", "16", "17"]
    tables = [block for block in section(page, "All layers, and the gradients") if isinstance(block, Table)]
    assert [len(table.rows) for table in tables] == [17, 18]
    assert "11 layers" in words(page)


@pytest.mark.parametrize(("step", "sample", "range_"), [(0, None, "1 to 80"), (81, None, "1 to 80"), (1, 8, "0 to 7")])
def test_steps_and_rows_out_of_range_are_rejected(step, sample, range_):
    with pytest.raises(InputError, match=range_):
        explain(small(), step, sample)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_divergence_before_the_step_is_reported(engine):
    spec = spec_of("wave 50", ["dense 4", "relu", "dense 1"], optimizer="sgd 1e8", training={"engine": engine})
    run = run_spec(spec)
    what, _, step = run.diverged.partition(" at step ")
    with pytest.raises(InputError) as error:
        explain(spec, step=80)
    assert f"diverges at step {step.split()[0]}: {what}" in str(error.value)


def test_ignored_schedules_and_stopping_rules_are_mentioned():
    spec = small(optimizer={"kind": "sgd", "learning_rate": {"kind": "plateau", "initial": 0.1}})
    assert "learning rate depends on a measure" in words(explain(spec))
    assert "Early stopping" in words(explain(small(stopping={"patience": 3, "measure": "loss"})))
    assert "measure" not in words(explain(small()))
    assert "Early stopping" not in words(explain(small()))


def test_the_perceptron_moves_on_its_mistakes():
    spec = Spec.of({"data": {"source": "or"}, "network": {"kind": "perceptron", "learning_rate": 0.5}})
    mistakes = 0
    for step in range(1, 9):
        page = explain(spec, step)
        batch = numbers(page, "The batch")
        z = numbers(page, "Forward: layer 1, dense 1")["z"]
        missed = batch["target"] - (z[:, 0] > 0)
        mistakes += abs(int(missed[0]))
        assert numbers(page, "Delta of the output")["dl/dz"].tolist() == [[-missed[0]]]
        assert numbers(page, "Update: W of layer 1")["Δ"].tolist() == (0.5 * missed * batch["x"].T).tolist()
        assert numbers(page, "Update: b of layer 1")["Δ"].tolist() == (0.5 * missed).tolist()
    assert mistakes >= 2


def thalweg_explain(*arguments, cwd=None):
    command = [sys.executable, "-m", "thalweg", "explain", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=dict(os.environ))


def test_the_command_explains_a_step_of_a_run(tmp_path):
    spec = small(training={"epochs": 2})
    run_spec(spec, folder=tmp_path / "run")
    done = thalweg_explain(tmp_path / "run", "--step", 3, "--format", "json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == explain(spec, step=3).json()


def test_the_command_rejects_a_step_out_of_range(tmp_path):
    done = thalweg_explain("xor", "--step", 301, cwd=tmp_path)
    assert done.returncode == 2
    assert "1 to 300" in done.stderr
    assert done.stdout == ""


def test_the_page_of_full_mnist_is_short(mnist_folder):
    page = explain(read_spec("mnist", ["training.engine=eager"]), sample=1)
    assert numbers(page, "Forward: layer 1, dense 256")["W"].shape == (784, 256)
    assert numbers(page, "Forward: layer 1, dense 256")["z"].shape == (1, 256)
    assert len(page.json()) < 300_000


def test_a_small_network_shows_the_update_of_every_array():
    spec = small()
    page = explain(spec)
    (point,) = replay(Session.load(spec), [0]).states
    places = [place for place, _ in arrays_of(point.state.params)]
    assert len([text for text in headings(page) if text.startswith("Update")]) == len(places) == 4
