"""One look for every page and figure: colours, type and the plotly template built from them."""

from typing import Any

FONT = (
    "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', "
    "Arial, sans-serif"
)

INK = "#17202e"
MUTED = "#5a6475"
LINE = "#e3e7ee"
PAPER = "#ffffff"
GROUND = "#f6f7fa"
ACCENT = "#2456c8"
ACCENT_SOFT = "rgba(36, 86, 200, 0.14)"
TEAL = "#0f8a7d"
AMBER = "#d98a0b"
RUST = "#bf4327"
PLUM = "#7a4a9e"
GREY = "#98a2b3"

SERIES = (ACCENT, TEAL, AMBER, PLUM, RUST, "#4b5a70", "#58a6d6", "#a3b545")
"""Colours of categories, in the order they are handed out."""

SEQUENCE = ("#9dbbf2", "#6f98e8", "#4576da", "#2456c8", "#173a8c", "#0e245a")
"""Shades of one colour, light to dark, for ordered categories such as device tiers."""

PALETTE = {
    "font": FONT,
    "ink": INK,
    "muted": MUTED,
    "line": LINE,
    "paper": PAPER,
    "ground": GROUND,
    "accent": ACCENT,
    "teal": TEAL,
    "amber": AMBER,
    "rust": RUST,
}
"""What the style sheet needs, by name."""


def shades(count: int) -> list[str]:
    """Return `count` shades of the accent, light to dark, evenly taken from `SEQUENCE`."""
    if count <= 1:
        return [ACCENT] * count
    last = len(SEQUENCE) - 1
    return [SEQUENCE[round(index * last / (count - 1))] for index in range(count)]


def template() -> Any:
    """Return the plotly template of every figure."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": LINE,
        "linecolor": "#c5ccd8",
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": 12, "color": MUTED},
        "title": {"font": {"size": 12.5, "color": MUTED}, "standoff": 10},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(SERIES),
            "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
            "xaxis": axis | {"showgrid": False, "showline": True},
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": 12, "color": INK},
                "itemsizing": "constant",
            },
            "hoverlabel": {
                "bgcolor": PAPER,
                "bordercolor": "#c5ccd8",
                "font": {"family": FONT, "color": INK},
            },
            "hovermode": "closest",
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#c5ccd8", "activecolor": INK},
            "bargap": 0.32,
            "dragmode": False,
        }
    )
