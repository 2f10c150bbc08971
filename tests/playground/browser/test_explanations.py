"""What no other page has: delta, the doctor with its trials, every number of a step, landscape and race."""

from __future__ import annotations

import pytest

SIGMOIDS = ["dense 4", "sigmoid"]


def test_quantities_on_the_drawing_and_by_layer(browsed):
    page = browsed.open(network__layers=[*SIGMOIDS * 5, "dense 2", "softmax"]).page
    page.click("#step")
    browsed.until(lambda: browsed.frame["step"] == 1)
    seen = set()
    for quantity, arrays in (("outputs", "unit."), ("delta", "unit."), ("gradients", "G."), ("updates", "U.")):
        page.check(f"#quantity input[value='{quantity}']", force=True)
        browsed.until(lambda arrays=arrays: any(array["name"].startswith(arrays) for array in browsed.frame["arrays"]))
        page.wait_for_timeout(100)
        seen.add(browsed.picture("#layer-chart") + browsed.picture("#network-links"))
        assert page.locator("#layer-legend li").count() == 6
    assert len(seen) == 4
    page.check("#quantity input[value='delta']", force=True)
    browsed.until(lambda: page.locator(".unit-value").nth(2).inner_text() != "")
    assert browsed.text("#layer-chart-title") == "Delta by layer: dE/dz"


@pytest.mark.parametrize(
    ("activation", "bias", "mark"), [("relu", -100, "dead"), ("tanh", 100, "saturated")], ids=["dead", "saturated"]
)
def test_dead_and_saturated_units_are_marked(browsed, activation, bias, mark):
    wide = {"kind": "dense", "width": 3, "bias_init": {"kind": "constant", "value": bias}}
    page = browsed.open(network__layers=[wide, activation, "dense 2", "softmax"]).page
    browsed.until(lambda: page.locator(f".unit.{mark}").count() == 3)
    assert mark in page.locator("[data-key='unit 0 0']").get_attribute("aria-label")
    page.locator("[data-key='unit 0 0']").hover()


@pytest.mark.slow
def test_the_doctor_finds_and_a_remedy_is_tried_side_by_side(browsed):
    page = browsed.open(
        network__layers=[*SIGMOIDS * 4, "dense 2", "softmax"], data__source="rings 60", training__epochs=10
    ).page
    page.click("#epoch")
    browsed.until(lambda: bool(browsed.diagnosis.get("findings")))
    browsed.until(lambda: page.locator(".finding .try").count() > 0)
    page.locator(".finding summary").first.click()
    assert page.locator(".finding .evidence").first.inner_text()
    found = next(finding for finding in browsed.diagnosis["findings"] if finding["layers"])
    page.locator(".finding", has_text=found["code"]).first.hover()
    assert page.locator(f".finding-mark.pointed[data-codes~='{found['code']}']").count() > 0
    page.locator(".finding .try").first.click()
    browsed.until(lambda: any(trial["arm"] == "B" and trial["done"] for trial in browsed.trials))
    browsed.until(lambda: (browsed.trials[-1].get("difference") or {"n": 0})["n"] == 5)
    browsed.until(lambda: "95 % interval" in browsed.text("#compare-result"))
    network = browsed.state["spec"]["network"]
    page.click("#use-remedy")
    browsed.until(lambda: browsed.state["spec"]["network"] != network)


def test_every_number_of_the_last_step(browsed):
    page = browsed.open().page
    page.click("#step")
    browsed.until(lambda: browsed.frame["step"] == 1)
    page.click("[data-key='unit 2 0']")
    browsed.until(lambda: "gradient" in browsed.text("#numbers-body"))
    all_rows = browsed.text("#numbers-body")
    page.select_option("#sample", "3")
    browsed.until(lambda: "gradient" in browsed.text("#numbers-body") and browsed.text("#numbers-body") != all_rows)
    assert page.locator("#numbers-fields input").count() == 5
    page.keyboard.press("Escape")
    browsed.until(lambda: "Choose a unit" in browsed.text("#numbers-title"))


@pytest.mark.slow  # Their numbers are tested in test_analyses.py.
def test_landscape_and_race(browsed):
    page = browsed.open().page
    page.click("#epoch")
    browsed.until(lambda: browsed.state["step"] > 0)
    page.click("#tab-landscape")
    page.click("#compute-landscape")
    page.click("#tab-race")
    for name in ("momentum", "rmsprop"):
        page.uncheck(f"#race-optimizers input[value='{name}']")
    page.click("#compute-race")
    browsed.until(
        lambda: page.locator("#landscape-figures .plot-container, #race-figures .plot-container").count() >= 2
    )
