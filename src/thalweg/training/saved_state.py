"""States as files: a crash at any moment leaves the old files or the new ones, and damage is always noticed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ..core.arrays import Tree, arrays_of, map_arrays
from ..core.errors import InputError
from ..core.files import commit

_FORMAT = 2


def save_state(path: Path, state: Tree, facts: dict[str, Any]) -> None:
    """Write the arrays of a state to `path` (safetensors), and beside it a manifest with their SHA-256 and the facts.

    The manifest has a SHA-256 of its own, and is committed last: a file of arrays counts only once its manifest does.
    """
    arrays = {place: np.asarray(array, order="C") for place, array in arrays_of(state)}
    content = safetensors.save(arrays)
    commit(path, content)
    manifest = {"format": _FORMAT, "file": path.name, "sha256": hashlib.sha256(content).hexdigest(), **facts}
    commit(path.with_suffix(".json"), json.dumps({**manifest, "seal": _seal(manifest)}, indent=1).encode())


def _seal(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a saved state. Raises InputError where there is none, or it is damaged."""
    place = str(path.with_suffix(".json"))
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
    except OSError as error:
        raise InputError(place, f"can not be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(place, f"is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(place, f"expected a manifest of format {_FORMAT}")
    if manifest.pop("seal", None) != _seal(manifest):
        raise InputError(place, "is damaged: its content does not match its own SHA-256")
    return manifest


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a saved state by their places. InputError where the file does not match its manifest's SHA-256."""
    manifest = read_manifest(path)
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest.get("sha256"):
            raise InputError(str(path), "is damaged: its content does not match the SHA-256 of its manifest")
        return safetensors.load(content)
    except OSError as error:
        raise InputError(str(path), f"can not be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(str(path), f"is no safetensors file: {error}") from error


def load_state(path: Path, like: Tree) -> Tree:
    """The saved state with the structure and the shapes of `like`.

    Raises InputError where the file is missing, does not match the SHA-256 of its manifest, or holds other arrays.
    """
    return arranged(path, read_arrays(path), like)


def arranged(path: Path, arrays: dict[str, np.ndarray], like: Tree) -> Tree:
    """Arrays by their places as a tree like `like`. Raises InputError where they are others than those of `like`."""
    expected = {place: np.shape(array) for place, array in arrays_of(like)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        differing = sorted(set(found.items()) ^ set(expected.items()))
        raise InputError(str(path), f"holds other arrays than the network of its spec needs: {differing[:4]}")
    ordered = iter([arrays[place] for place in expected])
    return map_arrays(lambda _: next(ordered), like)
