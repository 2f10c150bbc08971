"""A notebook is executed and converted: it has pictures where no script runs, and is small."""

import json
import re

import pytest

nbformat = pytest.importorskip("nbformat", reason="LEFT OUT: no notebooks without nbformat")
nbclient = pytest.importorskip("nbclient", reason="LEFT OUT: no notebooks without nbclient")
nbconvert = pytest.importorskip("nbconvert", reason="LEFT OUT: no notebooks without nbconvert")
pytest.importorskip("ipykernel", reason="LEFT OUT: no notebooks without ipykernel")

CELLS = [
    "import numpy as np, thalweg\n"
    "x = np.random.default_rng(0).standard_normal((90, 2)); y = np.eye(2)[(x[:, 0] > 0).astype(int)]\n"
    "run = thalweg.train(None, (x, y), epochs=4, engine='eager')",
    "run",
    "run.report('report.html')",
    "found = thalweg.compare('rings', {'optimizer': ['sgd 0.1', 'adam 0.01']}, 2, jobs=1)",
    "found",
    "found",
    "[run, found]",
]
PLOTLY = "application/vnd.plotly.v1+json"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(
        made, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return made, folder


def outputs(notebook, cell):
    return notebook[0].cells[cell].outputs


def pictures(notebook, cell):
    return [output.data for output in outputs(notebook, cell) if "image/svg+xml" in output.get("data", {})]


@pytest.mark.slow
def test_a_notebook_has_pictures_notes_and_progress_and_is_small(notebook):
    training = outputs(notebook, 0)
    assert not any(output.get("name") == "stderr" for cell in range(len(CELLS)) for output in outputs(notebook, cell))
    assert any("single 1" in output.get("text", "") for output in training)
    assert any(output.get("data", {}).get("text/plain", "").startswith("epoch 4/4") for output in training)
    (picture,) = pictures(notebook, 1)
    assert picture[PLOTLY]["data"][0]["name"] == "training"
    assert "<path" in picture["image/svg+xml"]
    assert "<h1>" in (notebook[1] / "report.html").read_text()
    assert pictures(notebook, 2)
    assert len(pictures(notebook, 4)) == len(pictures(notebook, 5)) > 0
    assert "Run: " in outputs(notebook, 6)[0].data["text/plain"]
    # The library that draws charts has 4.8 MB.
    assert len(json.dumps(notebook[0])) < 1_200_000


@pytest.mark.slow
def test_a_converted_notebook_shows_the_pictures(notebook):
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook[0])
    (notebook[1] / "notebook.html").write_text(page)
    shown = re.findall(r'<img[^>]*src="data:image/svg\+xml', page)
    assert len(shown) == sum(len(pictures(notebook, cell)) for cell in range(len(CELLS)))
