"""Predictions of files: what is kept of the file, and what is said of cells that are unlike the training rows."""

from __future__ import annotations

import numpy as np
import polars
import pytest

import thalweg
from thalweg.runs.predict import prediction_table, unfamiliar


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a file with names of rows, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    table = polars.DataFrame(
        {
            "nr": [f"{i:03}" for i in range(60)],
            "size": rng.uniform(10, 20, 60).round(2),
            "shop": rng.choice(["Bonn", "Köln"], 60),
            "sold": rng.choice(["no", "yes"], 60),
        }
    )
    table.write_csv(folder / "rows.csv")
    data = {"source": str(folder / "rows.csv"), "target": "sold", "id": "nr"}
    run = thalweg.train(["dense 3", "tanh", "dense 2", "softmax"], data, epochs=1, engine="eager", progress=False)
    run.save(folder / "run")
    return run, folder


def test_ids_and_columns_are_kept(trained, shell):
    run, folder = trained
    rows = polars.read_csv(folder / "rows.csv", schema_overrides={"nr": polars.String})
    assert prediction_table(run, rows).columns == ["nr", "prediction", "p(no)", "p(yes)"]
    assert prediction_table(run, rows, columns=True).columns == [*rows.columns, "prediction", "p(no)", "p(yes)"]
    assert prediction_table(run, rows.drop("nr")).columns == ["prediction", "p(no)", "p(yes)"]
    finished = shell("predict", folder / "run", folder / "rows.csv", "--columns")
    assert finished.returncode == 0
    assert finished.stdout.splitlines()[0] == "nr,size,shop,sold,prediction,p(no),p(yes)"
    assert finished.stdout.splitlines()[8].startswith("007,")
    assert finished.stderr == ""


def test_cells_unlike_the_training_rows_are_named_with_their_rows(trained, shell):
    run, folder = trained
    sizes, shops = [15.0, 29.0, 31.0, -1.0, 12.0, None], ["Bonn", "Köln", "Ulm", "NA", "", "Jena"]
    new = polars.DataFrame({"size": sizes, "shop": shops})
    size, shop = unfamiliar(run.preprocessing, new)
    assert "'size': 2 of 6 rows" in size
    assert "the first is 31 in row 3 " in size
    assert "'shop': 2 of 6 rows" in shop
    assert "the first is 'Ulm' in row 3 " in shop
    assert unfamiliar(run.preprocessing, new[:2]) == []
    new.write_csv(folder / "new.csv")
    finished = shell("predict", folder / "run", folder / "new.csv")
    assert finished.returncode == 0
    assert len(finished.stderr.splitlines()) == 2
    assert len(finished.stdout.splitlines()) == 7


def test_rows_of_numbers_are_compared_with_their_range():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (40, 2))
    run = thalweg.train(["dense 2"], (x, x[:, 0] > 0.5), epochs=1, engine="eager", progress=False)
    new = polars.DataFrame({"x0": [0.5, 0.5, 1.5], "x1": [0.5, 2.5, 0.1]})
    (line,) = unfamiliar(run.preprocessing, new)
    assert "'x1': 1 of 3 rows" in line
    assert "2.5 in row 2 " in line


def test_an_infinite_cell_is_named_with_its_row(trained, shell):
    _, folder = trained
    (folder / "infinite.csv").write_text("size,shop\n12,Bonn\n13,Bonn\ninf,Bonn\n")
    finished = shell("predict", folder / "run", folder / "infinite.csv")
    assert finished.returncode == 2
    assert "'size'" in finished.stderr
    assert "row 3 " in finished.stderr
