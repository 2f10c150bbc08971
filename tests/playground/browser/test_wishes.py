"""What the users of TensorFlow Playground ask for, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

HIDDEN_LAYERS = ["dense 4", "tanh"]


def test_rewind_slider_and_stop_rules(browsed):
    page = browsed.open(stopping__target=0.3, stopping__measure="loss", optimizer__kind="adam").page
    start = browsed.weights()
    page.click("#play")
    browsed.until(lambda: browsed.stopped is not None and not browsed.state["playing"])
    assert browsed.state["step"] > 0
    end = browsed.state["step"]
    middle = browsed.state["trail"][len(browsed.state["trail"]) // 2]
    page.locator("#history").fill(str(middle))
    browsed.until(lambda: 0 < browsed.state["step"] < end)
    page.click("#rewind")
    browsed.until(lambda: browsed.state["step"] == browsed.frame["step"] == 0)
    assert browsed.weights() == start


def test_layers_have_their_own_activation_dropout_normalisation_and_residual(browsed):
    page = browsed.open(network__layers=[*HIDDEN_LAYERS, "dense 4", "tanh", "dense 2", "softmax"]).page
    page.select_option("[data-key='activation 1']", "relu")
    browsed.until(lambda: [layer["kind"] for layer in browsed.state["layers"]][1:4:2] == ["tanh", "relu"])
    page.click("[data-key='options 1']")
    page.get_by_label("Normalisation").select_option("layer_norm")
    page.get_by_label("Dropout").select_option("dropout")
    page.get_by_label("Initialiser").select_option("normal")
    page.get_by_label("Residual").check()
    browsed.until(lambda: "residual" in [layer["kind"] for layer in browsed.state["layers"]])
    page.keyboard.press("Escape")
    residual = next(layer for layer in browsed.state["spec"]["network"]["layers"] if "layers" in layer)
    inner = [layer if isinstance(layer, str) else layer["kind"] for layer in residual["layers"]]
    assert inner == ["dense", "layer_norm", "relu", "dropout"]
    page.click("[data-key='data blobs']")
    browsed.until(lambda: len(browsed.state["classes"]) == 3)
    browsed.until(lambda: page.locator("#class-legend li").count() == 3)


def test_optimizers_losses_schedules_and_clipping(browsed):
    page = browsed.open().page
    kinds = page.locator("#optimizer option").all_inner_texts()
    assert {"sgd", "momentum", "rmsprop", "adam", "adamw"} <= set(kinds)
    page.select_option("#optimizer", "momentum")
    browsed.until(lambda: browsed.state["optimizer"]["kind"] == "momentum")
    assert browsed.state["optimizer"]["learning_rate"] == 0.03
    page.select_option("#loss", "mean_squared_error")
    browsed.until(lambda: browsed.state["loss"] == "mean_squared_error")
    page.click("#all-settings")
    page.get_by_label("Schedule").select_option("cosine")
    browsed.until(lambda: "cosine" in str(browsed.state["optimizer"]["learning_rate"]))
    page.locator("#settings-body").get_by_label("Gradients").select_option("global_norm")
    page.locator("#settings-body").get_by_label("limit").fill("1")
    page.locator("#settings-body").get_by_label("limit").press("Enter")
    browsed.until(lambda: "global_norm" in str(browsed.state["spec"]["training"].get("clip")))


def test_more_inputs_wide_layers_and_the_confusion_matrix(browsed):
    page = browsed.open(
        data__source={"kind": "blobs", "features": 5, "classes": 4},
        network__layers=["dense 64", "relu", "dense 64", "relu", "dense 4", "softmax"],
    ).page
    assert page.locator(".unit.strip").count() == 128
    assert page.is_hidden("#features")
    before = browsed.picture("#points")
    page.select_option("#axis-across", "2")
    browsed.until(lambda: browsed.picture("#points") != before)
    page.click("#confusion summary")
    page.click("#step")
    browsed.until(lambda: page.locator("#confusion-table tbody tr").count() == 4)
    counts = [int(text) for text in page.locator("#confusion-table td").all_inner_texts()]
    assert sum(counts) == browsed.state["rows"]["test"]


def test_painted_points_become_the_data_and_an_experiment(browsed):
    page = browsed.open(training__epochs=2).page
    page.click("#clear-points")
    box = page.locator("#points").bounding_box()
    for tool, across in (("0", 0.25), ("1", 0.75)):
        page.check(f"#paint-tools input[value='{tool}']", force=True)
        page.mouse.move(box["x"] + across * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + across * box["width"], box["y"] + 0.8 * box["height"], steps=30)
        page.mouse.up()
    browsed.until(lambda: 10 < browsed.state["rows"]["train"] + browsed.state["rows"]["test"] < 100)
    browsed.until(lambda: browsed.text("#own-data-name") == "painted points")
    page.click("#epoch")
    browsed.until(lambda: browsed.state["step"] > 0)
    page.click("#tab-runs")
    page.fill("#vary-values", "0.01, 0.1")
    page.fill("#vary-seeds", "2")
    page.click("#start-experiment")
    browsed.until(lambda: browsed.text("#experiment-note").startswith("experiment"))
    name = browsed.text("#experiment-note").partition(":")[0]
    browsed.until(lambda: "finished" in page.locator("#runs-table tbody tr", has_text=name).inner_text())


def test_one_input_is_drawn_as_a_curve(browsed):
    page = browsed.open(data__source="wave 80", optimizer="adam 0.05").page
    assert browsed.points["axes"][0] == browsed.state["inputs"][0]
    assert page.is_hidden("#no-plane")
    assert page.is_hidden("#paint-tools")
    before = browsed.picture("#output-map")
    page.click("#epoch")
    browsed.until(lambda: browsed.state["step"] > 0 and browsed.picture("#output-map") != before)
    assert browsed.text("#x-axis") == browsed.state["inputs"][0]


def test_a_weight_in_a_residual_block_is_set_by_hand(browsed):
    layers = ["dense 3", "tanh", {"kind": "residual", "layers": ["dense 3", "tanh"]}, "dense 2", "softmax"]
    page = browsed.open(network__layers=layers).page
    page.click("[data-key='unit 2 1']")
    field = page.get_by_label("weight from 1.2", exact=True)
    field.fill("4.5")
    field.press("Enter")
    browsed.until(lambda: ("W.2", 4.5) in [(name, high) for name, _, high in browsed.weights()])


def test_export(browsed):
    page = browsed.open().page
    page.click("#step")
    page.click("#tab-export")
    browsed.until(lambda: "[optimizer]" in browsed.text("#export-text"))
    page.select_option("#export-form", "python")
    browsed.until(lambda: "Spec.of" in browsed.text("#export-text"))
    pytest.importorskip("torch", reason="the form for PyTorch needs PyTorch")
    page.select_option("#export-form", "torch")
    browsed.until(lambda: "nn.Sequential" in browsed.text("#export-text"))
    with page.expect_download() as download:
        page.click("#download-export")
    assert "load_state_dict" in Path(download.value.path()).read_text()


@pytest.mark.slow  # test_analyses.py tests what is in it.
def test_the_folder_of_a_run_is_taken_along(browsed):
    page = browsed.open().page
    page.click("#step")
    page.click("#tab-export")
    page.select_option("#export-form", "run")
    with page.expect_download() as download:
        page.click("#download-export")
    assert download.value.suggested_filename == "run.zip"


def test_nothing_is_wider_than_the_page(browsed):
    page = browsed.open(network__layers=[*HIDDEN_LAYERS * 6, "dense 2", "softmax"]).page
    for width in (1440, 900, 390):
        page.set_viewport_size({"width": width, "height": 844})
        browsed.until(lambda width=width: page.evaluate("innerWidth") == width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_broken_address_keeps_what_it_can(browsed):
    page = browsed.open(optimizer__kind="sgd", optimizer__learning_rate="fast", training__batch_size=20).page
    assert browsed.state["spec"]["training"]["batch_size"] == 20
    assert "optimizer.learning_rate" in browsed.text("#problems")
    page.locator("#problems button").click()
    assert page.is_hidden("#problems")


def test_a_refused_change_is_taken_back(browsed):
    page = browsed.open().page
    page.locator("#batch-size").fill("-3")
    page.locator("#batch-size").press("Enter")
    browsed.until(lambda: page.is_visible("#problems"))
    page.locator("#learning-rate").focus()
    browsed.until(lambda: page.input_value("#batch-size") == "10")


def test_own_table(browsed, tmp_path):
    rows = [f"{k % 7},{k % 5},{k % 3},{'yes' if k % 7 > 3 else 'no'}" for k in range(60)]
    path = tmp_path / "<b>table.csv"
    path.write_text("\n".join(["one,two,three,<i>label", *rows]))
    page = browsed.open().page
    page.set_input_files("#file", path)
    page.get_by_label("column to predict").wait_for(timeout=40_000)
    assert "<b>table.csv: 60 rows, 4 columns" in browsed.text("#upload-note")
    assert page.get_by_label("column to predict").input_value() == "<i>label"
    page.locator("#upload-note button").click()
    browsed.until(lambda: browsed.state["inputs"] == ["one", "two", "three"])
    # Rows and target come together: nothing was refused meanwhile.
    assert browsed.refused == []
    assert browsed.state["classes"] == ["no", "yes"]
    page.click("#epoch")
    browsed.until(lambda: browsed.state["step"] > 0)


def test_a_file_that_is_no_table(browsed, tmp_path):
    path = tmp_path / "picture.csv"
    path.write_bytes(bytes(range(256)) * 20)
    page = browsed.open().page
    page.set_input_files("#file", path)
    browsed.until(lambda: browsed.text("#upload-note") not in ("", "Reading picture.csv …"))
    assert "picture.csv" in browsed.text("#upload-note")
    assert page.locator("#upload-note button").count() == 0
    # The refusal of the file is an answer with an error status.
    browsed.complaints = [text for text in browsed.complaints if "422" not in text]


def test_the_output_layer_is_chosen(browsed):
    page = browsed.open().page
    page.get_by_label("last layer").select_option("sigmoid")
    browsed.until(lambda: [layer["units"] for layer in browsed.state["layers"]][-2:] == [1, 1])
    assert browsed.state["loss"] == "binary_cross_entropy"
    page.get_by_label("last layer").select_option("tanh")
    page.select_option("#loss", "mean_squared_error")
    browsed.until(lambda: browsed.state["loss"] == "mean_squared_error")
    assert browsed.state["layers"][-1]["kind"] == "tanh"


def test_layers_that_have_no_units_to_draw_are_named(browsed):
    layers = ["dense 9", "reshape 3 3 1", "conv2d 2 2", "relu", "flatten", "dense 2", "softmax"]
    page = browsed.open(network__layers=layers).page
    assert "conv2d" in browsed.text("#left-out")
    page.select_option("[data-key='activation 0']", "tanh")
    browsed.until(lambda: "tanh" in [layer["kind"] for layer in browsed.state["layers"]])
    assert browsed.refused == []


def test_a_picture_is_shown_with_its_kernels_maps_and_answer(browsed):
    layers = ["reshape 8 8 1", "conv2d 4", "relu", "conv2d 5", "relu", "flatten", "dense 10", "softmax"]
    page = browsed.open(data__source="digits", network__layers=layers, optimizer="adam 0.01").page
    page.click("#epoch")
    browsed.until(lambda: browsed.frame["step"] > 0)
    counts = page.locator(".picture-tiles").evaluate_all("strips => strips.map(strip => strip.children.length)")
    assert counts == [4, 4, 5]
    painted = page.locator(".picture-tile canvas").evaluate_all(
        "all => all.map(one => new Set(one.getContext('2d').getImageData(0, 0, one.width, one.height).data).size)"
    )
    assert min(painted) > 2
    page.click("#picture-wrong")
    browsed.until(lambda: browsed.frame["picture"]["row"] in browsed.frame["picture"]["wrong"])
    names = browsed.state["outputs"]
    label = names[browsed.frame["picture"]["target"]]
    browsed.until(lambda: page.locator("#picture-answer").get_attribute("class") == "wrong")
    assert f"class {label}" in page.locator("#picture-answer").inner_text()
    page.locator("#picture-row").fill("1")
    page.locator("#picture-row").press("Enter")
    browsed.until(lambda: browsed.frame["picture"]["row"] == 0)
    page.click("#picture-before")
    browsed.until(lambda: browsed.frame["picture"]["row"] == browsed.frame["picture"]["rows"] - 1)
    assert page.locator("#layer-legend li").all_inner_texts()[0].startswith("conv2d 4")


def test_rows_that_are_no_pictures_have_no_picture(browsed):
    page = browsed.open().page
    assert page.locator("#pictures").is_hidden()
