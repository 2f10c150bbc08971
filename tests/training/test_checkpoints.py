"""Checkpoints of a running training: which ones there are, what they hold, what is cleared away."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sessions import fit_parts

from thalweg.core.arrays import arrays_of
from thalweg.core.errors import InputError
from thalweg.data import Data, Dataset
from thalweg.engine.step import Plan, inference_state
from thalweg.models.network import Network
from thalweg.parts.losses import CrossEntropy
from thalweg.parts.optimizers import Adam
from thalweg.parts.settings import Checkpoints, Stopping, Training
from thalweg.parts.task_metrics import ClassificationMetric
from thalweg.training.checkpoints import (
    Checkpoint,
    fingerprint,
    load_checkpoint,
    newest,
    remove_newer,
    save_checkpoint,
)
from thalweg.training.early_stopping import EarlyStoppingState
from thalweg.training.saved_state import read_arrays, read_manifest

NETWORK = Network(["dense 3", "batch_norm", "tanh", "dense 2", "softmax"])
START = Plan(NETWORK, CrossEntropy(), Adam(), ClassificationMetric(), average=0.9).start(0, 2)
FACTS = {"spec": {}, "rows": {}, "preprocessing": {}, "note": "ä"}


def at(step, **more):
    return Checkpoint(START._replace(step=np.array(step)), **more)


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def steps_on_disk(folder):
    return [int(path.stem.removeprefix("step-")) for path in sorted((folder / "checkpoints").glob("step-*.json"))]


def test_a_snapshot_comes_back_bit_for_bit(tmp_path):
    reports = (np.array([0.1, 0.2], np.float32), np.arange(6.0).reshape(2, 3))
    counters = EarlyStoppingState(0.25, 3, 2, 1.5, rates=())
    best = inference_state(START)._replace(step=np.array(5))
    save_checkpoint(tmp_path, at(7, best=best, reports=reports, early_stopping=counters), FACTS, 3)
    path, facts = newest(tmp_path)
    assert facts["note"] == "ä"
    snapshot = load_checkpoint(path, START)
    for found, expected in ((snapshot.state, at(7).state), (snapshot.best, best), (snapshot.reports, reports)):
        assert type(found) is type(expected)
        for (place, one), (other_place, other) in zip(arrays_of(found), arrays_of(expected), strict=True):
            assert place == other_place
            np.testing.assert_array_equal(one, other, err_msg=place)
            assert one.dtype == np.asarray(other).dtype
    assert snapshot.early_stopping == counters


def test_without_a_best_state_and_within_no_epoch_there_are_none(tmp_path):
    save_checkpoint(tmp_path, at(3), FACTS, 3)
    snapshot = load_checkpoint(newest(tmp_path)[0], START)
    assert (snapshot.best, snapshot.reports, snapshot.history) == ((), (), ())


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_ones_stay(keep, tmp_path):
    for step in (2, 9, 10, 100, 99):
        save_checkpoint(tmp_path, at(step), FACTS, keep)
    assert steps_on_disk(tmp_path) == sorted([2, 9, 10, 99, 100])[-keep:]
    assert len(names(tmp_path)) == 2 * keep
    assert newest(tmp_path)[0].stem == "step-0000000100"


def test_the_newest_whole_one_is_taken(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, at(step), FACTS, 3)
    folder = tmp_path / "checkpoints"
    (folder / "step-0000000003.safetensors").write_bytes(b"")
    assert newest(tmp_path)[0].stem == "step-0000000002"
    (folder / "step-0000000002.json").write_text("{}")
    assert newest(tmp_path)[0].stem == "step-0000000001"
    (folder / "step-0000000001.json").unlink()
    with pytest.raises(InputError, match=r"no checkpoint.*step-0000000003.*step-0000000002"):
        newest(tmp_path)


def test_arrays_without_a_manifest_do_not_count(tmp_path):
    save_checkpoint(tmp_path, at(1), FACTS, 3)
    save_checkpoint(tmp_path, at(2), FACTS, 3)
    (tmp_path / "checkpoints" / "step-0000000002.json").unlink()
    assert newest(tmp_path)[0].stem == "step-0000000001"


def test_newer_ones_are_removed_and_nothing_else(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, at(step), FACTS, 3)
    folder = tmp_path / "checkpoints"
    (folder / "step-0000000003.safetensors").write_bytes(b"damaged")
    last, _ = newest(tmp_path)
    kept = {path: path.read_bytes() for path in folder.glob("step-000000000[12].*")}
    kept[tmp_path / "spec.toml"] = kept[folder / "final.safetensors"] = b"mine"
    for path in (tmp_path / "spec.toml", folder / "final.safetensors"):
        path.write_bytes(b"mine")
    (folder / "step-0000000004.safetensors").write_bytes(b"half")
    remove_newer(tmp_path, last)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept


# When they are made ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rings():
    return Data("rings 100", validation=0.3).load(seed=3)


def kept_epochs(rings, validation=True, **options):
    """The epochs after which a snapshot was made, and the last snapshot."""
    snapshots = []
    training = Training(epochs=7, batch_size=16, engine="eager", seed=1)
    held_out = rings.validation if validation else None
    rule = options.pop("optimizer", Adam(0.1))
    fitted = fit_parts(NETWORK, CrossEntropy(), rule, training, rings.train, held_out, keep=snapshots.append, **options)
    return [len(snapshot.history) for snapshot in snapshots], snapshots[-1], fitted


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (7, [7]), (10, [7])])
@pytest.mark.parametrize("validation", [True, False])
def test_every_so_many_epochs_and_at_the_end(rings, validation, every, epochs):
    found, last, fitted = kept_epochs(rings, validation, checkpoints=Checkpoints(every=every))
    assert found == epochs
    assert list(last.history) == fitted.history


def test_at_each_best_epoch(rings):
    choices = {"checkpoints": Checkpoints(every=100, best=True), "stopping": Stopping(restore_best=True)}
    found, last, fitted = kept_epochs(rings, **choices)
    losses = [record["validation_loss"] for record in fitted.history]
    best = [epoch for epoch, loss in enumerate(losses, 1) if loss < min([np.inf, *losses[: epoch - 1]])]
    assert found == sorted({*best, 7})
    assert last.early_stopping.best_epoch == best[-1]
    for (_, one), (_, other) in zip(arrays_of(last.best), arrays_of(fitted.state), strict=True):
        np.testing.assert_array_equal(one, other)


def test_not_at_the_best_where_that_is_not_wanted(rings):
    choices = {"checkpoints": Checkpoints(every=100), "stopping": Stopping(restore_best=True)}
    found, last, fitted = kept_epochs(rings, **choices)
    assert found == [7]
    for (_, one), (_, other) in zip(arrays_of(last.best), arrays_of(fitted.state), strict=True):
        np.testing.assert_array_equal(one, other)
    # Where the best weights are not kept, its epoch is no reason either.
    choices = {"checkpoints": Checkpoints(every=100, best=True), "stopping": Stopping(target=-1.0)}
    assert kept_epochs(rings, **choices)[0] == [7]


@pytest.mark.parametrize("validation", [True, False])
def test_by_the_clock_where_no_number_of_epochs_is_set(rings, validation, monkeypatch):
    assert kept_epochs(rings, validation)[0] == [7]
    monkeypatch.setattr("thalweg.training.fit._SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr("thalweg.training.fit._MOST_EPOCHS_BETWEEN_LOOKS", 1)
    assert kept_epochs(rings, validation)[0] == [1, 2, 3, 4, 5, 6, 7]


# What the rows are known by -------------------------------------------------------------------------------------------


ROWS = Dataset(
    np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0]), "classification", weight=np.ones(6), key=np.arange(6.0)
)


@pytest.mark.parametrize("name", ["x", "y", "weight", "key"])
def test_the_fingerprint_notices_one_changed_number(name):
    arrays = {"x": ROWS.x, "y": ROWS.y, "weight": ROWS.weight, "key": ROWS.key}
    codes = {fingerprint(ROWS)}
    for index in range(arrays[name].size):
        changed = arrays[name].copy()
        changed.flat[index] = 1 - changed.flat[index] if name == "y" else np.nextafter(changed.flat[index], 99)
        codes.add(fingerprint(Dataset(**{**arrays, name: changed}, task="classification")))
    assert len(codes) == 1 + arrays[name].size


def test_the_fingerprint_notices_another_order_and_is_the_same_for_the_same_rows():
    again = Dataset(ROWS.x.copy(), ROWS.y.copy(), "classification", weight=ROWS.weight, key=ROWS.key)
    assert fingerprint(again) == fingerprint(ROWS)
    turned = Dataset(ROWS.x[::-1], ROWS.y[::-1], "classification", weight=ROWS.weight, key=ROWS.key)
    assert fingerprint(turned) != fingerprint(ROWS)
    assert fingerprint(Dataset(ROWS.x, ROWS.y, "classification")) != fingerprint(ROWS)


# Damage ---------------------------------------------------------------------------------------------------------------


def refused_or_right(path, arrays, facts):
    """Whether a checkpoint is refused; if it is not, it must say what it said before."""
    try:
        found, said = read_arrays(path), read_manifest(path)
    except InputError:
        return True
    assert said == facts
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    return False


def test_every_flipped_bit_and_every_cut_is_refused_or_harmless(tmp_path):
    small = Network(["dense 1"])
    state = Plan(small, CrossEntropy(), Adam(), ClassificationMetric()).start(0, 1)
    counters = EarlyStoppingState(0.5, 1, 0, 1e-7, ())
    save_checkpoint(tmp_path, Checkpoint(state, reports=(np.ones(2),), early_stopping=counters), FACTS, 1)
    path, facts = newest(tmp_path)
    arrays = read_arrays(path)
    refused = []
    for file in (path, path.with_suffix(".json")):
        content = file.read_bytes()
        for index, byte in enumerate(content):
            # Seven of eight bytes have one bit flipped, another one in each; the eighth has all, one at a time.
            for bit in range(8) if index % 8 == 0 else (index % 8,):
                file.write_bytes(content[:index] + bytes([byte ^ (1 << bit)]) + content[index + 1 :])
                refused.append(refused_or_right(path, arrays, facts))
        for length in range(len(content)):
            file.write_bytes(content[:length])
            refused.append(refused_or_right(path, arrays, facts))
        file.write_bytes(content)
    assert not refused_or_right(path, arrays, facts)
    # What is not refused is white space, and the letter of 1e-07.
    assert np.mean(refused) > 0.98


def test_a_manifest_that_was_edited_is_refused(tmp_path):
    save_checkpoint(tmp_path, at(1), FACTS, 1)
    path = newest(tmp_path)[0].with_suffix(".json")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"note": "a"}))
    with pytest.raises(InputError, match="does not match its own SHA-256"):
        newest(tmp_path)
    path.write_text(json.dumps(manifest))
    newest(tmp_path)
