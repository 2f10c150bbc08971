import functools
import gzip
import struct

import numpy as np
import pytest
from input_errors import input_error

from thalweg.data import Data, IdxFolder, read_idx

# Without a time stamp: the content is part of the names of tests, which every worker must find alike.
pack_gzip = functools.partial(gzip.compress, mtime=0)
TYPES = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}


def idx(code, shape, values):
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    return head + struct.pack(f">{len(values)}{TYPES[code]}", *values)


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("pack", [bytes, pack_gzip], ids=["plain", "gzip"])
def test_every_type_of_number(tmp_path, code, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(idx(code, (2, 3), [0, 1, 2, 3, 4, 127])))
    array = read_idx(path)
    assert array.tolist() == [[0, 1, 2], [3, 4, 127]]
    assert array.dtype == np.dtype(TYPES[code])
    assert array.dtype.isnative


GOOD = idx(0x08, (2, 3), range(6))
DAMAGED = bytearray(pack_gzip(GOOD))
DAMAGED[-6] ^= 0xFF


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG....", "received 89 50 4e 47"),
        (b"\0\0\x0a\x01\0\0\0\1\0", "not an IDX file"),
        (b"\0\0\x08\0", "not an IDX file"),
        (GOOD[:9], "header of 2 sizes"),
        (GOOD[:-1], "too short"),
        (GOOD + b"x", "2 x 3 uint8 = 6 bytes, but it has more"),
        (idx(0x08, (0, 3), []), "no data"),
        (idx(0x08, (2**32 - 1,) * 4, [1]), "too short"),
        (pack_gzip(GOOD)[:-9], "truncated"),
        (pack_gzip(GOOD)[:12], "truncated"),
        (pack_gzip(GOOD[:-1]), "2 x 3 uint8 = 6 bytes, but it has 5"),
        (pack_gzip(GOOD + bytes(10**6)), "too long"),
        (pack_gzip(idx(0x08, (2**32 - 1,) * 255, [1])), "too short"),
        (bytes(DAMAGED), "damaged"),
    ],
)
def test_damaged_and_hostile_files_are_rejected(tmp_path, content, fact):
    path = tmp_path / "file"
    path.write_bytes(content)
    with input_error(str(path), fact):
        read_idx(path)


def test_a_missing_file_is_rejected(tmp_path):
    with input_error(str(tmp_path / "nothing"), "No such file"):
        read_idx(tmp_path / "nothing")


def write(folder, part, images, labels, code=0x08, pack=bytes, end=""):
    n, *_shape = images.shape
    (folder / f"{part}-images-idx{images.ndim}-ubyte{end}").write_bytes(pack(idx(code, images.shape, images.ravel())))
    (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(0x08, (n,), labels)))


@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (pack_gzip, ".gz")], ids=["plain", "gzip"])
def test_a_folder_of_images_with_test_images(tmp_path, pack, end):
    rng = np.random.default_rng(0)
    train = rng.integers(10, 200, (30, 4, 5))
    test = rng.integers(10, 200, (10, 4, 5))
    write(tmp_path, "train", train, [3, 5, 7] * 10, pack=pack, end=end)
    write(tmp_path, "t10k", test, [3, 5] * 5, pack=pack, end=end)
    split = Data.of({"source": str(tmp_path), "test": 0.5}).load(0)
    assert (len(split.train), len(split.validation), len(split.test)) == (27, 3, 10)
    assert split.train.image_shape == (4, 5)
    assert split.train.features == 20
    assert split.preprocessing.labels(split.test.y).tolist() == [3, 5] * 5
    assert split.train.x.min() == 0
    assert split.train.x.max() == 1
    low = split.preprocessing.shift[0]
    assert np.allclose(split.test.x, (test.reshape(10, 20) - low) / split.preprocessing.span[0])
    assert any("test = 0.5" in note for note in split.notes)


def test_a_folder_without_test_images_and_with_colours(tmp_path):
    write(tmp_path, "train", np.arange(20 * 12).reshape(20, 2, 2, 3) % 250, [0, 1] * 10)
    split = Data.of(IdxFolder(str(tmp_path))).load(0)
    assert len(split.test) == 4
    assert split.train.features == 12
    assert split.train.image_shape == (2, 2, 3)


def test_a_class_that_only_the_test_images_have_is_rejected(tmp_path):
    write(tmp_path, "train", np.ones((20, 2, 2), int), [0, 1] * 10)
    write(tmp_path, "test", np.ones((2, 2, 2), int), [0, 9])
    with input_error("y", "1 labels", "9 in row 1"):
        Data.of(tmp_path).load(0)


def test_files_of_a_folder_that_do_not_fit_together_are_rejected(tmp_path):
    with input_error("idx", str(tmp_path), "train-images"):
        Data.of(tmp_path).load(0)
    write(tmp_path, "train", np.ones((20, 2, 2), int), [0, 1] * 10)
    write(tmp_path, "t10k", np.ones((2, 3, 3), int), [0, 1])
    with input_error(str(tmp_path / "t10k-images-idx3-ubyte"), "shape (2, 2)", "received (3, 3)"):
        Data.of(tmp_path).load(0)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(0x08, (3,), [0, 1, 0]))
    with input_error(str(tmp_path / "train-labels-idx1-ubyte"), "20 images", "received 3"):
        Data.of(tmp_path).load(0)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(0x08, (20, 1), [0, 1] * 10))
    with input_error(str(tmp_path / "train-labels-idx1-ubyte"), "(n,)", "shape (20, 1)"):
        Data.of(tmp_path).load(0)
