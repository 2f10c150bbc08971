"""Exported runs give the predictions of the run in a process where Thalweg cannot be imported."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars
import pytest

import thalweg
from thalweg.core.errors import InputError
from thalweg.runs.predict import prediction_table

WITHOUT = "import sys; sys.modules.update(dict.fromkeys(['thalweg', 'jax', 'polars', 'scipy', 'sklearn'{more}]))\n"
NETWORK = ["dense 8", "gelu", "dropout 0.1", "dense 6", "batch_norm", "tanh"]


def process(folder: Path, script: str, more: str = "") -> str:
    """What Python prints for a script in a folder, without Thalweg and its libraries."""
    command = [sys.executable, "-c", WITHOUT.format(more=more) + script]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": ""}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def measured(rng: np.random.Generator, n: int) -> polars.DataFrame:
    """A table with numbers, gaps, categories, booleans, dates and times of the day."""
    when = (18_000 + rng.integers(0, 900, n)) * 86_400_000_000 + rng.integers(0, 86_400_000_000, n)
    weight = rng.normal(1000, 3, n)
    return polars.DataFrame(
        {
            "weight": np.where(rng.random(n) < 0.1, np.nan, weight),
            'colour\'s "name"': rng.choice(["red", "dark green", "naïve, blue", None], n, p=[0.4, 0.3, 0.2, 0.1]),
            "ripe": rng.choice(np.array([True, False, None]), n, p=[0.5, 0.4, 0.1]).tolist(),
            "when": polars.Series(when).cast(polars.Datetime("us")),
            "clock": polars.Series(when * 1000 % 86_400_000_000_000).cast(polars.Time),
        }
    )


def targets(table: polars.DataFrame, task: str) -> np.ndarray:
    red = (table['colour\'s "name"'] == "red").fill_null(False).to_numpy()
    late = table["when"].dt.hour().to_numpy() > 12
    return {
        "classes": np.where(red, np.where(late, "red late", "red"), "other"),
        "two": red ^ late,
        "regression": 1e4 + 300 * red - 20.5 * late,
        "targets": np.column_stack([50.5 * red, late - 0.25]),
        "labels": np.column_stack([red, late]).astype(int),
    }[task]


ENDS = {
    "classes": ["dense 3", "softmax"],
    "two": ["dense 1", "sigmoid"],
    "regression": ["dense 1"],
    "targets": ["dense 2"],
    "labels": ["dense 2", "sigmoid"],
}


@pytest.fixture(scope="module", params=sorted(ENDS))
def exported(request, tmp_path_factory):
    """A run on a table, rows that it has not seen, and the folder of its exported files."""
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(0)
    table = measured(rng, 300)
    network = [*NETWORK, *ENDS[request.param]]
    run = thalweg.train(
        network, (table, targets(table, request.param)), epochs=5, engine="eager", probes="off", progress=False
    )
    new = measured(rng, 50).with_columns(polars.Series('colour\'s "name"', ["never seen", *["red"] * 49]))
    files = run.export(onnx=folder / "own.onnx", python=folder / "own")
    if find_spec("torch"):
        files += run.export(torch=folder / "own_torch")
    assert [file.path.name for file in files][:2] == ["own.onnx", "own.py"]
    assert all(file.rows > 50 and file.difference <= 1e-5 for file in files)
    return run, new, folder


def same(run, rows, text: str) -> None:
    """The printed predictions and outputs are those of the run."""
    found = json.loads(text)
    np.testing.assert_allclose(found["outputs"], run.predict_outputs(rows), rtol=1e-5, atol=1e-5)
    expected = run.predict(rows)
    if run.task == "regression":
        np.testing.assert_allclose(found["predicted"], expected, rtol=1e-5)
    else:
        assert found["predicted"] == expected.tolist()


PRINT = (
    "import json; print(json.dumps({'predicted': predict(rows).tolist(), 'outputs': predict_outputs(rows).tolist()}))"
)


def rows_script(new: polars.DataFrame) -> str:
    """Rows as dictionaries of plain values."""
    return f"import datetime\nfrom math import nan\nrows = {new.to_dicts()!r}\n"


def test_python_without_thalweg(exported):
    run, new, folder = exported
    script = rows_script(new) + f"from own import predict, predict_outputs\n{PRINT}"
    same(run, new, process(folder, script, ", 'torch', 'pandas'"))


def test_torch_without_thalweg(exported):
    pytest.importorskip("torch", reason="LEFT OUT: export to PyTorch, which is not installed")
    run, new, folder = exported
    script = rows_script(new) + f"from own_torch import predict, predict_outputs\n{PRINT}"
    same(run, new, process(folder, script))


def test_onnx_without_thalweg(exported):
    run, new, folder = exported
    days = [column.name for column in run.preprocessing.columns if column.kind == "time"]
    numbers = {
        column.name: column.numbers(new[column.name]).to_list()
        for column in run.preprocessing.columns
        if column.kind != "category"
    }
    assert days == ["when", "clock"]
    script = f"""
import json, onnxruntime, numpy as np
session = onnxruntime.InferenceSession("own.onnx")
feeds = {{name: np.array(cells, float).reshape(-1, 1) for name, cells in {numbers!r}.items()}}
for name, cells in {new.select(polars.col(polars.String)).to_dict(as_series=False)!r}.items():
    feeds[name] = np.array([cell or "" for cell in cells], object).reshape(-1, 1)
assert [given.name for given in session.get_inputs()] == {new.columns!r}
predicted, outputs = session.run(["prediction", "outputs"], feeds)
one = session.run(None, {{name: cells[:1] for name, cells in feeds.items()}})
assert one[0].shape == predicted[:1].shape and np.allclose(one[1], outputs[:1], atol=1e-6)
print(json.dumps({{"predicted": predicted.tolist(), "outputs": outputs.tolist()}}))
"""
    same(run, new, process(folder, script))


def test_codes_of_categories_are_exported(tmp_path):
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "dark green", "naïve, blue", None], 300, p=[0.4, 0.3, 0.2, 0.1])
    table = polars.DataFrame({"weight": rng.normal(size=300), "colour": colour})
    network = {"kind": "table", "hidden": [8], "members": 2, "vectors_above": 2}
    red = (table["colour"] == "red").fill_null(False).to_numpy()
    run = thalweg.train(network, (table, red), epochs=5, engine="eager", progress=False)
    assert run.spec.network.layers[0].kind == "embedding"
    # Each file is compared with the run before it is written.
    files = {name: tmp_path / name for name in ("python", "onnx", "torch") if name == "python" or find_spec(name)}
    assert all(written.difference < 1e-5 for written in run.export(**files))
    new = polars.DataFrame({"weight": [0.1, -2.0, 0.5], "colour": ["never seen", None, "red"]})
    same(run, new, process(tmp_path, rows_script(new) + f"from python import predict, predict_outputs\n{PRINT}"))


def test_a_script_reads_a_file_as_the_training_did(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["price;share;day;shop;sold"]
    for _ in range(80):
        price = f"{rng.integers(1, 9)}.{rng.integers(100, 999)},{rng.integers(10, 99)}" if rng.random() > 0.1 else "n/a"
        day = f"{rng.integers(1, 28):02}.{rng.integers(1, 12):02}.2024"
        shop = rng.choice(["Köln", "Bonn", ""])
        lines.append(f"{price};{rng.integers(1, 99)},5 %;{day};{shop};{'yes' if shop == 'Bonn' else 'no'}")
    (tmp_path / "sales.csv").write_text("\n".join(lines), encoding="utf-8")
    run = thalweg.train(
        ["dense 4", "tanh", "dense 2", "softmax"],
        {"source": str(tmp_path / "sales.csv"), "target": "sold"},
        epochs=3,
        engine="eager",
        progress=False,
    )
    assert [column.kind for column in run.preprocessing.columns] == ["number", "number", "time", "category"]
    run.export(python=tmp_path / "own.py")
    script = "sys.argv = ['own.py', 'sales.csv']; import runpy; runpy.run_path('own.py', run_name='__main__')"
    printed = list(csv.DictReader(io.StringIO(process(tmp_path, script))))
    expected = prediction_table(run, run.spec.data.source.rows_like_these(str(tmp_path / "sales.csv"))).to_dicts()
    assert [row["prediction"] for row in printed] == [row["prediction"] for row in expected]
    for found, own in zip(printed, expected, strict=True):
        np.testing.assert_allclose(float(found["p(yes)"]), own["p(yes)"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("unit", "classes"), [("perceptron", 2), ("adaline", 3)])
def test_linear_units_with_feature_maps_of_arrays(unit, classes, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 3)), rng.integers(0, classes, 120)
    network = {"kind": unit, "features": ["polynomial 2"], "learning_rate": 0.001}
    run = thalweg.train(network, (x, y), epochs=3, engine="eager", progress=False)
    files = run.export(onnx=tmp_path / "unit.onnx", python=tmp_path / "unit.py")
    assert max(file.difference for file in files) <= 1e-5
    script = f"rows = {x[:9].tolist()!r}\nfrom unit import predict, predict_outputs\n{PRINT}"
    same(run, x[:9], process(tmp_path, script, ", 'torch'"))


def test_images_and_every_form_of_rows(tmp_path):
    rng = np.random.default_rng(0)
    images, y = rng.uniform(0, 255, (60, 4, 5)), rng.integers(0, 3, 60)
    run = thalweg.train(["dense 3"], (images, y), epochs=2, engine="eager", progress=False)
    run.export(python=tmp_path / "own.py")
    script = f"import numpy as np\nrows = np.array({images[:4].tolist()!r})\nfrom own import *\n{PRINT}"
    same(run, images[:4], process(tmp_path, script))
    script = f"""
import numpy as np
from own import predict_outputs
x = np.array({images[:2].reshape(2, 20).tolist()!r})
names = [f"x{{i}}" for i in range(20)]
forms = [x, x.tolist(), [dict(zip(names, row)) for row in x.tolist()], dict(zip(names, x.T)), dict(zip(names, x[0]))]
print([float(np.abs(predict_outputs(form) - predict_outputs(x[:len(predict_outputs(form))])).max()) for form in forms])
"""
    assert max(json.loads(process(tmp_path, script))) == 0


def test_rows_that_are_gone_are_replaced_by_drawn_ones(tmp_path):
    rng = np.random.default_rng(0)
    table = measured(rng, 60)
    run = thalweg.train(["dense 3"], (table, targets(table, "classes")), epochs=1, engine="eager", progress=False)
    loaded = thalweg.load(run.save(tmp_path / "run"))
    (file,) = loaded.export(onnx=tmp_path / "own.onnx")
    assert file.rows > 60


def test_no_file_and_missing_packages_are_said(tmp_path, monkeypatch):
    run = thalweg.train(["dense 2"], "xor", epochs=1, engine="eager", progress=False)
    with pytest.raises(InputError, match="expected a file"):
        run.export()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime.*pip install 'thalweg\[onnx\]'"):
        run.export(onnx=tmp_path / "own.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"onnx is not installed.*pip install 'thalweg\[onnx\]'"):
        run.export(onnx=tmp_path / "own.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    run = thalweg.train(["dense 2"], "xor", epochs=1, engine="eager", progress=False)
    right = type(run).predict_outputs
    monkeypatch.setattr(type(run), "predict_outputs", lambda self, x: right(self, x) + 2e-5)
    with pytest.raises(InputError, match="differs from the run by"):
        run.export(python=tmp_path / "own.py")
    assert list(tmp_path.iterdir()) == []


FRAME = """pandas.DataFrame(
    {
        "size": pandas.array([1.5, None, 3.0, 4.0] * 8, "Float64"),
        "colour": pandas.array(["red", "blue", None, "red"] * 8, "string"),
        "when": pandas.to_datetime(["2024-01-01T00:00", None, "2024-03-01T06:00", "2024-02-01T12:00"] * 8),
    }
)"""


def test_marks_of_pandas_are_missing_values(tmp_path):
    pandas = pytest.importorskip("pandas", reason="LEFT OUT: frames of pandas, which is not installed")
    frame = eval(FRAME)
    assert isinstance(frame, pandas.DataFrame)
    data = (frame, np.arange(32) % 2)
    run = thalweg.train(["dense 2", "softmax"], data, epochs=1, engine="eager", progress=False)
    run.export(python=tmp_path / "own.py")
    script = f"import pandas\nrows = {FRAME}\nfrom own import predict, predict_outputs\n{PRINT}"
    same(run, frame, process(tmp_path, script))
