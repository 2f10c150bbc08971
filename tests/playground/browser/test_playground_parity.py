"""All that TensorFlow Playground has, in a real browser."""

from __future__ import annotations

import itertools

import pytest


def test_data_noise_share_and_regenerate(browsed):
    page = browsed.open().page
    wanted = {"rings", "quadrants", "gaussians", "spiral"}
    browsed.until(lambda: wanted <= set(page.locator(".data-kind").all_inner_texts()))
    page.click("[data-key='data spiral']")
    browsed.until(lambda: browsed.source["kind"] == "spiral")
    page.locator("#noise").fill("0.5")
    browsed.until(lambda: browsed.source["noise"] == 0.5)
    page.locator("#train-share").fill("80")
    browsed.until(lambda: browsed.state["rows"] == {"train": 400, "test": 100})
    browsed.until(lambda: len(browsed.points["train"]["y"]) == 400)
    points = browsed.points["train"]
    seed = browsed.state["spec"]["training"].get("seed", 0)
    page.click("#reset")
    browsed.until(lambda: browsed.state["spec"]["training"].get("seed", 0) == seed + 1)
    browsed.until(lambda: browsed.points["train"] != points)


def test_problem_type_and_regression_fields(browsed):
    page = browsed.open().page
    page.select_option("#problem", "regression")
    browsed.until(lambda: browsed.state["task"] == "regression")
    browsed.until(lambda: {"plane", "hills"} <= set(page.locator(".data-kind").all_inner_texts()))
    assert browsed.state["loss"] == "mean_squared_error"
    browsed.until(lambda: browsed.text("#score-name") == "R²")


def test_features_layers_units_and_activation(browsed):
    page = browsed.open().page
    page.click("[data-key='feature x1*x2']")
    page.click("[data-key='feature sin x2']")
    browsed.until(lambda: browsed.state["layers"][0]["kind"] == "features" and browsed.state["layers"][0]["units"] == 4)
    assert page.locator(".feature").count() == 7
    for count in (3, 4, 5, 6):
        page.click("#more-layers")
        browsed.until(lambda count=count: len(_hidden(browsed)) == count)
    assert page.is_disabled("#more-layers")
    page.click("[data-key='more units 0']")
    browsed.until(lambda: _hidden(browsed)[0]["units"] == 5)
    page.click("[data-key='fewer units 1']")
    browsed.until(lambda: _hidden(browsed)[1]["units"] == 1)
    page.select_option("#activation", "relu")
    browsed.until(lambda: [layer["kind"] for layer in browsed.state["layers"]].count("relu") == 6)
    for count in range(5, -1, -1):
        page.click("#fewer-layers")
        browsed.until(lambda count=count: len(_hidden(browsed)) == count)
    assert page.is_disabled("#fewer-layers")


def _hidden(browsed):
    return [layer for layer in browsed.state["layers"] if layer["kind"] == "dense"][:-1]


def test_rate_regularization_and_batch(browsed):
    page = browsed.open().page
    page.locator("#learning-rate").fill("0.1")
    page.locator("#learning-rate").press("Enter")
    browsed.until(lambda: browsed.state["optimizer"]["learning_rate"] == 0.1)
    page.select_option("#regularization", "l1")
    browsed.until(lambda: browsed.state["spec"]["regularization"].get("l1") == 0.001)
    page.locator("#strength").fill("0.03")
    page.locator("#strength").press("Enter")
    browsed.until(lambda: browsed.state["spec"]["regularization"].get("l1") == 0.03)
    page.select_option("#regularization", "l2")
    browsed.until(lambda: browsed.state["spec"]["regularization"].get("l2") == 0.03)
    assert "l1" not in browsed.state["spec"]["regularization"]
    page.locator("#batch-size").fill("1")
    page.locator("#batch-size").press("Enter")
    browsed.until(lambda: browsed.state["spec"]["training"]["batch_size"] == 1)


def test_play_pause_step_and_curves(browsed):
    page = browsed.open(training__engine="compiled").page
    map_before, curves_before = browsed.picture("#output-map"), browsed.picture("#curves")
    page.click("#step")
    browsed.until(lambda: browsed.frame["step"] == 1)
    page.click("#play")
    browsed.until(lambda: browsed.frame["epoch"] > 20 and browsed.state["engine"] == "compiled")
    page.click("#play")
    browsed.until(lambda: not browsed.state["playing"])
    step = browsed.state["step"]
    page.wait_for_timeout(300)
    assert browsed.state["step"] == browsed.frame["step"] == step
    browsed.until(lambda: browsed.text("#step-count").replace(",", "") == str(step))
    # The page writes the sign of mathematics.
    shown = float(browsed.text("#train-loss").replace("\u2212", "-"))
    sent = browsed.frame["metrics"]["train_loss"]
    assert shown == pytest.approx(sent, rel=0.01)
    assert browsed.picture("#output-map") != map_before
    assert browsed.picture("#curves") != curves_before
    points = browsed.picture("#points")
    page.check("#show-test")
    assert browsed.picture("#points") != points
    smooth = browsed.picture("#output-map")
    page.check("#discretise")
    assert browsed.picture("#output-map") != smooth
    page.click("#rewind")
    browsed.until(lambda: browsed.state["step"] == 0)


def test_maps_hover_and_weights_by_hand(browsed):
    page = browsed.open().page
    before = browsed.picture("#output-map")
    page.hover("[data-key='unit 0 0']")
    assert browsed.picture("#output-map") != before
    assert browsed.text("#output-title") == "Output of one unit"
    page.mouse.move(5, 5)
    _over_a_link(page)
    assert "weight" in browsed.text("#hover-card")
    page.mouse.down()
    page.mouse.up()
    field = page.locator("#hover-card input")
    assert field.input_value()
    field.fill("2.5")
    field.press("Enter")
    browsed.until(
        lambda: any(array["name"].startswith("W.") and array["high"] >= 2.5 for array in browsed.frame["arrays"])
    )
    page.keyboard.press("Escape")
    page.click("[data-key='unit 0 1']")
    bias = page.get_by_label("bias", exact=True)
    bias.fill("1.25")
    bias.press("Enter")
    browsed.until(lambda: any(array["name"] == "b.0" and array["high"] == 1.25 for array in browsed.frame["arrays"]))
    assert browsed.text("#network-high")
    assert browsed.text("#output-scale").split()


def _over_a_link(page):
    """Move the pointer from the first input to the right until a connection is below it."""
    box = page.locator(".unit.inputs").first.bounding_box()
    start, height = box["x"] + box["width"] + 4, box["y"] + box["height"] / 2
    for away, up in itertools.product(range(6, 60, 6), range(-20, 21, 4)):
        page.mouse.move(start + away, height + up)
        if page.is_visible("#hover-card"):
            return
    raise AssertionError("no connection was found")


def test_the_address_holds_everything(browsed):
    page = browsed.open(hide="seed,loss", view="delta", optimizer__kind="adam", training__seed=7).page
    assert not page.is_visible("#seed")
    assert not page.is_visible("#loss")
    assert page.is_visible("#learning-rate")
    assert browsed.state["optimizer"]["kind"] == "adam"
    page.click("[data-key='data quadrants']")
    browsed.until(lambda: browsed.source["kind"] == "quadrants")
    page.click("#share")
    page.uncheck("#hide-list input[value='batch-size']")
    page.keyboard.press("Escape")
    shared = page.url
    spec = browsed.state["spec"]
    page.goto("about:blank")
    browsed.state = {}
    page.goto(shared)
    browsed.until(lambda: bool(browsed.state))
    assert browsed.state["spec"] == spec
    assert page.is_checked("#quantity input[value='delta']")
    assert not page.is_visible("#batch-size")
