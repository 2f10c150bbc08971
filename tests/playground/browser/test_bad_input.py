"""Files and tabs that people open: too long, text only, two at once."""

from __future__ import annotations

import numpy as np
import polars
import pytest


def offered(browsed, path, lines):
    """The page after a file with these lines was dropped on it."""
    path.write_text("\n".join(lines))
    page = browsed.open().page
    page.set_input_files("#file", path)
    return page


def test_of_many_rows_a_sample_is_shown_and_all_are_trained_on_when_asked(browsed, tmp_path):
    rows = [f"{k % 97},{k % 89},{'yes' if k % 97 > 40 else 'no'}" for k in range(25_000)]
    page = offered(browsed, tmp_path / "long.csv", ["a,b,answer", *rows])
    page.get_by_role("button", name="Train on 20,000 rows").click(timeout=40_000)
    browsed.until(lambda: sum(browsed.state["rows"].values()) == 20_000)
    assert "seeded sample of 25,000" in browsed.text("#upload-note")
    page.get_by_role("button", name="Train on all rows").click()
    browsed.until(lambda: sum(browsed.state["rows"].values()) == 25_000)
    browsed.until(lambda: "2,000 of the rows are shown" in browsed.text("#sampled"))
    page.click("#step")
    browsed.until(lambda: browsed.state["step"] == 1)
    assert browsed.refused == []


@pytest.mark.slow
def test_rows_that_stay_on_the_disk_are_sampled_until_all_are_asked_for(browsed, another, tmp_path):
    file = tmp_path / "long.parquet"
    columns = np.random.default_rng(0).normal(size=(40, 30_000)).astype(np.float32)
    table = {f"x{k}": column for k, column in enumerate(columns)}
    polars.DataFrame({**table, "y": (columns[0] > 0).astype(int)}).write_parquet(file)
    with another(tmp_path, arguments=["--data", str(file), "--target", "y"]) as address:
        browsed.address = address
        source = {"kind": "table", "file": str(file)}
        page = browsed.open(data__source=source, data__target="y", data__memory=3, data__test=0.1).page
        assert browsed.state["on_disk"] > browsed.state["rows"]["train"] == 20_000
        assert f"{browsed.state['on_disk']:,} training rows on the disk" in browsed.text("#disk-note")
        page.click("#train-on-all")
        browsed.until(lambda: browsed.state["on_disk"] is None)
        assert page.is_hidden("#disk-note")
        assert browsed.state["rows"]["train"] > 20_000
        page.goto("about:blank")


def test_a_table_of_text_alone_is_trained_on_as_categories_or_refused_in_words(browsed, tmp_path):
    rows = [f"{'red' if k % 2 else 'blue'},s{k % 3},n{k}" for k in range(40)]
    page = offered(browsed, tmp_path / "words.csv", ["colour,shape,name", *rows])
    target = page.get_by_label("column to predict")
    target.wait_for(timeout=40_000)
    page.locator("#upload-note button").click()
    browsed.until(lambda: bool(browsed.refused))
    assert page.is_visible("#problems")
    target.select_option("colour")
    page.locator("#upload-note button").click()
    browsed.until(lambda: browsed.state["classes"] == ["blue", "red"])


def test_two_tabs_are_two_trainings(browsed, context, address):
    page = browsed.open().page
    other = type(browsed)(context.new_page(), address).open()
    page.click("#step")
    browsed.until(lambda: browsed.state["step"] == 1)
    assert other.state["step"] == other.frame["step"] == 0
    other.page.close()
    page.click("#step")
    browsed.until(lambda: browsed.state["step"] == 2)
    assert other.complaints == []
