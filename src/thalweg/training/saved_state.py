"""States as files: a crash at any moment leaves the old files or the new ones, and damage is always noticed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ..core.arrays import Tree, TreeT, arrays_of, map_arrays
from ..core.errors import InputError, Problem
from ..core.files import JsonObject, commit, read_bytes, read_json
from ..core.memory import machine_memory
from ..core.printable import received

_FORMAT = 2
_LARGEST_MANIFEST = 2**26


def save_state(path: Path, state: Tree, facts: JsonObject) -> None:
    """Write the arrays of a state to a safetensors file, and a manifest with their SHA-256 next to it.

    The manifest has its own SHA-256 and is written last: a file of arrays counts only once its manifest exists.

    Args:
        path: the file of the arrays; the manifest has the suffix .json.
        state: the arrays.
        facts: what the manifest says besides.

    Raises:
        InputError: the files cannot be written.
    """
    arrays = {place: np.asarray(array, order="C") for place, array in arrays_of(state)}
    content = safetensors.save(arrays)
    commit(path, content)
    manifest = {"format": _FORMAT, "file": path.name, "sha256": hashlib.sha256(content).hexdigest(), **facts}
    commit(path.with_suffix(".json"), json.dumps({**manifest, "seal": _seal(manifest)}).encode())


def _seal(manifest: JsonObject) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> JsonObject:
    """The manifest of a saved state. Raises InputError where it is missing or damaged."""
    place = str(path.with_suffix(".json"))
    manifest = read_json(path.with_suffix(".json"), _LARGEST_MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        found = f", received format {received(manifest.get('format'))}" if isinstance(manifest, dict) else ""
        raise InputError(place, f"expected a manifest of format {_FORMAT}{found}")
    if manifest.pop("seal", None) != _seal(manifest):
        raise InputError(place, "damaged: its content does not match its own SHA-256")
    return manifest


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a saved state by place. Raises InputError where the file does not match its manifest."""
    manifest = read_manifest(path)
    # The arrays are copied out of the content.
    content = read_bytes(path, machine_memory() // 2)
    if hashlib.sha256(content).hexdigest() != manifest.get("sha256"):
        raise InputError(str(path), "damaged: its content does not match the SHA-256 of its manifest")
    try:
        return safetensors.load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(str(path), f"not a safetensors file of numbers: {error}") from error


def load_state(path: Path, like: TreeT) -> TreeT:
    """The saved state in the structure of `like`.

    Raises InputError where the file is missing, does not match its manifest, or holds arrays of other shapes.
    """
    return arranged(path, read_arrays(path), like)


def arranged(path: Path, arrays: dict[str, np.ndarray], like: TreeT) -> TreeT:
    """Arrays by place as a tree like `like`.

    Raises InputError where places, shapes or kinds of numbers differ, and for a number that is NaN or infinite.
    """
    expected = {place: (np.shape(array), np.asarray(array).dtype.kind) for place, array in arrays_of(like)}
    received = {place: (array.shape, array.dtype.kind) for place, array in arrays.items()}
    if received != expected:
        differing = sorted({place for place, _ in received.items() ^ expected.items()})
        raise InputError(str(path), f"expected the arrays of the network in its spec, these differ: {differing[:4]}")
    for place, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(str(path), [Problem(place, "expected finite numbers")])
    ordered = iter([arrays[place] for place in expected])
    return map_arrays(lambda _: next(ordered), like)
