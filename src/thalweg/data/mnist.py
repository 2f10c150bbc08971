"""MNIST: read from a folder, or downloaded once from the public mirrors."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from ..core.errors import InputError
from ..core.files import cache_folder, commit
from .dataset import Samples
from .idx import IdxFiles, find_idx, read_folder
from .source import Source

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_LARGEST = 60_000 * 28 * 28 + 16
_SECONDS = 30


@dataclass(frozen=True)
class Mnist(Source, kind="mnist"):
    """70,000 handwritten digits as images of 28 x 28 pixels with values from 0 to 255; 10,000 of them are the test set.

    They are read from `folder`; without it from the folder that the environment variable THALWEG_DATA names, or from
    its subfolder `mnist`; else from the user's cache folder, into which they are downloaded once.
    Raises InputError if the folder lacks the files or the download fails.

    >>> Mnist("data/mnist").folder
    'data/mnist'
    """

    folder: str | None = None

    @property
    def named_files(self) -> tuple[str, ...]:
        return (self.folder,) if self.folder else ()

    def load(self, seed: int) -> Samples:
        files = next(filter(None, map(find_idx, self._folders())), None)
        if files is None and self.folder is not None:
            raise InputError("mnist", f"the folder {self.folder} has no train-images and train-labels files")
        samples = read_folder(files or _download(_cache()))
        return samples._replace(target_names=tuple("0123456789"))

    def _folders(self) -> Iterator[Path]:
        """The folders that may hold the files, in the order in which they are tried."""
        if self.folder is not None:
            yield Path(self.folder)
            return
        if folder := os.environ.get("THALWEG_DATA"):
            yield Path(folder)
            yield Path(folder, "mnist")
        if all((_cache() / f"{name}.gz").exists() for name in MD5):
            yield _cache()


def _cache() -> Path:
    return cache_folder() / "mnist"


def _download(folder: Path) -> IdxFiles:
    """Download the files that the folder lacks."""
    for name in MD5:
        target = folder / f"{name}.gz"
        if not target.exists():
            commit(target, _fetch(name))
    files = find_idx(folder)
    assert files is not None
    return files


def _fetch(name: str) -> bytes:
    """The gzipped file of that name from the first mirror that has it with the right checksum."""
    # They load ssl, which takes long.
    import http.client
    import urllib.request

    # Without a network all mirrors fail for the same reason, which is given once.
    failures: dict[str, str] = {}
    for mirror in MIRRORS:
        try:
            with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=_SECONDS) as response:
                compressed: bytes = response.read(_LARGEST)
            with gzip.GzipFile(fileobj=BytesIO(compressed)) as file:
                content = file.read(_LARGEST + 1)
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            failures[_reason(error)] = mirror
            continue
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 == MD5[name]:
            return compressed
        failures[f"wrong content, expected MD5 {MD5[name]}, received {md5}"] = mirror
    found = "; ".join(f"{reason} ({mirror})" for reason, mirror in failures.items())
    fix = "name the folder of the four files in `folder` or THALWEG_DATA, or take the source `digits`"
    raise InputError("mnist", f"cannot download {name}.gz: {found}; {fix}")


def _reason(error: Exception) -> str:
    """Why a download failed, without the names of the classes that say so."""
    import urllib.error

    answered = isinstance(error, urllib.error.HTTPError)
    cause = error.reason if isinstance(error, urllib.error.URLError) and not answered else error
    return str((cause.strerror if isinstance(cause, OSError) else None) or cause)
