"""Parts: the four forms that describe one, the way back, and what is said when something does not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from parts_table import FAMILIES, LOSSES, all_parts

from thalweg.core.errors import InputError, Problem, nearest
from thalweg.models.network import Network
from thalweg.parts.initializers import Given, HeNormal, Uniform
from thalweg.parts.layers import GELU, Dense, LeakyReLU, ReLU
from thalweg.parts.losses import Huber, MeanSquaredError
from thalweg.parts.optimizers import SGD, Adam, Momentum
from thalweg.parts.part import Initializer, Layer, Loss, Optimizer, Schedule
from thalweg.parts.schedules import Constant, Cosine, Joined, LinearWarmup

every_part = pytest.mark.parametrize("part", all_parts(), ids=lambda part: part.kind)


def problems_of(make) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        make()
    return {problem.place: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.family)
def test_every_kind_stands_in_the_table(family):
    entered = {type(entry.part) for entry in FAMILIES[family]}
    assert entered == set(family.kinds.values())


# The four forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "value", "expected"),
    [
        (Layer, ReLU(), ReLU()),
        (Layer, "relu", ReLU()),
        (Layer, {"kind": "relu"}, ReLU()),
        (Layer, "dense 128", Dense(128)),
        (Layer, {"kind": "dense", "width": 128}, Dense(128)),
        (Layer, "dense 8 he_normal zeros", Dense(8, Initializer.of("he_normal"), Initializer.of("zeros"))),
        (
            Layer,
            {"kind": "dense", "width": 2, "init": {"kind": "uniform", "low": -1, "high": 1}},
            Dense(2, Uniform(-1, 1)),
        ),
        (Layer, "  leaky_relu   0.2 ", LeakyReLU(0.2)),
        (Layer, "gelu true", GELU(tanh=True)),
        (Layer, "silu", Layer.of("swish")),
        (Loss, "huber 0.5", Huber(0.5)),
        (Loss, "mse", MeanSquaredError()),
        (Initializer, "uniform -1 1", Uniform(-1, 1)),
        (Initializer, {"kind": "given", "values": [[1, 2], [3, 4]]}, Given(((1, 2), (3, 4)))),
        (Schedule, "cosine 0.1", Cosine(0.1)),
        (Optimizer, {"kind": "adam", "learning_rate": {"kind": "cosine", "peak": 0.1}}, Adam(Cosine(0.1))),
        (Optimizer, {"kind": "sgd", "learning_rate": {"kind": "constant", "value": 1}}, SGD(Constant(1.0))),
    ],
    ids=str,
)
def test_a_part_is_made_from_each_form(family, value, expected):
    assert family.of(value) == expected
    assert type(family.of(value)) is type(expected)


@every_part
def test_describe_and_of_are_a_round_trip(part):
    table = part.describe()
    assert type(part).of(part) is part
    again = next(family for family in FAMILIES if isinstance(part, family)).of(table)
    assert again == part
    assert again.describe() == table


@every_part
def test_describe_gives_plain_values_alone(part):
    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(name, str) and plain(item) for name, item in value.items())
        return all(map(plain, value)) if isinstance(value, list) else type(value) in (bool, int, float, str)

    assert plain(part.describe())


@every_part
def test_parts_are_frozen_hashable_and_equal_by_value(part):
    same = dataclasses.replace(part)
    assert same == part
    assert hash(same) == hash(part)
    for field in dataclasses.fields(part):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, field.name, 1)


def test_numpys_numbers_become_plain_ones():
    assert type(Adam(np.float32(0.5)).learning_rate) is float
    assert type(Dense(np.int64(3)).width) is int
    assert type(SGD(1).learning_rate) is float


def test_of_a_concrete_part_takes_its_table_with_and_without_the_kind():
    assert Dense.of({"width": 3}) == Dense(3)
    assert Dense.of({"kind": "dense", "width": 3}) == Dense(3)
    assert Dense.of("dense 3") == Dense(3)


def test_options_in_words_reach_rates_too():
    assert Optimizer.of("sgd 0.1") == SGD(0.1)
    assert Optimizer.of("momentum 0.1 0.5") == Momentum(0.1, 0.5)


# What does not fit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "value", "hint"),
    [
        (Layer, "rellu", "did you mean 'relu'"),
        (Layer, "ReLU", "did you mean 'relu'"),
        (Optimizer, "adamm", "did you mean 'adam'"),
        (Loss, "cross entropy", "did you mean 'cross_entropy'|takes at most|unknown loss 'cross'"),
        (Initializer, "he_norml", "did you mean 'he_normal'"),
        (Schedule, "cosin", "did you mean 'cosine'"),
        (Optimizer, "xyzzy", "known: sgd,"),
        (Layer, {"width": 3}, "needs a kind"),
        (Layer, {"kind": "dens", "width": 3}, "did you mean 'dense'"),
        (Layer, 7, "expected a name or a table"),
        (Layer, None, "expected a name or a table"),
        (Layer, "relu 3", "relu"),
        (Layer, "dense 3 zeros zeros true true true", "at most 5 options"),
    ],
    ids=str,
)
def test_an_unknown_name_is_answered_with_the_nearest(family, value, hint):
    with pytest.raises(InputError, match=hint):
        family.of(value)


@pytest.mark.parametrize("value", ["", "  ", {"kind": ["relu"]}, {"kind": None}, {"kind": 3}], ids=str)
def test_an_empty_or_odd_name_is_an_input_error(value):
    with pytest.raises(InputError):
        Layer.of(value)


def test_unknown_and_missing_options_are_named():
    assert "is missing" in problems_of(lambda: Layer.of("dense"))["width"]
    assert "did you mean 'width'" in problems_of(lambda: Layer.of({"kind": "dense", "widht": 3}))["widht"]
    assert set(problems_of(lambda: Layer.of({"kind": "dense", "widht": 3}))) == {"width", "widht"}


def test_all_problems_of_a_network_are_told_at_once_with_their_places():
    table = {
        "layers": [
            "dense 3",
            {"kind": "dense", "width": 0, "init": "he", "extra": 1},
            "rellu",
            {"kind": "leaky_relu", "alpha": "x"},
        ],
        "init": {"kind": "uniform", "low": "a"},
        "depth": 3,
    }
    found = problems_of(lambda: Network.of(table))
    assert set(found) == {
        "layers[1].width",
        "layers[1].init",
        "layers[1].extra",
        "layers[2]",
        "layers[3].alpha",
        "init.low",
        "depth",
    }
    assert "greater than or equal to 1" in found["layers[1].width"]
    assert "'relu'" in found["layers[2]"]


def test_problems_in_nested_schedules_stand_at_their_places():
    assert set(problems_of(lambda: SGD(LinearWarmup({"kind": "cosine", "peak": -1}, steps=3)))) == {"then.peak"}
    table = {"kind": "momentum", "learning_rate": {"kind": "cosine", "peak": -1}, "momentum": 1.5}
    assert set(problems_of(lambda: Optimizer.of(table))) == {"learning_rate.peak", "momentum"}
    joined = {"kind": "joined", "schedules": ["constant 1", {"kind": "constant", "value": -1}], "boundaries": ["soon"]}
    found = problems_of(lambda: Schedule.of(joined))
    assert "schedules[1].value" in found
    assert "boundaries[0]" in found


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -0.1, "fast", None, True, [0.1]], ids=str)
def test_bad_rates_are_refused(bad):
    for make in (SGD, Adam, Momentum):
        assert list(problems_of(lambda make=make: make(bad))) == ["learning_rate"]


@pytest.mark.parametrize("bad", [1.0, -0.1, float("nan"), float("inf")])
def test_bad_fractions_are_refused(bad):
    assert list(problems_of(lambda: Momentum(0.1, bad))) == ["momentum"]
    assert list(problems_of(lambda: Adam(0.1, beta_2=bad))) == ["beta_2"]


@pytest.mark.parametrize("bad", [0, -3, 2.5, "x", None, float("nan"), float("inf")])
def test_bad_widths_are_refused(bad):
    assert list(problems_of(lambda: Dense(bad))) == ["width"]


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_bad_deltas_and_epsilons_are_refused(bad):
    assert list(problems_of(lambda: Huber(bad))) == ["delta"]
    assert list(problems_of(lambda: Adam(epsilon=bad))) == ["epsilon"]


def test_bad_numbers_of_layers_and_initializers_are_refused():
    assert list(problems_of(lambda: LeakyReLU(float("nan")))) == ["alpha"]
    assert list(problems_of(lambda: HeNormal(float("inf")))) == ["slope"]


def test_a_part_of_another_family_is_refused():
    assert list(problems_of(lambda: Network((Adam(),)))) == ["layers[0]"]
    assert list(problems_of(lambda: Dense(3, init=ReLU()))) == ["init"]
    with pytest.raises(InputError):
        Loss.of(LOSSES)


def test_a_network_without_layers_is_refused():
    assert list(problems_of(lambda: Network(()))) == ["layers"]


def test_a_single_schedule_may_be_written_in_short():
    assert Joined(("constant 1", "constant 2"), (10,)) == Joined((Constant(1), Constant(2)), (10,))


# Errors ---------------------------------------------------------------------------------------------------------------


def test_text_that_is_not_utf_8_is_refused_at_its_place():
    with pytest.raises(InputError) as raised:
        Dense.of({"width": 3, "trainable": ["caf\udce9"]})
    assert raised.value.problems[0].place == "trainable"


def test_places_are_joined_from_the_outside():
    problem = Problem("width", "too small")
    assert str(problem.below("layers[1]").below("network")) == "network.layers[1].width: too small"
    assert Problem("[2]", "x").below("layers").place == "layers[2]"
    assert Problem("", "x").below("loss").place == "loss"


def test_one_problem_is_one_line_and_several_are_a_list():
    assert str(InputError("Adam", "is wrong")) == "Adam: is wrong"
    text = str(InputError("Adam", [Problem("a", "x"), Problem("b", "y")]))
    assert text == "Adam: 2 problems\n  - a: x\n  - b: y"


def test_nearest_lists_all_names_where_none_is_near():
    assert nearest("qqqq", ["relu", "tanh"]) == "known: relu, tanh"


def test_a_part_that_lacks_its_rule_is_refused_when_it_is_made():
    try:

        @dataclasses.dataclass(frozen=True)
        class Unfinished(Layer, kind="unfinished"):
            pass

        with pytest.raises(TypeError, match="abstract"):
            Unfinished()
    finally:
        Layer.kinds.pop("unfinished", None)
