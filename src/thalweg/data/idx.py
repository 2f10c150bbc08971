"""IDX, the format of MNIST: a magic number, the sizes of the dimensions, then the numbers, all of them big-endian.

    00 00 TT DD   then DD sizes of 4 bytes, then the data
    TT: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64

A file may be damaged or hostile: nothing is reserved or unpacked beyond what its header and its length agree upon.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from ..core.errors import InputError
from .dataset import Samples, Task

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# Deflate shrinks no more than 1032 to 1; a header that claims more than that can not be true.
_HIGHEST_RATIO = 1032


class IdxFiles(NamedTuple):
    """The files of a folder that belong together; the test files may be missing."""

    x: Path
    y: Path
    x_test: Path | None
    y_test: Path | None


def read_idx(path: str | Path) -> np.ndarray:
    """The array of an IDX file, gzipped or not, in the machine's byte order. Raises InputError for any other file."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            most = path.stat().st_size * (_HIGHEST_RATIO if packed else 1)
            if not packed:
                return _parse(file, path, most)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _parse(cast(BinaryIO, unpacked), path, most)
    except EOFError:
        raise InputError(str(path), "the gzip data break off; the file is truncated: fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(str(path), f"the gzip data are damaged ({error}): fetch the file again") from None
    except OSError as error:
        raise InputError(str(path), f"can not be read: {error.strerror}") from None


def find_idx(folder: str | Path) -> IdxFiles | None:
    """The IDX files of a folder by their usual names, `train-images*` and so on; None if it has no training set."""
    folder = Path(folder)

    def find(*starts: str) -> Path | None:
        # The shorter name, the unpacked file, sorts first.
        return min((path for start in starts for path in folder.glob(f"{start}*")), default=None)

    x, y = find("train-images"), find("train-labels")
    if x is None or y is None:
        return None
    x_test, y_test = find("t10k-images", "test-images"), find("t10k-labels", "test-labels")
    return IdxFiles(x, y, x_test, y_test) if x_test and y_test else IdxFiles(x, y, None, None)


def read_folder(files: IdxFiles) -> Samples:
    """The pictures, flattened to rows, and their labels."""
    x, y, shape = _pair(files.x, files.y)
    x_test = y_test = None
    if files.x_test and files.y_test:
        x_test, y_test, test_shape = _pair(files.x_test, files.y_test)
        if test_shape != shape:
            raise InputError(
                str(files.x_test), f"expected samples of shape {shape}, as in training, received {test_shape}"
            )
    image_shape = (shape[0], shape[1]) if len(shape) == 2 else None
    task: Task | None = "classification" if y.dtype.kind in "iu" else None
    return Samples(x, y, task, x_test, y_test, image_shape=image_shape, scale="range")


def _pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    x, y = read_idx(images), read_idx(labels)
    if y.ndim != 1:
        raise InputError(str(labels), f"expected labels (n,), received an array of shape {y.shape}")
    if len(x) != len(y):
        raise InputError(str(labels), f"has {len(y)} labels for the {len(x)} samples of {images.name}")
    return x.reshape(len(x), -1), y, x.shape[1:]


def _parse(file: BinaryIO, path: Path, most: int) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise InputError(
            str(path),
            f"is no IDX file: it starts with {magic.hex(' ') or 'nothing'}, expected 00 00, a type and a count",
        )
    dtype, dimensions = np.dtype(TYPES[magic[2]]), magic[3]
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise InputError(str(path), f"breaks off within its header of {dimensions} sizes: fetch the file again")
    shape = struct.unpack(f">{dimensions}I", header)
    size = math.prod(shape) * dtype.itemsize
    says = f"its header says {' x '.join(map(str, shape))} {dtype.name} = {size} bytes"
    if not size:
        raise InputError(str(path), f"holds no data: {says}")
    if size > most:
        raise InputError(str(path), f"is too short: {says}, and a file of this length holds {most} at most")
    data = file.read(size + 1)
    if len(data) < size:
        raise InputError(str(path), f"is too short: {says}, but {len(data)} follow")
    if len(data) > size:
        raise InputError(str(path), f"is too long: {says}, but more follow")
    # A read to the end of gzip data also checks their checksum.
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)
