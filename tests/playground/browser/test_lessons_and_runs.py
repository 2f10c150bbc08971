"""Lessons, runs and experiments from the page, in a real browser."""

from __future__ import annotations

from thalweg.runs.train import run_spec
from thalweg.spec.spec import Spec


def test_a_lesson_beside_its_network(browsed):
    page = browsed.open().page
    page.click("#tab-lessons")
    link = page.locator(".lesson-link", has_text="with its network").first
    link.click(timeout=40_000)
    browsed.until(lambda: bool(browsed.text("#lesson-title")))
    first = browsed.text("#lesson-body")
    assert browsed.text("#lesson-place").startswith("1 of ")
    assert "#data" in page.url
    page.click("#lesson-next")
    assert browsed.text("#lesson-body") != first
    for _ in range(3):
        page.click("#lesson-back")
        page.click("#lesson-next")
    page.click("#lesson-back")
    assert browsed.text("#lesson-body") == first


def test_an_experiment_is_started_watched_and_stopped_and_listed(browsed):
    page = browsed.open(training__epochs=2).page
    page.click("#tab-runs")
    page.fill("#vary-values", "0.01, 0.1")
    page.fill("#vary-seeds", "2")
    page.click("#start-experiment")
    stop = page.locator("#experiment-note button")
    stop.click(timeout=40_000)
    browsed.until(lambda: stop.count() == 0)
    browsed.until(lambda: page.locator("#runs-table tbody tr").count() == 1)
    page.fill("#run-filter", "nothing like it")
    assert page.locator("#runs-table tbody tr").count() == 0
    page.fill("#run-filter", "experiment")
    page.locator("#runs-table thead button", has_text="Kind").click()
    assert page.locator("#runs-table tbody tr").count() == 1


def test_a_reload_finds_a_running_experiment_and_a_stopped_one_can_be_resumed(browsed):
    page = browsed.open(training__epochs=20_000).page
    page.click("#tab-runs")
    page.fill("#vary-values", "0.01, 0.1")
    page.fill("#vary-seeds", "2")
    page.click("#start-experiment")
    stop = page.locator("#experiment-note button")
    stop.wait_for(timeout=40_000)
    name = browsed.text("#experiment-note span").partition(":")[0]
    page.reload()
    page.wait_for_selector(".unit canvas")
    page.click("#tab-runs")
    stop.wait_for(timeout=40_000)
    assert browsed.text("#experiment-note span").partition(":")[0] == name
    stop.click()
    resume = page.locator(f"[aria-label='resume {name}']")
    resume.click(timeout=40_000)
    stop.click(timeout=40_000)
    resume.wait_for(timeout=40_000)


def test_a_reload_finds_the_training(browsed):
    page = browsed.open().page
    page.click("#step")
    browsed.until(lambda: browsed.state["step"] == 1)
    browsed.state = {}
    page.reload()
    browsed.until(lambda: bool(browsed.state))
    assert browsed.state["step"] == 1


def test_the_shell_opens_a_table_and_the_runs_of_a_folder_are_compared(browsed, another, tmp_path):
    for name, rate in (("slow", 0.01), ("fast", 0.5)):
        table = {"data": "xor", "optimizer": f"sgd {rate}", "training": {"engine": "eager", "epochs": 5}}
        run_spec(Spec.of(table)).save(tmp_path / "runs" / name)
    file = tmp_path / "own.csv"
    file.write_text(
        "\n".join(["one,two,answer", *(f"{k % 7},{k % 5},{'yes' if k % 7 > 3 else 'no'}" for k in range(60))])
    )
    with another(tmp_path, arguments=["--data", str(file), "--target", "answer"]) as address:
        browsed.address = address
        page = browsed.open().page
        assert browsed.state["inputs"] == ["one", "two"]
        assert browsed.state["classes"] == ["no", "yes"]
        page.click("#tab-runs")
        for name in ("slow", "fast"):
            page.get_by_label(f"compare {name}").check(timeout=40_000)
        page.click("#compare-runs")
        browsed.until(lambda: set(page.locator("#runs-legend li").all_inner_texts()) == {"slow", "fast"})
        assert page.is_visible("#runs-chart")
        with page.context.expect_page() as report:
            page.locator("#runs-table a", has_text="fast").click()
        assert "sgd" in report.value.inner_text("body")
        report.value.close()
        page.goto("about:blank")
