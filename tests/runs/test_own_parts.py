"""Parts that a user defines: a run with them names their module, and is read again once they are known."""

import json
from dataclasses import dataclass

import numpy as np
import polars
import pytest
from own_kinds import forgotten_kinds

import thalweg
from thalweg import layers
from thalweg.core.errors import InputError
from thalweg.parts.part import Layer


@pytest.fixture(autouse=True)
def cubic():
    """An activation of the user, which is known in a test alone."""
    with forgotten_kinds():

        @dataclass(frozen=True)
        class Cubic(layers.Activation, kind="own_cubic"):
            """y = z³;  dy/dz = 3 z²."""

            @property
            def output_range(self):
                return -np.inf, np.inf

            @property
            def steepest_slope(self):
                return np.inf

            def value(self, z):
                return z**3

            def derivative(self, z, y):
                return 3 * z**2

            def second_derivative(self, z, y):
                return 6 * z

        yield Cubic


NETWORK = ["dense 4", "own_cubic", "dense 2", "softmax"]


def trained(folder, **options):
    return thalweg.train(NETWORK, "rings", epochs=2, engine="eager", progress=False, folder=folder, **options)


def test_a_run_with_a_part_of_the_user_is_read_again(tmp_path):
    run = trained(tmp_path / "run")
    again = thalweg.load(tmp_path / "run")
    rows = np.array([[0.1, 0.2], [0.9, -0.4]])
    np.testing.assert_array_equal(again.predict_outputs(rows), run.predict_outputs(rows))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["own_parts"] == {"layer own_cubic": __name__}


def test_a_part_that_is_not_known_is_named_with_its_module(tmp_path, monkeypatch):
    trained(tmp_path / "run")
    monkeypatch.delitem(Layer.kinds, "own_cubic")
    with pytest.raises(InputError) as caught:
        thalweg.load(tmp_path / "run")
    (problem,) = caught.value.problems
    assert "own_cubic" in problem.message
    assert __name__ in problem.message


def test_a_run_without_such_parts_names_none(tmp_path):
    thalweg.train(None, "xor", epochs=1, engine="eager", progress=False, folder=tmp_path / "run")
    assert set(json.loads((tmp_path / "run" / "run.json").read_text())) == {"format"}


def test_a_callback_sees_the_training_and_stops_it():
    class StopAfter(thalweg.Callback):
        def __init__(self):
            self.epochs = []

        def on_progress(self, progress):
            if progress.epoch_ended:
                self.epochs.append(progress.epoch)
            if progress.epoch >= 2:
                self.stop = "that is enough"

    callback = StopAfter()
    run = thalweg.train(None, "rings", epochs=9, engine="eager", progress=False, callbacks=[callback])
    assert 2 <= len(run.history) < 9
    assert callback.epochs[-1] == len(run.history)


def test_a_target_names_the_column_of_a_frame():
    x = np.random.default_rng(0).standard_normal((60, 2))
    frame = polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "sign": x[:, 0] > 0})
    run = thalweg.train(["dense 1"], frame, target="a", epochs=1, engine="eager", progress=False)
    assert run.preprocessing.feature_names[0] == "b"
    with pytest.raises(InputError, match="c"):
        thalweg.train(None, frame, target="c", epochs=1, engine="eager", progress=False)


def test_the_version_is_that_of_the_package():
    assert thalweg.__version__.count(".") == 2
