"""Recipes: a plain loop with equal numbers for equal seeds, edits that do what their lines say, remedies that win."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: recipes; make torch installs it")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import thalweg  # noqa: E402
from thalweg.core.errors import InputError  # noqa: E402
from thalweg.doctor.findings import Remedy  # noqa: E402
from thalweg.experiments.remedy_trials.score import NoScoreError  # noqa: E402
from thalweg.watching.recipes import trials  # noqa: E402
from thalweg.watching.recipes.edits import EDITS, edited, lines_of  # noqa: E402
from thalweg.watching.recipes.loop import train  # noqa: E402
from thalweg.watching.recipes.modules import bare  # noqa: E402
from thalweg.watching.recipes.origin import load_recipe  # noqa: E402
from thalweg.watching.recipes.parts import batches  # noqa: E402
from thalweg.watching.recipes.proving import prove_recipe  # noqa: E402
from thalweg.watching.recipes.random_change import random_change  # noqa: E402
from thalweg.watching.recipes.remedies import remedies_for  # noqa: E402
from thalweg.watching.recipes.scoring import constant_score, score_of  # noqa: E402

FILE = Path(__file__).with_name("ring_recipes.py")


@pytest.fixture(scope="module")
def rings():
    sys.path.insert(0, str(FILE.parent))
    try:
        import ring_recipes
    finally:
        sys.path.pop(0)
    return ring_recipes


def parts_with(recipe, changes=None, seed=0):
    return recipe.parts(recipe.rows(), seed, changes or {})


def weights(model):
    return torch.cat([tensor.reshape(-1) for tensor in model.state_dict().values()])


def regression(**changed):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(120, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 1
    options = {
        "model": lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)),
        "data": lambda: ((x[:80], y[:80]), (x[80:], y[80:])),
        "loss": nn.MSELoss(),
        "optimizer": lambda parameters: torch.optim.Adam(parameters, lr=0.05),
        "epochs": 6,
        "batch_size": 16,
    }
    return thalweg.Recipe(**{**options, **changed})


# The recipe and its loop ----------------------------------------------------------------------------------------------


def test_the_loop_is_that_of_a_plain_training(rings):
    trained = rings.healthy.train(3)
    (x, y), (held_out_x, held_out_y) = rings.rows()
    torch.manual_seed(3)
    model = rings.model()
    optimizer = rings.adam(model.parameters())
    order = torch.Generator().manual_seed(3)
    for _ in range(5):
        for batch in torch.randperm(160, generator=order).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    assert torch.equal(weights(model), weights(trained.model))
    assert trained.score == (model(held_out_x).argmax(1) == held_out_y).double().mean().item()


def test_equal_seeds_are_equal_to_the_bit_and_leave_the_random_state(rings):
    torch.manual_seed(11)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, second, other = rings.healthy.train(1), rings.healthy.train(1), rings.healthy.train(2)
    assert torch.equal(weights(first.model), weights(second.model))
    assert not torch.equal(weights(first.model), weights(other.model))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


def test_a_changed_recipe_starts_with_the_same_weights_and_order(rings):
    plain, faster = parts_with(rings.healthy), parts_with(rings.healthy, {"learning_rate": 0.1, "dropout": 0.3})
    assert torch.equal(weights(plain.model), weights(faster.model))


def test_wrong_options_are_named_at_once():
    model = nn.Linear(1, 1)
    with pytest.raises(InputError) as caught:
        thalweg.Recipe(
            model=model, data=lambda x: x, loss=3, optimizer=torch.optim.SGD(model.parameters(), 0.1),
            epochs=0, batch_size=2.5, score="f1", schedule=lambda: None, clip=-1,
        )  # fmt: skip
    places = {problem.place for problem in caught.value.problems}
    assert places == {"model", "data", "loss", "optimizer", "epochs", "batch_size", "score", "schedule", "clip"}


@pytest.mark.parametrize(
    "changed",
    [
        {"model": lambda: 3},
        {"model": lambda: nn.ReLU()},
        {"model": lambda: 1 / 0},
        {"model": lambda: nn.Linear(5, 1)},
        {"data": lambda: 3},
        {"data": lambda: ((torch.zeros(5, 3), torch.zeros(4)), (torch.zeros(5, 3), torch.zeros(5)))},
        {"data": lambda: ((torch.zeros(5, 3), torch.zeros(5)), (torch.zeros(5, 2), torch.zeros(5)))},
        {"optimizer": lambda parameters: None},
        {"loss": nn.MSELoss(reduction="none")},
        {"score": lambda outputs, targets: "good"},
    ],
)
def test_parts_that_do_not_fit_are_one_clear_error(changed):
    with pytest.raises(InputError):
        regression(**changed).train()


def test_a_loss_may_be_made_by_its_class_or_by_a_function():
    plain = regression(loss=nn.MSELoss()).train(3)
    for loss in (nn.MSELoss, lambda: nn.MSELoss(), nn.functional.mse_loss):
        assert torch.equal(weights(regression(loss=loss).train(3).model), weights(plain.model))


def test_rows_come_from_arrays_datasets_and_loaders():
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    dataset = TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
    loader = DataLoader(dataset, batch_size=8, shuffle=False)
    part = torch.utils.data.Subset(dataset, range(40))
    plain, parted, loaded = (
        regression(batch_size=None, data=lambda d=d: (d, (x, y))).rows() for d in ((x, y), part, loader)
    )
    for other in (parted, loaded):
        assert torch.equal(plain.x, other.x)
        assert torch.equal(plain.y, other.y)
    assert (plain.batch_size, plain.shuffle, loaded.batch_size, loaded.shuffle) == (32, True, 8, False)


def test_the_score_follows_the_targets():
    x = torch.randn(60, 3)
    kinds = {"accuracy": [torch.arange(60) % 3, (x[:, :1] > 0).float()], "r2": [x[:, :1], 2.0 * (x[:, :1] > 0)]}
    for score, targets in kinds.items():
        for y in targets:
            assert parts_with(regression(data=lambda y=y: ((x, y), (x, y)))).score == score


def test_a_training_that_diverges_has_no_score():
    trained = regression(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e12), epochs=20).train()
    assert trained.diverged
    assert math.isnan(trained.score)


def test_schedule_and_clipping_act():
    def halved(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    trained = regression(schedule=halved).train()
    assert [record["learning_rate"] for record in trained.history] == [0.05 * 0.5**epoch for epoch in range(6)]
    # Plain steps are as long as the clipped gradients, 5 updates of length at most 0.01 in each of 6 epochs.
    recipe = regression(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0), clip=0.01)
    distance = (weights(recipe.train().model) - weights(parts_with(recipe).model)).norm()
    assert 0 < distance <= 30 * 0.01 * 1.001


def test_a_single_row_joins_the_batch_before_it():
    assert [len(batch) for batch in batches(33, 16)] == [16, 17]
    assert sorted(torch.cat(batches(33, 16, torch.Generator().manual_seed(0))).tolist()) == list(range(33))


# Scores ---------------------------------------------------------------------------------------------------------------


def test_scores_agree_with_scikit_learn():
    from sklearn.metrics import accuracy_score, r2_score

    rng = np.random.default_rng(0)
    y, outputs = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    found = score_of("r2", torch.tensor(outputs), torch.tensor(y), "MSELoss")
    assert found == pytest.approx(r2_score(y, outputs))
    labels, scores = rng.integers(3, size=30), rng.normal(size=(30, 3))
    found = score_of("accuracy", torch.tensor(scores), torch.tensor(labels), "CrossEntropyLoss")
    assert found == accuracy_score(labels, scores.argmax(1))
    one_hot = np.eye(3)[labels]
    assert score_of("accuracy", torch.tensor(scores), torch.tensor(one_hot), "CrossEntropyLoss") == found
    binary, logits = rng.integers(2, size=30), rng.normal(size=(30, 1))
    for name, output in (("BCEWithLogitsLoss", logits), ("BCELoss", 1 / (1 + np.exp(-logits)))):
        found = score_of("accuracy", torch.tensor(output), torch.tensor(binary), name)
        assert found == accuracy_score(binary, logits[:, 0] > 0)
    assert constant_score("accuracy", torch.tensor([0, 1, 1, 2])) == 0.5


# Edits ----------------------------------------------------------------------------------------------------------------

VALUES = {
    "relu_behind": ["0"],
    "output_activation": "none", "activation": "gelu", "normalization": "batch_norm", "dropout": 0.3, "init": "he",
    "trainable": True, "rows": "finite", "inputs": "standardized", "targets": "standardized", "loss": "mse",
    "output_shape": "targets", "optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1,
    "clip": 0.5, "schedule": "cosine", "batch_size": 8, "shuffle": False, "epochs": 2,
}  # fmt: skip
OF_CLASSES = {"labels": "binary", "class_weights": "balanced"}


def labelled(low=0.0, high=1.0, **changed):
    """A rare label, coded by two numbers."""
    x = torch.randn(600, 3, generator=torch.Generator().manual_seed(2))
    y = torch.where(x[:, :1] > 1.3, high, low)
    options = {
        "data": lambda: ((x[:400], y[:400]), (x[400:], y[400:])), "loss": nn.BCEWithLogitsLoss(), "epochs": 20,
        "model": lambda: nn.Linear(3, 1), "optimizer": lambda p: torch.optim.Adam(p, lr=0.05),
    }  # fmt: skip
    return regression(**(options | changed))


def test_labels_are_those_of_the_loss_whatever_their_codes_are():
    plain, coded = labelled(), labelled(-1.0, 1.0)
    repaired = parts_with(coded, {"labels": "binary"})
    assert train(repaired, 0).score == train(parts_with(plain), 0).score > train(parts_with(coded), 0).score
    assert "labels" in labels_of(coded)
    assert "labels" not in labels_of(plain)
    for low, high in ((-1.0, 1.0), (0.0, 255.0), (1.0, 2.0)):
        targets = torch.tensor([low, high, high])
        assert score_of("accuracy", torch.tensor([-3.0, 2.0, -1.0]), targets, "BCEWithLogitsLoss") == 2 / 3
        assert score_of("accuracy", targets, targets, "MSELoss") == 1


def test_weights_make_classes_count_alike():
    outputs, targets = torch.randn(10, 1), torch.tensor([[0.0]] * 8 + [[1.0]] * 2)
    recipe = labelled(data=lambda: ((torch.randn(10, 3), targets), (torch.randn(10, 3), targets)))
    loss = parts_with(recipe, {"class_weights": "balanced"}).loss(outputs, targets)
    each = nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    assert float(loss) == pytest.approx(float((each[:8].sum() + 4 * each[8:].sum()) / 10))
    assert "class_weights" in labels_of(recipe)
    assert "class_weights" not in labels_of(regression())
    logits, classes = torch.randn(10, 2), targets[:, 0].long()
    several = labelled(
        data=lambda: ((torch.randn(10, 3), classes), (torch.randn(10, 3), classes)),
        model=lambda: nn.Linear(3, 2), loss=nn.CrossEntropyLoss(),
    )  # fmt: skip
    loss = parts_with(several, {"class_weights": "balanced"}).loss(logits, classes)
    each = nn.functional.cross_entropy(logits, classes, reduction="none")
    assert float(loss) == pytest.approx(float((each[:8].mean() + each[8:].mean()) / 2))


def test_every_edit_trains_and_has_lines():
    assert {**VALUES, **OF_CLASSES}.keys() == EDITS.keys()
    for place, value in OF_CLASSES.items():
        assert math.isfinite(train(parts_with(labelled(), {place: value, "epochs": 1}), 0).score), place
        assert lines_of({place: value})
    recipe = regression(model=lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.ReLU()))
    for place, value in VALUES.items():
        parts = parts_with(recipe, {place: value, "epochs": 1})
        assert math.isfinite(train(parts, 0).score), place
        assert lines_of({place: value})


def test_edits_of_the_model_do_what_they_say():
    recipe = regression()
    model = parts_with(recipe, {"activation": "gelu", "normalization": "batch_norm", "dropout": 0.3}).model
    kinds = [type(module).__name__ for module in model.modules() if not list(module.children())]
    assert kinds == ["Linear", "BatchNorm1d", "GELU", "Dropout", "Linear"]
    ends = regression(model=lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)))
    assert isinstance(parts_with(ends, {"output_activation": "none"}).model[1], nn.Identity)
    stack = regression(model=lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)))
    found = parts_with(stack, {"relu_behind": ["0", "1"], "normalization": "batch_norm"}).model
    kinds = [type(module).__name__ for module in found.modules() if not list(module.children())]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]

    def frozen():
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).requires_grad_(False)

    assert all(
        parameter.requires_grad
        for parameter in parts_with(regression(model=frozen), {"trainable": True}).model.parameters()
    )
    deep = regression(model=lambda: nn.Sequential(nn.Linear(3, 400), nn.ReLU(), nn.Linear(400, 1)))
    he = parts_with(deep, {"init": "he"}).model
    assert he[0].weight.std().item() == pytest.approx(math.sqrt(2 / 3), rel=0.1)
    assert he[0].bias.abs().max() == 0


class Listed(nn.Module):
    """Layers of a list that are called one after the other in a loop."""

    def __init__(self, between=lambda x: x, trained=True):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 1)]).requires_grad_(trained)
        self.between = between

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.between(layer(x))
        return self.layers[-1](x)


class Nested(nn.Module):
    """Convolutions of a module of its own with batch normalisation, dropout and a reshape on the way, in an order of
    calls that is not that in which they were registered."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 2)
        self.body = nn.ModuleDict({"second": nn.Conv1d(4, 4, 3), "first": nn.Conv1d(1, 4, 3)})
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, x):
        x = self.body["second"](self.drop(self.norm(self.body["first"](x))))
        return self.head(x.flatten(1))


class Thrown(nn.Module):
    """Its activation is called, and its result is not used."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.second = nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)

    def forward(self, x):
        hidden = self.first(x)
        self.act(hidden)
        return self.second(hidden)


class Code(nn.Module):
    """A linear code that is an output too; its encoder and decoder are one layer each."""

    def __init__(self, layers):
        super().__init__()
        self.encoder, self.decoder = layers

    def forward(self, x):
        code = self.encoder(x)
        return self.decoder(code), code


@pytest.mark.parametrize(
    ("model", "shape", "names"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)), (2, 3), ["0"]),
        (Listed, (2, 3), ["layers.0", "layers.1"]),
        (lambda: Listed(trained=False), (2, 3), ["layers.0", "layers.1"]),
        (lambda: Listed(torch.relu), (2, 3), []),
        (Nested, (2, 1, 8), ["body.second", "body.first"]),
        (Thrown, (2, 3), ["first"]),
        (lambda: Code([nn.Linear(3, 2), nn.Linear(2, 3)]), (2, 3), []),
        (lambda: Code([nn.Linear(3, 3)] * 2), (2, 3), []),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (2, 5, 4), []),
    ],
)
def test_bare_modules_are_those_that_are_called_one_after_the_other(model, shape, names):
    torch.manual_seed(0)
    module, x = model(), torch.randn(shape)
    before = weights(module)
    assert bare(module, x) == names
    assert torch.equal(weights(module), before)
    assert not any(child._forward_hooks for child in module.modules())


def test_relu_is_put_between_modules_that_a_forward_of_its_own_calls():
    recipe = regression(model=Listed)
    (remedy,) = (remedy for remedy in remedies_for(parts_with(recipe)) if remedy.changes[0][0] == "relu_behind")
    changes = dict(remedy.changes)
    # An independent oracle: the same network with the activations in its forward.
    torch.manual_seed(0)
    written = Listed(torch.relu)
    x = torch.randn(5, 3)
    assert torch.equal(parts_with(recipe, changes).model(x), written(x))
    # The lines that the user gets make the same network.
    torch.manual_seed(0)
    model = Listed()
    exec(lines_of(changes), {"model": model, "nn": nn})
    assert torch.equal(model(x), written(x))
    assert "relu_behind" not in labels_of(regression(model=lambda: Listed(torch.relu)))


BROADCAST = pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")


@BROADCAST
def test_edits_of_the_rows_and_the_loss():
    x = 100 + 50 * torch.randn(90, 2)
    y = 1000 * x[:, 0]
    recipe = regression(data=lambda: ((x[:60], y[:60]), (x[60:], y[60:])), model=lambda: nn.Linear(2, 1), epochs=60)
    scaled = parts_with(recipe, {"inputs": "standardized", "targets": "standardized", "output_shape": "targets"})
    torch.testing.assert_close(scaled.rows.x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    # The score is in units of the targets: it would be bad if outputs were not turned back.
    assert train(scaled, 0).score > 0.9
    assert recipe.train().score < 0.5
    outputs, targets = torch.randn(5, 1), torch.randn(5)
    shaped = parts_with(recipe, {"output_shape": "targets"}).loss(outputs, targets)
    assert shaped == nn.functional.mse_loss(outputs[:, 0], targets)


def test_edits_of_the_optimizer_keep_the_ratio_of_rates():
    def two_groups(parameters):
        first, *others = parameters
        return torch.optim.SGD([{"params": [first], "lr": 0.2}, {"params": others, "lr": 0.1}])

    parts = parts_with(regression(optimizer=two_groups), {"learning_rate": 1.0, "weight_decay": 0.3})
    groups = parts.optimizer(parts.model).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1.0, 0.3), (0.5, 0.3)]


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (lambda: nn.LSTM(3, 4), {"activation": "relu"}),
        (lambda: nn.Linear(3, 1), {"relu_behind": ["hidden"]}),
        (lambda: nn.Linear(3, 1), {"normalization": "batch_norm"}),
        (lambda: nn.LSTM(3, 4), {"output_activation": "none"}),
        (lambda: nn.Linear(3, 1), {"dropout": 0.2}),
    ],
)
def test_an_edit_that_finds_nothing_to_change_is_an_error(model, changes):
    with pytest.raises(InputError):
        parts_with(regression(model=model), changes)


def test_random_changes_have_as_many_places_and_can_be_edited():
    recipe = regression()
    for seed in range(10):
        changes = random_change(parts_with(recipe), np.random.default_rng(seed), 2)
        assert len(changes) == 2
        assert edited(parts_with(recipe), changes, 0)


# Remedies -------------------------------------------------------------------------------------------------------------


def labels_of(recipe):
    return {place for remedy in remedies_for(parts_with(recipe)) for place, _ in remedy.changes}


def test_remedies_belong_to_what_the_recipe_has():
    sound = labels_of(regression())
    assert not sound & {"inputs", "targets", "trainable", "shuffle", "schedule_off"}
    x = 200 * torch.rand(60, 3)
    changed = regression(
        data=lambda: ((x, 1000 * x[:, 0]), (x, 1000 * x[:, 0])),
        model=lambda: nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Dropout(0.9), nn.Linear(4, 1), nn.ReLU()),
        shuffle=False, clip=1e-6, optimizer=lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=1.0),
    )  # fmt: skip
    assert labels_of(changed) >= {
        "inputs", "targets", "trainable", "shuffle", "clip", "weight_decay", "dropout", "output_activation",
        "output_shape",
    }  # fmt: skip


class Called(nn.Module):
    """A softmax that a model calls as a function."""

    def forward(self, x):
        return x.softmax(1)


def test_a_function_behind_the_last_layer_is_left_out(rings):
    recipe = dataclasses.replace(rings.healthy, model=lambda: nn.Sequential(rings.model(), Called()))
    parts = parts_with(recipe, {"output_activation": "none"})
    x = parts.rows.x
    torch.testing.assert_close(parts.model(x).softmax(1), parts_with(recipe).model(x))


@pytest.mark.parametrize(
    ("end", "loss", "changes"),
    [
        (nn.Softmax(1), nn.CrossEntropyLoss(), {"output_activation": "none", "loss": "cross_entropy"}),
        (nn.Softmax(1), nn.NLLLoss(), {"output_activation": "none", "loss": "cross_entropy"}),
        (nn.Identity(), nn.NLLLoss(), {"loss": "cross_entropy"}),
        (Called(), nn.CrossEntropyLoss(), {"output_activation": "none", "loss": "cross_entropy"}),
        (Called(), nn.NLLLoss(), {"output_activation": "none", "loss": "cross_entropy"}),
        (nn.LogSoftmax(1), nn.NLLLoss(), None),
        (nn.Identity(), nn.CrossEntropyLoss(), None),
    ],
)
def test_output_and_loss_that_do_not_belong_together(end, loss, changes, rings):
    recipe = dataclasses.replace(rings.healthy, model=lambda: nn.Sequential(nn.Linear(2, 3), end), loss=loss)
    found = [dict(remedy.changes) for remedy in remedies_for(parts_with(recipe)) if dict(remedy.changes).get("loss")]
    assert found == ([changes] if changes else [])


# Proofs ---------------------------------------------------------------------------------------------------------------


def test_the_right_remedy_wins_and_the_random_change_does_not(rings, tmp_path):
    remedies = [
        Remedy("larger", (("learning_rate", 0.3),)),
        Remedy("smaller", (("learning_rate", 1e-6),)),
        Remedy("decay", (("weight_decay", 0.1),)),
        Remedy("dropout", (("dropout", 0.5),)),
    ]
    proof = thalweg.prove(rings.slow, remedies, jobs=1, folder=tmp_path / "proof")
    assert proof.chosen == ("larger",)
    assert proof.repair.arm.mean > 0.9 > proof.unchanged.mean
    assert proof.repair.against_control == "better"
    assert "0.3" in proof.lines
    assert (tmp_path / "proof" / "repaired.py").read_text(encoding="utf-8").strip() == proof.lines
    # A trial is a plain training of the changed recipe.
    repaired = train(parts_with(rings.slow, proof.changes, seed=2), 2)
    assert proof.repair.arm.values[2] == repaired.score


@pytest.mark.slow
def test_a_convolutional_network_that_begins_at_zero_is_repaired_by_its_start(rings):
    def images():
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        rows = torch.tensor(x / 8 - 1, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(y)
        return tuple(each[:600] for each in rows), tuple(each[600:1000] for each in rows)

    def model():
        model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10))
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model

    recipe = dataclasses.replace(rings.healthy, model=model, data=images, optimizer=rings.adam, epochs=3)
    proof = thalweg.prove(recipe, jobs=1)
    assert "init" in proof.changes
    assert proof.repair.arm.mean > 0.8 > 0.2 > proof.unchanged.mean


def test_a_healthy_recipe_gets_no_repair(rings):
    remedies = [Remedy("slower", (("learning_rate", 1e-6),)), Remedy("leaky", (("activation", "leaky_relu"),))]
    for tried in (remedies, [*remedies, Remedy("batch norm", (("normalization", "batch_norm"),))]):
        proof = thalweg.prove(rings.healthy, tried, jobs=1, seeds=3)
        assert proof.changes is None
        assert proof.unchanged.mean > 0.9
        assert not any(effect.verdict == "helps" for effect in proof.effects)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def faulty(fault, rings):
    """A recipe with a planted fault, and the places of which a repair changes one."""

    def zeros():
        model = rings.model()
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model

    def shifted():
        return tuple((1e3 * x + 2e4, y) for x, y in rings.rows())

    def deep():
        hidden = [nn.Sequential(nn.Linear(2 if place == 0 else 12, 12), nn.Sigmoid()) for place in range(6)]
        return nn.Sequential(*hidden, nn.Linear(12, 3))

    def decayed(parameters):
        return torch.optim.SGD(parameters, lr=0.1, weight_decay=5.0)

    recipe = dataclasses.replace(rings.healthy, epochs=10)
    return {
        "zeros": (dataclasses.replace(recipe, model=zeros, optimizer=sgd), {"init"}),
        "inputs": (dataclasses.replace(recipe, data=shifted), {"inputs", "normalization"}),
        "clip": (dataclasses.replace(recipe, optimizer=sgd, clip=1e-6), {"clip", "optimizer"}),
        "decay": (dataclasses.replace(recipe, optimizer=decayed), {"weight_decay", "optimizer"}),
        "deep": (dataclasses.replace(recipe, model=deep), {"activation", "normalization", "init"}),
        "rate": (
            dataclasses.replace(recipe, optimizer=lambda p: torch.optim.SGD(p, lr=300.0)),
            {"learning_rate", "optimizer"},
        ),
    }[fault]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["zeros", "inputs", "clip", "decay", "deep", "rate"])
def test_planted_faults_are_repaired(fault, rings):
    recipe, places = faulty(fault, rings)
    proof = thalweg.prove(recipe, jobs=1)
    assert proof.changes is not None
    assert proof.changes.keys() & places
    sound = np.mean([dataclasses.replace(rings.healthy, epochs=10).train(seed).score for seed in range(20, 25)])
    way = (proof.repair.arm.mean - proof.unchanged.mean) / (sound - proof.unchanged.mean)
    assert way >= 0.9


@pytest.mark.slow
def test_trials_in_processes_are_those_of_this_process():
    remedies = [Remedy("slower", (("learning_rate", 0.02),)), Remedy("clip", (("clip", 1.0),))]
    here, there = (prove_recipe(FILE, remedies, jobs=jobs, seeds=2) for jobs in (1, 2))
    assert [effect.arm.values.tolist() for effect in here.effects] == [
        effect.arm.values.tolist() for effect in there.effects
    ]


def test_lambdas_and_programs_are_refused_before_processes_start(monkeypatch):
    with pytest.raises(InputError) as caught:
        thalweg.prove(regression(), jobs=2)
    assert {"model", "data", "optimizer"} <= {problem.place for problem in caught.value.problems}
    monkeypatch.setattr(parts_with, "__module__", "__main__")
    with pytest.raises(InputError, match="__main__"):
        thalweg.prove(regression(model=parts_with.__get__(regression())), jobs=2)


def test_trials_that_a_folder_holds_are_not_run_again(rings, tmp_path, monkeypatch):
    remedies = [Remedy("larger", (("learning_rate", 0.3),))]
    first = thalweg.prove(rings.slow, remedies, jobs=1, seeds=2, folder=tmp_path / "proof")
    monkeypatch.setattr(trials, "train", lambda *given: pytest.fail("a trial was run again"))
    again = thalweg.prove(rings.slow, remedies, jobs=1, seeds=2, folder=tmp_path / "proof")
    assert again.describe()["remedies"] == first.describe()["remedies"]


def test_ctrl_c_ends_a_proof(rings):
    calls = []

    def optimizer(parameters):
        calls.append(0)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return rings.adam(parameters)

    with pytest.raises(KeyboardInterrupt):
        thalweg.prove(dataclasses.replace(rings.healthy, optimizer=optimizer), jobs=1)


def test_rows_that_cannot_score_are_an_error(rings):
    (x, y), held_out = rings.rows()
    few = dataclasses.replace(rings.healthy, data=lambda: ((x, y), (held_out[0][:10], held_out[1][:10])))
    with pytest.raises(NoScoreError):
        thalweg.prove(few, jobs=1)
    alike = dataclasses.replace(rings.healthy, data=lambda: ((x, y), (held_out[0], 0 * held_out[1])))
    with pytest.raises(NoScoreError):
        thalweg.prove(alike, jobs=1)


def test_a_time_limit_includes_everything(rings):
    proof = thalweg.prove(rings.slow, jobs=1, minutes=1e-6)
    assert proof.changes is None
    assert proof.remarks


# Files and the shell --------------------------------------------------------------------------------------------------


def test_a_file_gives_its_recipe_or_one_clear_error(tmp_path):
    assert load_recipe(FILE).epochs == 5
    with pytest.raises(InputError):
        load_recipe(tmp_path / "nowhere.py")
    wrong = {
        "x = 1\ny = 1 / 0\n": "line 2",
        "import sys\nsys.exit(3)\n": "line 2: SystemExit",
        "x =\n": "SyntaxError",
        "recipe = 3\n": "recipe",
        "": "recipe",
    }
    for number, (text, reason) in enumerate(wrong.items()):
        path = tmp_path / f"file{number}.py"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=reason):
            load_recipe(path)
    path = tmp_path / "function.py"
    path.write_text(
        textwrap.dedent(
            """
            import torch, thalweg
            x = torch.zeros(9, 1)
            def recipe():
                return thalweg.Recipe(model=lambda: torch.nn.Linear(1, 1), data=lambda: ((x, x), (x, x)),
                                      loss=torch.nn.MSELoss(), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
            """
        ),
        encoding="utf-8",
    )
    assert load_recipe(path).batch_size is None


def test_the_doctor_examines_a_file(shell, tmp_path):
    finished = shell("doctor", str(FILE), "--json", "-q", cwd=tmp_path)
    assert finished.returncode == 1
    assert "running the code" in finished.stderr
    assert "lr-too-low" in finished.stdout
    assert shell("doctor", str(FILE), "--set", "a.b=1", cwd=tmp_path).returncode == 2


def test_only_a_recipe_that_learns_puts_the_fault_into_the_loop(shell, tmp_path):
    from thalweg.watching.recipes.proof import DOES_NOT_LEARN, LEARNS

    def shown(lines):
        path = tmp_path / "made.py"
        path.write_text(f"import dataclasses, sys\nsys.path.insert(0, {str(FILE.parent)!r})\n{lines}", encoding="utf-8")
        return " ".join(shell("doctor", str(path), cwd=tmp_path).stdout.split())

    learning = shown("from ring_recipes import healthy\nrecipe = dataclasses.replace(healthy, epochs=20)\n")
    assert LEARNS in learning
    assert DOES_NOT_LEARN not in learning
    stuck = shown("from ring_recipes import slow\nrecipe = slow\n")
    assert DOES_NOT_LEARN in stuck
    assert LEARNS not in stuck


@pytest.mark.slow
def test_the_doctor_proves_a_remedy_of_a_file(shell, tmp_path):
    words = ("doctor", str(FILE), "--prove", "--seeds", "8", "--jobs", "1", "--out", "proof", "--json", "-q")
    finished = shell(*words, cwd=tmp_path)
    assert finished.returncode == 1
    shown = json.loads(finished.stdout)
    assert "lr" in shown["proof"]["repaired"]["lines"]
    assert (tmp_path / "proof" / "repaired.py").is_file()


def test_wrong_options_for_a_file_are_said(shell, tmp_path):
    assert shell("doctor", str(FILE), "--fail-on", "nothing", cwd=tmp_path).returncode == 2


def test_a_row_that_is_not_finite_is_left_out():
    x = torch.linspace(-1, 1, 64)[:, None]
    y, held_out_y = 2 * x, 2 * x
    y[5], held_out_y[3] = -math.inf, math.nan
    recipe = thalweg.Recipe(
        model=lambda: torch.nn.Linear(1, 1),
        data=lambda: ((x, y), (x, held_out_y)),
        loss=torch.nn.MSELoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.3),
        score="r2",
    )
    assert math.isnan(recipe.train().score)
    assert (len(recipe.rows().held_out_y), recipe.rows().not_scored) == (63, 1)
    proof = thalweg.prove(recipe, jobs=1, seeds=3)
    assert proof.changes is not None
    assert proof.changes["rows"] == "finite"
    assert "y_train.isfinite()" in proof.lines
    assert proof.lines in proof.summary().markdown()
    assert "1 held-out row with" in " ".join(proof.remarks)
