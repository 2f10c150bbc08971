"""IDX, the file format of MNIST: a magic number, the sizes of the dimensions, then the numbers, all big-endian.

    00 00 TT DD   then DD sizes of 4 bytes, then the data
    TT: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64

A file may be damaged or hostile: no more memory is allocated than both its header and its length allow.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from ..core.errors import InputError
from ..core.files import open_regular
from .dataset import Samples, Task, image_shape_of

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# Deflate compresses at most 1032 to 1, so a header that claims more is wrong.
_LARGEST_RATIO = 1032


class IdxFiles(NamedTuple):
    """The IDX files of one data set: images and labels; the test files are None if the folder has none."""

    x: Path
    y: Path
    x_test: Path | None
    y_test: Path | None


def read_idx(path: str | Path) -> np.ndarray:
    """The array of an IDX file, gzipped or not, in native byte order. Raises InputError for any other file."""
    path = Path(path)
    try:
        with open_regular(path) as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            largest = os.fstat(file.fileno()).st_size * (_LARGEST_RATIO if is_gzip else 1)
            if not is_gzip:
                return _parse(file, path, largest)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _parse(cast(BinaryIO, unpacked), path, largest)
    except EOFError:
        raise InputError(str(path), "the gzip data are truncated; download the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(str(path), f"the gzip data are damaged ({error}); download the file again") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None


def find_idx(folder: str | Path) -> IdxFiles | None:
    """The IDX files of a folder by their usual names, `train-images*` and so on; None without a training set."""
    folder = Path(folder)

    def find(*starts: str) -> Path | None:
        # The uncompressed file has the shorter name and sorts first.
        return min((path for start in starts for path in folder.glob(f"{start}*")), default=None)

    x = find("train-images")
    y = find("train-labels")
    if x is None or y is None:
        return None
    x_test = find("t10k-images", "test-images")
    y_test = find("t10k-labels", "test-labels")
    return IdxFiles(x, y, x_test, y_test) if x_test and y_test else IdxFiles(x, y, None, None)


def read_folder(files: IdxFiles) -> Samples:
    """The images, flattened to rows, and their labels."""
    x, y, shape = _pair(files.x, files.y)
    x_test = y_test = None
    if files.x_test and files.y_test:
        x_test, y_test, test_shape = _pair(files.x_test, files.y_test)
        if test_shape != shape:
            raise InputError(
                str(files.x_test), f"expected images of shape {shape}, as in the training set, received {test_shape}"
            )
    image_shape = image_shape_of((len(x), *shape))
    task: Task | None = "classification" if y.dtype.kind in "iu" else None
    return Samples(x=x, y=y, task=task, x_test=x_test, y_test=y_test, image_shape=image_shape, scale="range")


def _pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Images as rows (n, pixels), their labels (n,), and the shape of one image."""
    x = read_idx(images)
    y = read_idx(labels)
    if y.ndim != 1:
        raise InputError(str(labels), f"expected labels (n,), received an array of shape {y.shape}")
    if len(x) != len(y):
        raise InputError(str(labels), f"expected one label for each of the {len(x)} images, received {len(y)}")
    return x.reshape(len(x), -1), y, x.shape[1:]


def _parse(file: BinaryIO, path: Path, largest: int) -> np.ndarray:
    """The array in a file that holds at most `largest` bytes."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise InputError(
            str(path),
            f"is not an IDX file: expected 00 00, a type and a count, received {magic.hex(' ') or 'an empty file'}",
        )
    dtype = np.dtype(TYPES[magic[2]])
    dimensions = magic[3]
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise InputError(str(path), f"ends within its header of {dimensions} sizes; download the file again")
    shape = struct.unpack(f">{dimensions}I", header)
    size = math.prod(shape) * dtype.itemsize
    expected = f"its header promises {' x '.join(map(str, shape))} {dtype.name} = {size} bytes"
    if not size:
        raise InputError(str(path), f"has no data: {expected}")
    if size > largest:
        raise InputError(str(path), f"is too short: {expected}, but a file of this length holds at most {largest}")
    data = file.read(size + 1)
    if len(data) < size:
        raise InputError(str(path), f"is too short: {expected}, but it has {len(data)}")
    if len(data) > size:
        raise InputError(str(path), f"is too long: {expected}, but it has more")
    # Reading gzip data to the end also verifies their checksum.
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)
