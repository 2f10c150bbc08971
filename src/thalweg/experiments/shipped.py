"""The experiments that come with the package."""

from __future__ import annotations

from importlib import resources

from ..core.errors import InputError, nearest
from ..data import Source
from ..spec.toml import example_names, read_spec_table

_SHIPPED = resources.files("thalweg") / "examples" / "experiments"


def shipped() -> dict[str, str]:
    """The names of the shipped experiments, each with the question it asks: the first line of its file.

    >>> "momentum-and-rate" in shipped()
    True
    """
    files = sorted((item for item in _SHIPPED.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)
    return {
        item.name.removesuffix(".toml"): item.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        for item in files
    }


def read_experiment(name: str) -> dict[str, object]:
    """The tables of an experiment: a TOML file, or the name of a shipped experiment, an example or a data source.

    Raises:
        InputError: the name is unknown, the file cannot be read, or its text is not valid TOML.
    """
    known = shipped()
    if name in known:
        with resources.as_file(_SHIPPED / f"{name}.toml") as path:
            return read_spec_table(str(path))
    if not name.endswith(".toml") and name not in (*example_names(), *Source.kinds):
        names = [*known, *example_names()]
        raise InputError("experiment", f"no file, experiment or example is called {name!r}; {nearest(name, names)}")
    return read_spec_table(name)
