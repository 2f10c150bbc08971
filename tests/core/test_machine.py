from importlib import metadata

from thalweg.core.machine import available_cores, libraries_in_words, machine_in_words


def test_the_machine_and_its_libraries_are_named():
    assert machine_in_words().endswith(f", {len(available_cores())} cores")
    versions = dict(words.split(" ") for words in libraries_in_words().split(", "))
    assert versions == {name: metadata.version(name) for name in ("numpy", "jax", "polars")}
