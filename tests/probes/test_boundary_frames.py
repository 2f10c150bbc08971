"""Boundary frames: each shows the outputs of the network at its step, and recording them changes no training."""

from __future__ import annotations

import numpy as np
import pytest

import thalweg
from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.data import Data
from thalweg.probes.boundary_frames import FRAMES, BoundaryCallback, BoundaryFrames
from thalweg.runs.train import run_session, run_spec
from thalweg.spec.spec import Spec
from thalweg.training.session import Session

STEPS = 120


def spec(engine="eager", epochs=STEPS):
    return Spec.of(
        {
            "data": {"source": "xor"},
            "network": {"layers": ["dense 4", "tanh", "dense 2", "softmax"]},
            "optimizer": "adam 0.05",
            "training": {"engine": engine, "epochs": epochs, "batch_size": "full", "seed": 3},
        }
    )


def filmed(engine="eager", epochs=STEPS):
    seen = []

    session = Session.load(spec(engine, epochs))
    seen.append(BoundaryCallback.of(session.split.preprocessing, session.split.train, epochs))
    run = run_session(session, callbacks=seen)
    return run, seen[0].frames


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_training_that_is_looked_at_ends_bit_for_bit_as_one_that_is_not(engine):
    run, film = filmed(engine)
    alone = run_spec(spec(engine))
    for (_, seen), (_, unseen) in zip(arrays_of(run.state), arrays_of(alone.state), strict=True):
        np.testing.assert_array_equal(seen, unseen)
    assert run.history == alone.history
    assert film.steps.tolist() == np.unique(np.round(STEPS * (np.arange(16) / 15) ** 2)).tolist()


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_the_first_frame_is_the_start_the_last_the_run_and_one_between_a_shorter_training(engine):
    run, film = filmed(engine)
    places = np.stack(np.meshgrid(film.x, film.y), axis=-1).reshape(-1, 2)

    def told(run):
        return run.predict_outputs(places).reshape(film.outputs.shape[1:])

    np.testing.assert_allclose(film.outputs[-1], told(run), atol=1e-6)
    shorter = run_spec(spec(engine, 53))
    np.testing.assert_allclose(film.outputs[film.steps.tolist().index(53)], told(shorter), atol=1e-5)
    (W, b), _, (V, c), _ = run.network.initialize(3, (2,)).params
    z = np.tanh(run.preprocessing.inputs(places) @ W + b) @ V + c
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(film.outputs[0].reshape(-1, 2), p, atol=1e-6)


def test_a_film_comes_back_from_its_file_and_damage_is_told(tmp_path):
    assert BoundaryFrames.load(tmp_path) is None
    _, film = filmed()
    film.save(tmp_path)
    again = BoundaryFrames.load(tmp_path)
    for (_, one), (_, other) in zip(arrays_of(film), arrays_of(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.plane.axes == ("x1", "x2")
    content = bytearray((tmp_path / FRAMES).read_bytes())
    content[-1] ^= 1
    (tmp_path / FRAMES).write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        BoundaryFrames.load(tmp_path)


def test_a_training_that_goes_on_keeps_the_frames_from_before_its_checkpoint():
    _, film = filmed()
    seen = [BoundaryCallback(film.before(53), STEPS)]
    run_spec(spec(), callbacks=seen)
    np.testing.assert_array_equal(seen[0].frames.steps, film.steps)
    np.testing.assert_array_equal(seen[0].frames.outputs, film.outputs)
    assert film.before(53).steps.max() < 53


def test_pictures_and_single_inputs_have_no_plane():
    split = Data("digits").load(seed=0)
    assert BoundaryCallback.of(split.preprocessing, split.train, 4) is None


def test_a_training_that_diverges_has_its_film_and_its_charts():
    x = np.random.default_rng(0).normal(size=(60, 2))
    run = thalweg.train(
        ["dense 8", "dense 1"], (x, 100 * x[:, 0]), optimizer="sgd 5.0", epochs=4, engine="eager", progress=False
    )
    assert run.diverged
    assert len(run.boundary_frames.steps)
    titles = [figure.layout.title.text for figure in run.figures() if figure.frames]
    assert len(titles) == 1
