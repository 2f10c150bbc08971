"""Suspects: whatever departs from its default or from its neighbours can be put back."""

from __future__ import annotations

import pytest

from thalweg.core.errors import InputError
from thalweg.doctor.findings import Remedy
from thalweg.doctor.interventions.spec_remedies import SpecRemedies
from thalweg.doctor.interventions.suspects import suspects
from thalweg.parts.part import Layer, Optimizer
from thalweg.parts.settings import Stopping
from thalweg.spec.edit import changed
from thalweg.spec.length import usual_stopping
from thalweg.spec.spec import Spec
from thalweg.training.session import Session

PLAIN = {
    "data": "rings 100",
    "network": {"layers": ["dense 8", "relu", "dense 8", "relu", "dense 2", "softmax"]},
    "optimizer": "adam 0.001",
    "training": {"engine": "eager", "epochs": 20},
}


def found(tables):
    session = Session.load(Spec.of(tables))
    spec = session.spec
    widths = [2, *(shape[-1] for shape in spec.network.layout((2,)).shapes)]
    usual = usual_stopping(spec.training, spec.optimizer, spec.data, session.split.train)
    return spec, suspects(spec, (), 0.001, widths, Remedy("", ()), usual)


def places(tables):
    return {suspect.place for suspect in found(tables)[1] if not suspect.compensates}


def test_a_plain_spec_has_no_suspect_but_amounts():
    assert places(PLAIN) == set()


def test_how_a_training_without_a_length_stops_by_itself_is_no_suspect():
    assert places({**PLAIN, "training": {"engine": "eager"}}) == set()
    assert places({**PLAIN, "training": {"engine": "eager"}, "stopping": {"patience": 7}}) == {"stopping"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"training.average": 0.99}, "training.average"),
        ({"training.clip": "value 1"}, "training.clip"),
        ({"training.accumulate": 4}, "training.accumulate"),
        ({"loss": {"kind": "cross_entropy", "label_smoothing": 0.5}}, "loss.label_smoothing"),
        ({"stopping": {"patience": 1}}, "stopping"),
        ({"regularization.max_norm": 1.0}, "regularization.max_norm"),
        ({"regularization.l1": 0.1}, "regularization.l1"),
        ({"optimizer.beta_1": 0.5}, "optimizer.beta_1"),
        ({"optimizer.learning_rate": {"kind": "exponential", "initial": 0.1, "every": 9}}, "optimizer.learning_rate"),
        ({"network.init": "zeros"}, "network.init"),
        ({"network.bias_init": "ones"}, "network.bias_init"),
        ({"network.layers.0.bias_init": "ones"}, "network.layers.0.bias_init"),
        ({"network.layers.2.trainable": False}, "network.layers.2.trainable"),
        ({"network.layers.3": "tanh"}, "network.layers.3"),
        ({"network.layers.2": "dense 1"}, "network.layers.2"),
        ({"network.layers.1": "dropout 0.3"}, "network.layers.1"),
        ({"network.layers.1": "gaussian_noise 2"}, "network.layers.1"),
        ({"network.layers.1": "linear"}, "network.layers.0"),
        ({"network.layers.1": "softmax", "network.layers.3": "softmax"}, "network.layers.1"),
        ({"network.layers": ["relu", *PLAIN["network"]["layers"]]}, "network.layers.0"),
        ({"network.layers.0": "radial 8"}, "network.layers.0"),
        ({"network.layers.0": "polynomial 3"}, "network.layers.0"),
        ({"data.scale": "none"}, "data.scale"),
        ({"data.order": "fixed"}, "data.order"),
    ],
)
def test_each_departure_is_a_suspect_whose_change_takes_it_away(changes, place):
    tables = Spec.of(PLAIN)
    spec, suspected = found(changed(tables, changes.items()).describe())
    (*_, suspect) = [one for one in suspected if one.place == place]
    repaired = changed(spec, suspect.remedy.changes)
    assert repaired != spec
    repaired_places = {one.place for one in found(repaired.describe())[1] if not one.compensates}
    assert repaired_places < {one.place for one in suspected if not one.compensates} | {"none"}


@pytest.mark.parametrize("kind", sorted({cls.kind for cls in Optimizer.kinds.values()}))
def test_the_options_of_every_optimizer_can_be_put_back(kind):
    spec, suspected = found({**PLAIN, "optimizer": kind})
    for suspect in suspected:
        assert isinstance(changed(spec, suspect.remedy.changes), Spec)


@pytest.mark.parametrize("kind", sorted({cls.kind for cls in Layer.kinds.values()}))
def test_every_kind_of_layer_can_be_a_suspect(kind):
    layers = list(PLAIN["network"]["layers"])
    layers.insert(1, {"kind": kind, **({"width": 4} if kind == "dense" else {})})
    try:
        spec, suspected = found({**PLAIN, "network": {"layers": layers}})
    except InputError:
        pytest.skip("needs more than its kind")
    assert len({repr(suspect.remedy.changes) for suspect in suspected}) == len(suspected)
    assert all(isinstance(changed(spec, suspect.remedy.changes), Spec) for suspect in suspected)


def test_the_label_of_a_default_shows_its_value():
    tables = {
        **PLAIN,
        "loss": {"kind": "cross_entropy", "label_smoothing": 0.5},
        "training": {"clip": "value 1", "accumulate": 4},
        "data": {"source": "rings 100", "order": "fixed"},
    }
    labels = {suspect.place: suspect.remedy.label for suspect in found(tables)[1]}
    places_with_defaults = {
        "loss.label_smoothing": "0.0",
        "training.clip": "none",
        "training.accumulate": "1",
        "data.order": "shuffled",
    }
    for place, default in places_with_defaults.items():
        assert labels[place].startswith(f"{place} = {default},")


def labels(tables):
    return {suspect.remedy.label: suspect.remedy for suspect in found(tables)[1]}


def test_layers_of_one_kind_are_taken_away_one_at_a_time_and_all_together():
    layers = ["dense 8", "batch_norm", "relu", "dense 8", "batch_norm", "relu", "dense 2", "softmax"]
    suspected = labels({**PLAIN, "network": {"layers": layers}})
    kinds = {
        label: [layer["kind"] for layer in remedy.changes[0][1]]
        for label, remedy in suspected.items()
        if label.startswith("the network without")
    }
    assert sorted(kept.count("batch_norm") for kept in kinds.values()) == [0, 1, 1]
    assert all(kept.count("dense") == 3 for kept in kinds.values())


def test_another_batch_has_the_rows_of_a_step():
    suspected = labels({**PLAIN, "training": {"engine": "eager", "batch_size": 2, "accumulate": 16}})
    assert dict(suspected["batches of 32"].changes) == {"training.batch_size": 32, "training.accumulate": None}


@pytest.mark.parametrize(
    ("layers", "loss", "output", "code"),
    [
        (["dense 2", "relu"], "cross_entropy", ("network.layers.1",), "output-activation"),
        (["dense 2", "softmax"], "mean_squared_error", ("loss",), "loss"),
        (["dense 2"], "softmax_cross_entropy", (), None),
        (["dense 2", "softmax"], "cross_entropy", (), None),
    ],
)
def test_an_output_or_a_loss_that_does_not_suit_the_task_is_a_suspect(layers, loss, output, code):
    spec = Session.load(Spec.of({**PLAIN, "network": {"layers": layers}, "loss": loss})).spec
    remedy = SpecRemedies(spec, "classification", 2, frozenset(), 0.001).output()
    suspected = suspects(spec, (), 0.001, [2, *[2] * len(layers)], remedy, Stopping())
    assert tuple(path for path, _ in remedy.changes) == output
    assert [one.code for one in suspected if one.remedy == remedy] == ([code] if code else [])


def larger(layers):
    return [suspect for suspect in found({**PLAIN, "network": {"layers": layers}})[1] if suspect.enlarges]


def test_larger_networks_make_up_for_faults_and_come_last():
    spec, suspected = found({**PLAIN, "network": {"layers": ["dense 3", "relu", "dense 2", "softmax"]}})
    assert [one.enlarges for one in sorted(suspected, key=lambda one: one.order)][-3:] == [True, True, True]
    for suspect in (one for one in suspected if one.enlarges):
        sizes = [
            sum(layer.width for layer in network.layers if layer.has_weights)
            for network in (spec.network, changed(spec, suspect.remedy.changes).network)
        ]
        assert sizes[0] < sizes[1]
        assert suspect.compensates


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        (["dense 3", "relu", "dense 2", "softmax"], "network.layers.0"),
        (["dense 3", "relu", "dense 4", "relu", "dense 2", "softmax"], "network.layers"),
        (["dense 64", "relu", "dense 2", "relu", "dense 2", "softmax"], "network.layers.2"),
    ],
)
def test_layers_that_are_narrower_than_usual_are_widened_alone(layers, place):
    (wider,) = [one for one in larger(layers) if all(path.endswith("width") for path, _ in one.remedy.changes)]
    assert wider.place == place
    assert [path for path, _ in wider.remedy.changes] == [
        f"network.layers.{index}.width"
        for index, layer in enumerate(layers[:-2])
        if layer.startswith("dense") and int(layer.split()[1]) < 32
    ]


def test_the_default_network_is_only_made_deeper():
    (deeper,) = larger(["dense 64", "relu", "dense 32", "relu", "dense 2", "softmax"])
    assert len(deeper.remedy.changes[0][1]) == 8


def test_an_option_of_several_layers_is_put_back_together_before_it_is_put_back_alone():
    layers = ["dense 8", "batch_norm 0.5", "relu", "dense 8", "batch_norm 0.5", "relu", "dense 2", "softmax"]
    _, suspected = found({**PLAIN, "network": {"layers": layers}})
    of_option = [[path for path, _ in one.changes] for one in suspected if one.place.endswith("momentum")]
    both = ["network.layers.1.momentum", "network.layers.4.momentum"]
    assert of_option == [both, both[:1], both[1:]]
    # So are layers that could be left out: all of a kind first.
    without = [dict(one.changes)["network.layers"] for one in suspected if "without" in one.remedy.label]
    counts = [sum(Layer.of(layer).kind == "batch_norm" for layer in left) for left in without]
    assert counts == [0, 1, 1]
