"""The lesson on optimizers, against closed forms, PyTorch, and the limits of the theory."""

from __future__ import annotations

import numpy as np
import pytest
from page_blocks import blocks_of, failed, text_of

from thalweg.insight.test_functions import Quadratic, Rosenbrock
from thalweg.learn.catalogue import lesson as lesson_of
from thalweg.learn.lessons.optimizers import OptimizersLesson
from thalweg.pages.blocks import Chart, Check, Table


@pytest.fixture(scope="module")
def page():
    return lesson_of("optimizers", quick=True).page()


def test_every_check_holds_in_both_forms(page):
    for form in (page, OptimizersLesson().page()):
        assert len(blocks_of(form, Check)) == 11
        assert not failed(form)


def test_five_surfaces_have_a_figure_with_every_path_and_a_table(page):
    charts = blocks_of(page, Chart)
    names = [[trace.name for trace in chart.figure.select_traces({"mode": "lines"})] for chart in charts]
    assert [len(each) for each in names] == [5, 5, 5, 5, 4]
    tables = blocks_of(page, Table)
    assert [[row[0] for row in table.rows] for table in tables] == names


def test_the_steps_of_gradient_descent_on_the_quadratic_follow_from_its_factor():
    # After the first few steps only x is left: ½ x₀² (1 - η)²ᵗ = 1 % of the first height.
    lesson = OptimizersLesson()
    ground = Quadratic(condition=50.0)
    arrival = lesson.arrival(ground, lesson.paths(ground, lesson.quadratic_rate)["gradient descent"])
    x, y = ground.start
    first = (x**2 + 50 * y**2) / 2
    assert arrival == np.ceil(np.log(0.01 * first / (x**2 / 2)) / (2 * np.log(1 - 0.025)))


def test_the_table_shows_where_gradient_descent_diverges():
    rows = blocks_of(OptimizersLesson(quadratic_rate=0.05, steps=3000).page(), Table)[0].rows
    assert rows[0][2:] == ("diverged", "never")


def test_the_paths_over_rosenbrock_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    lesson = OptimizersLesson(steps=60)
    paths = lesson.paths(Rosenbrock(), lesson.rosenbrock_rate)
    makers = {
        "gradient descent": lambda p: torch.optim.SGD(p, 1e-3),
        "momentum": lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9),
        "Nesterov": lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, nesterov=True),
        "RMSProp": lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.9, eps=1e-8),
        "Adam": lambda p: torch.optim.Adam(p, 0.1),
    }
    for name, maker in makers.items():
        place = torch.tensor(Rosenbrock().start, dtype=torch.float64, requires_grad=True)
        optimizer = maker([place])
        for _ in range(60):
            optimizer.zero_grad()
            ((1 - place[0]) ** 2 + 100 * (place[1] - place[0] ** 2) ** 2).backward()
            optimizer.step()
        np.testing.assert_allclose(paths[name][-1], place.detach().numpy(), rtol=1e-6, err_msg=name)


def test_parameters_change_the_page():
    text = text_of(OptimizersLesson(adaptive_rate=0.07, steps=50).page())
    assert "η = 0.07 everywhere" in text
    assert "η = 0.1 everywhere" not in text
