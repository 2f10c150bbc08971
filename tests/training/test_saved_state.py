import json

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.parts.layers import Affine
from thalweg.training.saved_state import load_state, read_manifest, save_state

STATE = ((Affine(np.arange(6.0).reshape(2, 3), np.zeros(3, np.float32)), ()), np.array(7))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "final.safetensors"
    save_state(path, STATE, {"note": "ä"})
    return path


def test_a_state_comes_back_bit_for_bit_in_its_own_types(saved):
    again = load_state(saved, STATE)
    assert isinstance(again[0][0], Affine)
    for one, other in zip(again[0][0], STATE[0][0], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert again[1] == 7
    assert read_manifest(saved)["note"] == "ä"


def test_every_flipped_byte_is_noticed(saved):
    content = saved.read_bytes()
    for index in range(len(content)):
        saved.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        with pytest.raises(InputError, match="damaged"):
            load_state(saved, STATE)


def test_every_cut_is_noticed(saved):
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged"):
            load_state(saved, STATE)


def test_a_damaged_or_foreign_manifest_is_refused(saved):
    for text in ("", "{", "[]", json.dumps({"format": 99})):
        saved.with_suffix(".json").write_text(text)
        with pytest.raises(InputError):
            load_state(saved, STATE)


def test_another_networks_state_is_refused(saved):
    with pytest.raises(InputError, match="arrays of the network"):
        load_state(saved, ((Affine(np.zeros((2, 4)), np.zeros(4)), ()), np.array(0)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_state(tmp_path / "none.safetensors", STATE)
