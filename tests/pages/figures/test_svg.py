"""Charts as SVG: numbers are where the axes say, and nothing is lost or active."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from thalweg.pages.figures import arm_curves, arm_panels, learning_curves
from thalweg.pages.figures.axes import log_axis
from thalweg.pages.figures.svg import chart_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure):
    return ElementTree.fromstring(chart_svg(figure))


def texts(picture):
    return [element.text for element in picture.iter(f"{SVG}text")]


def places(picture):
    """The places (n, 2) of the points."""
    return np.array([[float(one.get("cx")), float(one.get("cy"))] for one in picture.iter(f"{SVG}circle")])


def ticks(picture, anchor):
    """The numbers beside (`end`) or below (`middle`) the plane, with their places."""
    axis = "y" if anchor == "end" else "x"
    found = [one for one in picture.iter(f"{SVG}text") if one.get("text-anchor") == anchor]
    return {one.text: float(one.get(axis)) for one in found}


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_points_are_where_the_ticks_say(kind):
    y = np.array([0.001, 0.01, 0.1])
    figure = go.Figure(go.Scatter(x=[1, 2, 4], y=y, mode="markers"))
    scale, values = (np.log10, [0.001, 0.01, 0.1]) if kind == "log" else (np.asarray, [0.05, 0.1])
    figure.update_yaxes(**log_axis(y) if kind == "log" else {})
    picture = drawn(figure)
    labels = ticks(picture, "end")
    # The baseline of a label is 4 below its line.
    first, *_, last = (labels[f"{value:g}"] - 4 for value in values)
    across = scale(np.array(values))
    slope = (last - first) / (across[-1] - across[0])
    np.testing.assert_allclose(places(picture)[:, 1], first + slope * (scale(y) - across[0]), atol=0.3)


def test_names_and_a_missing_number_have_their_places():
    figure = go.Figure(go.Scatter(x=[1.0, None, 3.0], y=["a", "b", "a"], mode="markers"))
    picture = drawn(figure)
    assert {"a", "b"} <= set(texts(picture))
    (first, second) = places(picture)
    assert first[1] == second[1]


def test_a_line_stops_at_a_missing_number():
    picture = drawn(go.Figure(go.Scatter(y=[1.0, 2.0, np.nan, 3.0, 4.0])))
    (path,) = picture.iter(f"{SVG}path")
    assert path.get("d").count("M") == 2


def test_charts_of_runs_and_arms_have_their_lines_and_names():
    history = [{"epoch": k + 1, "loss": 1 / (k + 1), "validation_loss": 2 / (k + 1)} for k in range(40)]
    picture = drawn(learning_curves(history, "loss"))
    assert len(list(picture.iter(f"{SVG}path"))) == 2
    assert {"Loss", "training", "validation", "epoch", "loss"} <= set(texts(picture))
    arms = {f"arm {k}": np.exp(-np.arange(9.0)) * np.ones((3, 1)) * (k + 1) for k in range(4)}
    assert set(arms) <= set(texts(drawn(arm_curves(arms, "loss", log=True))))
    assert set(arms) <= set(texts(drawn(arm_panels(arms, "loss", "arm 0"))))


def test_other_traces_have_no_picture():
    bands = go.Contour(z=[[1, 2], [3, 4]])
    for trace in (go.Bar(y=[1, 2]), bands):
        assert chart_svg(go.Figure(trace)) == chart_svg(go.Figure([trace, go.Scatter(y=[1])])) == ""
    assert chart_svg(go.Figure()) == ""


def test_foreign_text_stays_text():
    figure = go.Figure(
        go.Scatter(y=[1, 2], name="<script>alert(1)</script>"), {"title": {"text": "&lt;b onload=x&gt;"}}
    )
    picture = drawn(figure.add_scatter(y=[2, 1], name="x"))
    assert {one.tag for one in picture.iter()} <= {
        SVG + tag for tag in ("svg", "g", "line", "path", "text", "clipPath", "rect")
    }


def pixels(picture):
    """The colours (rows, columns, 4) of the map of a picture, and its box (left, top, width, height)."""
    image = next(iter(picture.iter(f"{SVG}image")))
    content = base64.b64decode(image.get("href").partition(",")[2])
    box = [float(image.get(name)) for name in ("x", "y", "width", "height")]
    return np.asarray(Image.open(io.BytesIO(content))), box


@pytest.mark.parametrize("reverse", [False, True])
def test_each_cell_of_a_map_has_the_colour_of_its_value_and_lies_around_its_point(reverse):
    z = np.array([[0.0, 1.0, 2.0], [3.0, np.nan, 4.0]])
    scale = [[0, "rgb(0, 0, 0)"], [1, "rgb(200, 100, 40)"]]
    figure = go.Figure(go.Heatmap(x=[0, 1, 2], y=[10, 20], z=z, colorscale=scale, reversescale=reverse))
    figure.add_scatter(x=[0, 2], y=[10, 20], mode="markers")
    picture = drawn(figure)
    found, (left, top, width, height) = pixels(picture)
    share = 1 - z / 4 if reverse else z / 4
    # The first row of a picture is its highest one, which has the larger y.
    expected = (share[::-1, :, None] * [200, 100, 40]).round()
    known = np.isfinite(expected[..., 0])
    np.testing.assert_array_equal(found[known][:, :3], expected[known])
    assert (found[..., 3] == np.where(known, 255, 0)).all()
    first, last = places(picture)
    np.testing.assert_allclose(first, [left + width / 6, top + 3 * height / 4], atol=0.1)
    np.testing.assert_allclose(last, [left + 5 * width / 6, top + height / 4], atol=0.1)


def test_maps_with_one_scale_share_its_colours_and_a_middle_is_halfway():
    figure = go.Figure(
        [go.Heatmap(z=[[-1.0, 0.0]], coloraxis="coloraxis"), go.Heatmap(z=[[3.0]], coloraxis="coloraxis")]
    )
    figure.update_layout(coloraxis={"colorscale": [[0, "#000000"], [1, "#ffffff"]], "cmid": 0.0})
    found, _ = pixels(drawn(figure))
    np.testing.assert_allclose(found[0, :, 0], [255 * 2 / 6, 255 / 2], atol=0.5)


def test_pictures_on_one_page_share_no_name():
    figure = go.Figure(go.Heatmap(z=[[0.0, 1.0]]))
    assert not any("id" in element.attrib for element in drawn(figure).iter())


def test_units_of_one_length_make_a_circle_of_a_circle():
    figure = go.Figure(go.Scatter(x=[-1, 0, 1, 0], y=[0, -1, 0, 1], mode="markers"))
    figure.update_yaxes(scaleanchor="x")
    across, up = np.ptp(places(drawn(figure)), axis=0)
    assert across == pytest.approx(up, abs=0.3)


def test_a_band_lies_between_its_two_lines():
    below, above = np.array([1.0, 2.0, 1.0]), np.array([3.0, 3.0, 4.0])
    figure = go.Figure([go.Scatter(y=below, mode="markers"), go.Scatter(y=above, mode="markers", fill="tonexty")])
    picture = drawn(figure)
    (band,) = picture.iter(f"{SVG}polygon")
    corners = np.array([corner.split(",") for corner in band.get("points").split()], float)
    points = places(picture)
    np.testing.assert_allclose(corners, np.concatenate([points[3:], points[2::-1]]), atol=0.11)
