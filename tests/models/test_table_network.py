"""The network for tables: what it is made of, and that its members learn as if each were alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

import thalweg
from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.models.mlp import TableNetwork
from thalweg.models.network import Network
from thalweg.parts.layers.dense import Affine
from thalweg.parts.losses import MemberLoss
from thalweg.parts.optimizers import SGD
from thalweg.parts.part import ForwardContext, Loss
from thalweg.parts.settings import Training
from thalweg.spec.complete import completed
from thalweg.spec.spec import Spec
from thalweg.training.checkpoints import Checkpoint
from thalweg.training.fit import fit
from thalweg.training.session import Session


def frame(rows: int = 60) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    return pl.DataFrame(
        {"town": rng.choice(["Ulm", "Bern"], rows), "size": x, "old": x > 1, "price": 3 * x + rng.normal(size=rows)}
    )


def test_only_numbers_are_embedded_and_the_inputs_are_scaled_by_their_quartiles():
    spec = Spec.of({"data": {"source": frame(), "target": "price"}, "network": "table"})
    split = spec.prepared_data.load(0)
    whole = completed(spec, split.train)
    assert split.preprocessing.feature_names == ("town=Bern", "town=Ulm", "size", "old")
    (embedding,) = (layer for layer in whole.network.layers if layer.kind == "periodic")
    assert (embedding.columns, split.train.numbers) == ((2,), (2,))
    low, middle, high = np.quantile(split.train.x[:, 2], [0.25, 0.5, 0.75])
    assert (middle, high - low) == pytest.approx((0, 1), abs=1e-6)
    assert isinstance(whole.loss, MemberLoss)
    assert whole.loss.loss.kind == "mean_squared_error"


def test_a_number_of_two_values_is_not_embedded():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 2, 50), rng.normal(size=50), rng.integers(0, 3, 50), np.full(50, 7.0)])
    for columns, embedded in {(0, 1, 2, 3): [(1, 2)], (1, 2): [(0, 1)], (0, 3): []}.items():
        rows = Data.of({"source": (x[:, columns], x[:, 1])}).load(0).train
        layers = TableNetwork((8,)).for_rows(rows).layers
        assert [layer.columns for layer in layers if layer.kind == "periodic"] == embedded


def towns(rows: int = 400, count: int = 12) -> pl.DataFrame:
    """A table whose target depends on the category and on nothing else."""
    rng = np.random.default_rng(0)
    place = np.arange(rows) % count
    return pl.DataFrame(
        {"size": rng.normal(size=rows), "town": [f"town {i:02}" for i in place], "old": place > 3, "price": place % 5.0}
    )


def test_a_column_of_many_categories_is_one_input_and_its_vectors_are_learned(tmp_path):
    table = {"kind": "table", "hidden": [16], "members": 2, "vectors_above": 11, "category_width": 3}
    run = thalweg.train(
        table, towns(), target="price", epochs=400, engine="eager", folder=tmp_path / "run", progress=False
    )
    assert run.preprocessing.feature_names == ("size", "town", "old")
    first, _, _, periodic = run.spec.network.layers[:4]
    # 12 towns and the code of no known one, at the next power of two; the vectors come last.
    assert (first.kind, first.columns, first.sizes, periodic.columns) == ("embedding", (1,), (16,), (0,))
    loaded = thalweg.load(tmp_path / "run")
    rows = pl.DataFrame({"size": [0.0] * 5, "town": [f"town {i:02}" for i in range(5)], "old": [False] * 4 + [True]})
    assert np.abs(loaded.predict(rows).ravel() - np.arange(5)).max() < 0.6
    # A town that is not known, and no town, are the code 0.
    strange = pl.DataFrame({"size": [0.0, 0.0], "town": ["Ulm", None], "old": [True, True]})
    assert loaded.preprocessing.inputs(strange)[:, 1].tolist() == [0.0, 0.0]
    assert np.isfinite(loaded.predict(strange)).all()


def test_few_categories_are_an_input_each():
    both = towns().with_columns(pl.Series("kind", ["a", "b", "c", "d"] * 100))
    network = {"kind": "table", "vectors_above": 11}
    spec = Spec.of({"data": {"source": both.select("kind", "town", "size", "old", "price"), "target": "price"}})
    split = Spec(spec.data, TableNetwork.of(network)).prepared_data.load(0)
    assert split.train.codes == ((0, 5), (1, 13))
    layers = TableNetwork.of(network).for_rows(split.train).layers[:5]
    # Towns have a vector each, which comes last; kinds are inputs at the place of their column without towns.
    assert [layer.kind for layer in layers] == ["embedding", "one_hot", "smooth_clip", "scaling", "periodic"]
    assert (layers[0].columns, layers[1].columns, layers[1].sizes, layers[4].columns) == ((1,), (0,), (8,), (0,))
    network = Network(layers[:2])
    start = network.initialize(0, (4,))
    outputs = network.forward(start.params, start.states, split.train.x, ForwardContext(training=False)).outputs[-1]
    raw = np.eye(8)[split.train.x[:, 0].astype(int)][:, 1:]
    np.testing.assert_array_equal(outputs[:, -7:], raw)
    np.testing.assert_array_equal(outputs[:, :2], split.train.x[:, 2:])


def test_codes_of_categories_need_an_embedding_layer():
    spec = Spec.of({"data": {"source": towns(), "target": "price", "codes_above": 3}, "network": ["dense 1"]})
    split = spec.data.load(0)
    assert (split.train.codes, split.preprocessing.codes) == (((1, 13),), ((1, 13),))
    assert (split.preprocessing.shift[1], split.preprocessing.span[1]) == (0.0, 1.0)
    with pytest.raises(InputError, match=r"input 1 .* number of a category"):
        _ = Session(completed(spec, split.train), split).batches
    embedded = [{"kind": "embedding", "columns": [1], "sizes": [13], "width": 2}, "dense 1"]
    spec = Spec.of({"data": {"source": towns(), "target": "price", "codes_above": 3}, "network": embedded})
    assert Session(completed(spec, split.train), split).batches.per_epoch > 0


def test_a_member_learns_what_it_would_learn_alone():
    data = Data("iris", scale="robust").load(0)
    training = Training(epochs=4, batch_size=32, engine="eager")
    ensemble = TableNetwork((5,), members=3, embedding=0)
    # The mean over the members divides each gradient by their number.
    whole = completed(Spec(Data("iris"), ensemble, optimizer=SGD(0.3), training=training), data.train)
    # What all members share, the scale of the inputs, learns from the mean of them all.
    own_layers = Network([layer for layer in whole.network.layers if layer.kind != "scaling"])
    together = Session(dataclasses.replace(whole, network=own_layers), data)
    alone = Spec(Data("iris"), ["smooth_clip", "dense 5", "relu", "dense 3"], optimizer=SGD(0.1), training=training)
    single = Session(completed(alone, data.train), data)

    def of_member(params, member):
        clip, first, activation, last = params
        # The first layers of the members are one layer of 15 units.
        units = slice(5 * member, 5 * member + 5)
        own = Affine(first.W[:, units], first.b[units])
        return clip, own, activation, Affine(last.W[member], last.b[member])

    trained = fit(together).state.params
    for member in range(3):
        begin = single.start._replace(params=of_member(together.start.params, member))
        theirs = fit(single, resume=Checkpoint(begin)).state.params
        for ours, own in zip(of_member(trained, member), theirs, strict=True):
            for a, b in zip(ours, own, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("source", ["iris", "diabetes"])
def test_an_ensemble_is_saved_loaded_and_reported(source, tmp_path):
    network = {"kind": "table", "hidden": [6], "members": 2}
    run = thalweg.train(network, source, epochs=2, engine="eager", folder=tmp_path / "run", progress=False)
    x, y = run.rows().test.x, run.rows().test.y
    outputs = run.outputs_of(x)
    assert outputs.shape == (len(x), 3 if source == "iris" else 1)
    np.testing.assert_array_equal(thalweg.load(tmp_path / "run").outputs_of(x), outputs)
    if source == "iris":
        np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)
        assert run.measures["test"]["accuracy"] == pytest.approx(np.mean(outputs.argmax(axis=1) == y))
    run.export(onnx=tmp_path / "net.onnx")
    assert run.diagnose().findings is not None


def test_a_loss_with_other_members_than_the_network_is_refused():
    with pytest.raises(InputError, match="member_dense 3 4"):
        thalweg.train(["dense 3"], "iris", loss={"kind": "member_loss", "members": 4}, progress=False)


@pytest.mark.parametrize(
    ("given", "member"),
    [("cross_entropy", "softmax_cross_entropy"), ("binary_cross_entropy", "sigmoid_binary_cross_entropy")],
)
def test_members_end_with_logits_also_for_a_loss_on_probabilities(given, member):
    loss = TableNetwork().loss_of(Loss.of(given))
    assert (loss.kind, loss.loss.kind) == ("member_loss", member)
