"""The page for everybody: keyboard alone, screen readers, dark mode; what it does without a server."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest


@pytest.fixture
def axe(browsed):
    """The violations that axe finds on the page now, in words; of all its rules, or of those that are named."""
    library = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="accessibility is not tested: no axe"
    ).Axe()

    def violations(*rules: str) -> str:
        # In the middle of a transition a colour is neither the old one nor the new one.
        browsed.until(lambda: browsed.page.evaluate("document.getAnimations().length") == 0)
        found = library.run(browsed.page, options={"runOnly": list(rules)} if rules else None)
        return found.generate_report() if found.violations_count else ""

    return violations


def test_axe_finds_nothing(browsed, axe):
    page = browsed.open().page
    page.click("[data-key='unit 0 0']")
    page.click("#tab-runs")
    assert axe() == ""
    for opener in ("#all-settings", "#share", "#help", "[data-key='options 0']"):
        page.click(opener)
        assert axe() == ""
        page.keyboard.press("Escape")
    page.emulate_media(color_scheme="dark")
    browsed.until(lambda: page.evaluate("document.documentElement.dataset.theme") == "dark")
    assert axe("color-contrast") == ""
    page.click("#all-settings")
    assert axe("color-contrast") == ""


def test_axe_finds_nothing_around_a_picture(browsed, axe):
    layers = ["reshape 8 8 1", "conv2d 3", "relu", "flatten", "dense 10", "softmax"]
    page = browsed.open(data__source="digits", network__layers=layers).page
    browsed.until(lambda: page.locator(".picture-tile").count() == 6)
    assert axe() == ""
    page.emulate_media(color_scheme="dark")
    browsed.until(lambda: page.evaluate("document.documentElement.dataset.theme") == "dark")
    assert axe("color-contrast") == ""


def test_the_keyboard_alone(browsed):
    page = browsed.open().page
    page.keyboard.press("s")
    browsed.until(lambda: browsed.frame["step"] == 1)
    page.keyboard.press("e")
    browsed.until(lambda: browsed.state["step"] > 1)
    page.keyboard.press("3")
    assert page.is_checked("#quantity input[value='delta']")
    page.keyboard.press("d")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.key") == "unit 0 1"
    assert "bias" in page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("Enter")
    browsed.until(lambda: browsed.text("#numbers-title") == "Unit 1.2")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("r")
    browsed.until(lambda: browsed.state["step"] == 0)
    page.keyboard.press("?")
    assert page.is_visible("#help-dialog")


def test_a_stopped_server_is_told_from_another_one(browsed, another, tmp_path):
    with another(tmp_path) as address:
        browsed.address = address
        browsed.open()
    browsed.until(lambda: "does not answer" in browsed.text("#connection"))
    with another(tmp_path, urlsplit(address).port):
        browsed.until(lambda: "Another server runs here now" in browsed.text("#connection"))
    # Requests without an answer are errors to the browser.
    browsed.complaints.clear()
