"""A step told number by number: against hand-worked numbers, PyTorch, and the training itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from parts_table import LAYERS, LOSSES, OPTIMIZERS, name_of

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.insight.explain import explain, formulas
from thalweg.pages.blocks import ArrayBlock, Check, Heading, Table, Text
from thalweg.pages.page import FORMS
from thalweg.parts.layers import Tanh
from thalweg.parts.optimizers import Adam
from thalweg.parts.part import Layer, Loss, Optimizer, Part
from thalweg.runs.train import run_spec
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.spec.toml import read_spec
from thalweg.training.replay import replay


def spec_of(data, layers, **sections):
    training = {"engine": "eager", "batch_size": 8, **sections.pop("training", {})}
    return Spec.of({"data": data, "network": {"layers": layers}, "training": training, **sections})


def small(**sections):
    return spec_of("moons 40", ["dense 3", "tanh", "dense 2", "softmax"], **sections)


def part_of(sheet, heading):
    """The blocks below a heading."""
    blocks = iter(sheet.blocks)
    next(block for block in blocks if isinstance(block, Heading) and block.text == heading)
    found = []
    for block in blocks:
        if isinstance(block, Heading):
            break
        found.append(block)
    return found


def numbers(sheet, heading):
    """The numbers below a heading, by their names."""
    return {block.name: block.values for block in part_of(sheet, heading) if isinstance(block, ArrayBlock)}


def headings(sheet):
    return [block.text for block in sheet.blocks if isinstance(block, Heading)]


def words(sheet):
    return " ".join(block.text for block in sheet.blocks if isinstance(block, Text))


def claim(sheet):
    (found,) = (block for block in sheet.blocks if isinstance(block, Check))
    return found


def given(values):
    return {"kind": "given", "values": values}


def test_one_weight_by_hand_through_json():
    # w = 1, b = 0, x = 2, y = 4: prediction 2, loss (2-4)²/2 = 2, gradients -2 * 2 and -2; w = 1 + 0.1 * 4.
    data = {"source": (np.array([[2.0]]), np.array([4.0])), "task": "regression", "validation": 0.0, "test": 0.0}
    layers = [{"kind": "dense", "width": 1, "init": given([[1.0]]), "bias_init": given([0.0])}]
    spec = spec_of(data | {"scale": "none"}, layers, loss="squared_error", optimizer="sgd 0.1")
    blocks = json.loads(explain(spec).json())["blocks"]
    told = {block["name"]: block["values"] for block in blocks if block["kind"] == "numbers"}
    assert told["x"] == [[2]]
    assert told["z"] == [[2]]
    assert told["L"] == 2
    assert told["dL/dz"] == [[-2]]
    assert told["dL/dW"] == [[-4]]
    assert told["dL/db"] == [-2]
    assert told["W after"] == [[pytest.approx(1.4, rel=1e-15)]]
    assert told["b after"] == [pytest.approx(0.2, rel=1e-15)]


def test_three_logits_and_one_step_of_adam_by_hand():
    # z = (2, 1, 0.1), class 0. Exponentials 7.389056, 2.718282, 1.105171, their sum 11.212509.
    source = (np.ones((1, 1)), np.array([[1, 0, 0]]))
    data = {"source": source, "task": "multilabel", "validation": 0.0, "test": 0.0, "scale": "none"}
    layers = [{"kind": "dense", "width": 3, "init": given([[2.0, 1.0, 0.1]])}, "softmax"]
    spec = spec_of(data, layers, loss="cross_entropy", optimizer="adam 0.01")
    sheet = explain(spec)
    loss = numbers(sheet, "Loss: softmax and cross_entropy")
    np.testing.assert_allclose(loss["probabilities"], [[0.659001, 0.242433, 0.098566]], atol=1e-6)
    assert loss["t"].tolist() == [[1, 0, 0]]
    assert loss["L"] == pytest.approx(0.417030, abs=1e-6)
    g = numbers(sheet, "Update: b of layer 1")["g"]
    np.testing.assert_allclose(g, [-0.340999, 0.242433, 0.098566], atol=1e-6)
    update = numbers(sheet, "Update: b of layer 1")
    np.testing.assert_allclose(update["m after"], 0.1 * g, rtol=1e-12)
    np.testing.assert_allclose(update["v after"], 0.001 * g**2, rtol=1e-12)
    np.testing.assert_allclose(update["m̂"], g, rtol=1e-12)
    np.testing.assert_allclose(update["v̂"], g**2, rtol=1e-12)
    np.testing.assert_allclose(update["Δ"], [0.01, -0.01, -0.01], rtol=1e-6)
    assert (update["m before"] == 0).all()


def test_all_told_numbers_are_pytorchs():
    torch = pytest.importorskip("torch", reason="LEFT OUT: PyTorch as an oracle; make torch installs it")
    spec = spec_of("moons 40", ["dense 4", "gelu", "layer_norm", "dense 2", "softmax"])
    sheet = explain(spec, step=3)
    batch = numbers(sheet, "The batch")
    first, third = numbers(sheet, "Forward: layer 1, dense 4"), numbers(sheet, "Forward: layer 4, dense 2")
    scale = numbers(sheet, "Forward: layer 3, layer_norm")
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

    def same(told, tensor):
        np.testing.assert_allclose(told, tensor.detach().numpy(), rtol=1e-10, atol=1e-14)

    same(first["z"], z1)
    same(numbers(sheet, "Forward: layer 2, gelu")["y"], y1)
    same(scale["y"], y2)
    same(third["z"], z2)
    same(numbers(sheet, "Loss: softmax and cross_entropy")["L"], loss)
    same(numbers(sheet, "Delta of the output")["dL/dz"], z2.grad)
    same(numbers(sheet, "Backward: layer 4, dense 2")["dL/dx"], y2.grad)
    same(numbers(sheet, "Backward: layer 3, layer_norm")["dL/dx"], y1.grad)
    activation = numbers(sheet, "Backward: layer 2, gelu")
    same(activation["dL/dz"], z1.grad)
    np.testing.assert_allclose(activation["dL/dy"] * activation["f'(z)"], activation["dL/dz"], rtol=1e-14)
    below = numbers(sheet, "Backward: layer 1, dense 4")
    same(below["dL/dz"], z1.grad)
    told = [below["dL/dW"], below["dL/db"]]
    told += [numbers(sheet, "Backward: layer 3, layer_norm")[f"dL/d{name}"] for name in ("gamma", "beta")]
    told += [numbers(sheet, "Backward: layer 4, dense 2")[f"dL/d{name}"] for name in ("W", "b")]
    for gradient, leaf in zip(told, leaves, strict=True):
        same(gradient, leaf.grad)


@pytest.mark.parametrize("entry", OPTIMIZERS, ids=name_of)
def test_the_parameters_after_the_step_are_those_of_the_training(entry):
    spec = small(optimizer=entry.part, regularization={"weight_decay": 0.1, "max_norm": 1.5})
    step = 2 if entry.part.full_batch else 7
    sheet = explain(spec, step)
    split = spec.data.load(0)
    (point,) = replay(completed(spec, split.train), split, [step])
    for layer, name in ((1, "W"), (1, "b"), (3, "W"), (3, "b")):
        expected = getattr(point.state.params[layer - 1], name)
        update = numbers(sheet, f"Update: {name} of layer {layer}")
        np.testing.assert_array_equal(update[f"{name} after"], expected)
        np.testing.assert_allclose(update[f"{name} before"] + update["Δ"], expected, rtol=1e-14)
        for moment in getattr(point.state.moments, "_fields", ()):
            of_training = getattr(getattr(point.state.moments, moment)[layer - 1], name)
            np.testing.assert_array_equal(update[f"{moment} after"], of_training)


@pytest.mark.parametrize("entry", [e for e in OPTIMIZERS if isinstance(e.part, Adam)], ids=name_of)
def test_the_corrected_moments_are_what_adams_update_is_made_of(entry):
    part = entry.part
    sheet = explain(small(optimizer=part), step=5)
    for heading in ("Update: W of layer 1", "Update: b of layer 3"):
        told = numbers(sheet, heading)
        expected = -part.learning_rate * told["m̂"] / (np.sqrt(told["v̂"]) + part.epsilon)
        if heading == "Update: W of layer 1":
            expected = expected - part.learning_rate * getattr(part, "weight_decay", 0.0) * told["W before"]
        np.testing.assert_allclose(told["Δ"], expected, rtol=1e-12)


CHECKED = {
    "a batch with padding": (small(training={"batch_size": 16}), 3),
    "features of a linear unit": (spec_of("xor", ["products", "dense 1", "sigmoid"]), 2),
    "adaline": (Spec.of({"data": {"source": "and"}, "network": {"kind": "adaline"}}), 8),
    "normalised, with masks and noise, in pieces": (
        spec_of(
            "moons 40",
            ["gaussian_noise", "dense 5", "batch_norm", "swish", "dropout 0.3", "dense 2", "softmax"],
            training={"accumulate": 2},
            loss={"kind": "cross_entropy", "label_smoothing": 0.1},
        ),
        3,
    ),
    "a way around, and layers within": (
        spec_of("moons 40", [{"kind": "residual", "layers": ["dense 4", "tanh"]}, "layer_norm", "dense 1", "sigmoid"]),
        3,
    ),
    "penalties, clipping, an average": (
        small(
            regularization={"l1": 0.01, "l2": 0.1, "biases": True},
            training={"clip": {"kind": "global_norm", "limit": 0.01}, "average": 0.9},
        ),
        4,
    ),
    "a regression": (spec_of("wave 50", ["dense 4", "softplus", "dense 1"], loss="huber"), 2),
    "a poor pairing": (spec_of("xor", ["dense 3", "tanh", "dense 2", "softmax"], loss="mse"), 5),
    "many layers": (spec_of("moons 40", [*["dense 4", "tanh"] * 8, "dense 2", "softmax"]), 2),
}


@pytest.mark.parametrize("name", CHECKED)
def test_the_gradients_are_the_slopes_of_the_loss(name):
    spec, step = CHECKED[name]
    found = claim(explain(spec, step, check=True))
    assert found.holds
    assert found.measured > 0


@pytest.mark.parametrize("entry", LAYERS, ids=name_of)
def test_every_layer_is_told_in_every_form_and_checked(entry):
    sheet = explain(spec_of("moons 40", ["dense 4", entry.part, "dense 2", "softmax"]), step=2, check=True)
    assert claim(sheet).holds
    assert all(sheet.render(form) for form in FORMS)


@pytest.mark.parametrize("entry", LOSSES, ids=name_of)
def test_every_loss_is_told_and_checked(entry):
    assert claim(explain(spec_of("moons 40", ["dense 4", "tanh", "dense 2"], loss=entry.part), check=True)).holds


@pytest.mark.parametrize("name", ["xor", "rings", "flowers", "digits", "deep-residual"])
def test_the_gradients_of_the_examples_are_the_slopes_of_the_loss(name):
    assert claim(explain(read_spec(name, ["training.engine=eager"]), check=True)).holds


def test_the_check_sees_a_derivative_that_is_wrong(monkeypatch):
    monkeypatch.setattr(Tanh, "derivative", lambda self, z, y: 1 - 0.999 * y * y)
    sheet = explain(small(), check=True)
    assert not claim(sheet).holds
    (table,) = (block for block in part_of(sheet, headings(sheet)[-1]) if isinstance(block, Table))
    # What lies above the wrong slope is right.
    assert [row[0] for row in table.rows if row[-1] > 1e-6] == ["W of layer 1", "b of layer 1"]


def test_a_kink_is_told_and_left_out():
    # The row (0, 0) of xor meets every ReLU at its kink while the biases are 0.
    sheet = explain(spec_of("xor", ["dense 4", "relu", "dense 1", "sigmoid"]), check=True)
    assert "they lie at a kink" in words(sheet)
    (table,) = (block for block in part_of(sheet, headings(sheet)[-1]) if isinstance(block, Table))
    compared = {row[0]: row[1] for row in table.rows}
    assert compared["W of layer 1"] == "8 of 8"
    assert compared["b of layer 1"] != "4 of 4"
    assert claim(sheet).holds


def test_a_step_whose_numbers_are_lost_does_not_pass_the_check():
    spec = spec_of("wave 50", ["dense 4", "relu", "dense 1"], optimizer="sgd 1e200")
    assert not claim(explain(spec, step=2, check=True)).holds


def test_pieces_of_a_batch_are_told_as_one():
    whole = explain(small(training={"batch_size": 8}), step=1)
    pieces = explain(small(training={"batch_size": 4, "accumulate": 2}), step=1)
    for heading in ("Forward: layer 1, dense 3", "Backward: layer 2, tanh", "Backward: layer 1, dense 3"):
        one, other = numbers(whole, heading), numbers(pieces, heading)
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-12, err_msg=name)


def test_a_sample_is_one_row_of_what_the_whole_batch_tells():
    whole, single = explain(small(), step=2), explain(small(), step=2, sample=5)
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


def test_the_loss_after_the_step_is_that_of_the_moved_parameters():
    spec = spec_of("and", ["dense 1", "sigmoid"], optimizer="gradient_descent 0.5")
    (table,) = (block for block in part_of(explain(spec, step=1), "After the step") if isinstance(block, Table))
    following = numbers(explain(spec, step=2), "Loss: sigmoid and binary_cross_entropy")["L"]
    assert table.rows[0][2] == pytest.approx(float(following), rel=1e-12)


def test_of_many_layers_the_middle_is_told_in_tables():
    sheet = explain(CHECKED["many layers"][0])
    told = [text for text in headings(sheet) if text.startswith("Forward")]
    assert [text.split()[2].strip(",") for text in told] == ["1", "2", "3", "15", "16", "17"]
    tables = [block for block in part_of(sheet, "All layers, and the gradients") if isinstance(block, Table)]
    assert [len(table.rows) for table in tables] == [17, 18]
    assert "11 layers" in words(sheet)


@pytest.mark.parametrize(("step", "sample", "says"), [(0, None, "1 to 80"), (81, None, "1 to 80"), (1, 8, "0 to 7")])
def test_what_the_training_does_not_have_is_refused(step, sample, says):
    with pytest.raises(InputError, match=says):
        explain(small(), step, sample)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_training_that_diverges_before_the_step_is_named(engine):
    spec = spec_of("wave 50", ["dense 4", "relu", "dense 1"], optimizer="sgd 1e8", training={"engine": engine})
    run = run_spec(spec)
    what, _, step = run.diverged.partition(" at step ")
    with pytest.raises(InputError) as error:
        explain(spec, step=80)
    assert f"diverges at step {step.split()[0]}: {what}" in str(error.value)


@pytest.mark.parametrize("family", [Layer, Loss, Optimizer])
def test_every_kind_states_its_formulas(family: type[Part]):
    for kind in set(family.kinds.values()):
        found = formulas(kind)
        if kind.kind != "flatten":
            assert "=" in found.forward or "->" in found.forward, kind
        if family is not Optimizer:
            assert "d" in found.backward, kind
            assert "/d" in found.backward or "'" in found.backward, kind
        assert not any(line.endswith((",", ";")) for line in (found.forward + found.backward).splitlines()), kind


def test_what_a_told_step_can_not_know_is_said():
    spec = small(optimizer={"kind": "sgd", "learning_rate": {"kind": "plateau", "initial": 0.1}})
    assert "The learning rate follows a measure" in words(explain(spec))
    assert "it goes on to this step" in words(explain(small(stopping={"patience": 3, "measure": "loss"})))
    assert "measure" not in words(explain(small()))
    assert "goes on" not in words(explain(small()))


def test_the_perceptron_is_told_with_its_mistakes():
    spec = Spec.of({"data": {"source": "or"}, "network": {"kind": "perceptron", "learning_rate": 0.5}})
    mistakes = 0
    for step in range(1, 9):
        sheet = explain(spec, step)
        batch, z = numbers(sheet, "The batch"), numbers(sheet, "Forward: layer 1, dense 1")["z"]
        missed = batch["target"] - (z[:, 0] > 0)
        mistakes += abs(int(missed[0]))
        assert numbers(sheet, "Delta of the output")["dl/dz"].tolist() == [[-missed[0]]]
        assert numbers(sheet, "Update: W of layer 1")["Δ"].tolist() == (0.5 * missed * batch["x"].T).tolist()
        assert numbers(sheet, "Update: b of layer 1")["Δ"].tolist() == (0.5 * missed).tolist()
    assert mistakes >= 2


def thalweg_explain(*arguments, cwd=None):
    command = [sys.executable, "-m", "thalweg", "explain", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=dict(os.environ))


def test_the_shell_tells_the_step_of_a_run(tmp_path):
    spec = small(training={"epochs": 2})
    run_spec(spec, folder=tmp_path / "run")
    done = thalweg_explain(tmp_path / "run", "--step", 3, "--format", "json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == explain(spec, step=3).json()


def test_the_shell_refuses_what_there_is_not(tmp_path):
    done = thalweg_explain("xor", "--step", 301, cwd=tmp_path)
    assert done.returncode == 2
    assert "1 to 300" in done.stderr
    assert done.stdout == ""


def test_full_mnist_is_told_in_short(mnist_folder):
    sheet = explain(read_spec("mnist", ["training.engine=eager"]), sample=1)
    assert numbers(sheet, "Forward: layer 1, dense 256")["W"].shape == (784, 256)
    assert numbers(sheet, "Forward: layer 1, dense 256")["z"].shape == (1, 256)
    assert len(sheet.json()) < 300_000


def test_every_array_of_the_state_is_told_in_a_small_network():
    spec = small()
    sheet = explain(spec)
    split = spec.data.load(0)
    (point,) = replay(completed(spec, split.train), split, [0])
    places = [place for place, _ in arrays_of(point.state.params)]
    assert len([text for text in headings(sheet) if text.startswith("Update")]) == len(places) == 4
