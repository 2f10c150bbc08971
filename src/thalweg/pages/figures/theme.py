"""The theme of all charts, for light and dark pages and for colour-blind readers.

The background is transparent, and lines and texts have mid tones; a page may set the colour of the text by CSS. The
colours are those of Okabe and Ito, with a slightly lighter blue for dark pages.
"""

from __future__ import annotations

import plotly.graph_objects as go

BLUE = "#1F83C6"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"

INK = "#7c7f85"
_GRID = "rgba(128, 132, 140, 0.25)"
_AXIS = {
    "gridcolor": _GRID,
    "linecolor": _GRID,
    "zeroline": False,
    "automargin": True,
    "exponentformat": "power",
    "title": {"standoff": 8, "font": {"size": 12}},
    "tickfont": {"size": 12},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
        "title": {"x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 6}, "font": {"size": 16}},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "colorway": [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY],
        "colorscale": {"sequential": "Cividis"},
        "hoverlabel": {"bgcolor": "#26292e", "bordercolor": "#26292e", "font": {"color": "#f4f4f4"}},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemwidth": 48, "font": {"size": 12}},
        "margin": {"l": 56, "r": 16, "t": 80, "b": 48},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)
