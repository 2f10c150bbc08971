"""Runs on images: from a folder to the predictions for single files."""

import numpy as np
import polars
import pytest
from input_errors import input_error
from PIL import Image

import thalweg
from thalweg.runs.predict import predictions_of_files

SIDE = 16


def picture(name, rng):
    """A horizontal or a vertical bright bar on a dark ground, at any place."""
    pixels = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    place = int(rng.integers(2, SIDE - 4))
    if name == "across":
        pixels[place : place + 2] = rng.integers(150, 255, 3)
    else:
        pixels[:, place : place + 2] = rng.integers(150, 255, 3)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    rng = np.random.default_rng(0)
    for name in ("across", "down"):
        (folder / name).mkdir()
        for index in range(40):
            picture(name, rng).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "bars"
    return thalweg.train(
        None, str(folder), optimizer="adam 0.004", epochs=10, engine="eager", folder=out, progress=False
    )


def test_a_folder_trains_a_convolutional_network_that_learns(run):
    kinds = [layer.kind for layer in run.network.layers]
    assert kinds[:2] == ["reshape", "conv2d"]
    assert kinds.count("conv2d") == 2
    assert run.measures["test"]["accuracy"] >= 0.9


def test_single_files_are_predicted_by_their_names(run, folder):
    files = [folder / "across" / "1.png", folder / "down" / "2.png"]
    table = predictions_of_files(run, files).table
    assert table["file"].to_list() == [str(file) for file in files]
    np.testing.assert_allclose(table["p(across)"] + table["p(down)"], 1, rtol=1e-6)
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    assert table["prediction"].to_list() == run.predict(pixels).tolist()
    np.testing.assert_allclose(run.predict_outputs(pixels)[:, 0], table["p(across)"], rtol=1e-6)


def test_files_that_do_not_fit_are_refused(run, folder, tmp_path):
    small = tmp_path / "small.png"
    Image.new("RGB", (4, 5)).save(small)
    with input_error(str(small), "16 x 16", "5 x 4"):
        predictions_of_files(run, [small])
    with input_error("predict", "2 files"):
        predictions_of_files(run, [folder / "down" / "1.png", tmp_path / "rows.csv"])


def test_a_run_whose_images_were_resized_resizes_those_that_it_predicts(folder, tmp_path):
    source = {"kind": "images", "folder": str(folder), "resize": [16, 16], "color_mode": "grayscale"}
    run = thalweg.train(None, source, epochs=1, engine="eager", progress=False)
    large = tmp_path / "large.png"
    Image.new("RGB", (50, 40), "red").save(large)
    assert run.preprocessing.image_shape == (16, 16)
    assert len(predictions_of_files(run, [large]).table) == 1


def test_a_table_is_predicted_as_before(tmp_path):
    rows = polars.DataFrame({"a": np.arange(40.0), "y": ["n", "p"] * 20})
    rows.write_csv(tmp_path / "rows.csv")
    run = thalweg.train(
        None, {"source": str(tmp_path / "rows.csv"), "target": "y"}, epochs=1, engine="eager", progress=False
    )
    assert len(predictions_of_files(run, [tmp_path / "rows.csv"]).table) == 40
    with input_error("predict", "2 files"):
        predictions_of_files(run, [tmp_path / "rows.csv"] * 2)
