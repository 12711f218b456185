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
ACCENT_LIGHT = "#a9c1f0"
ACCENT_SOFT = "rgba(36, 86, 200, 0.14)"
TEAL = "#0f8a7d"
AMBER = "#d98a0b"
AMBER_SOFT = "rgba(217, 138, 11, 0.16)"
RUST = "#bf4327"
PLUM = "#7a4a9e"
GREY = "#98a2b3"
GREY_SOFT = "rgba(152, 162, 179, 0.18)"
AXIS = "#c5ccd8"
FAINT = "#eef1f5"
INTERVAL = "#aab6ca"
CLEAR = "rgba(0,0,0,0)"
ON_DARK = "#fefefe"
"""Text on a bar of a dark colour."""
ON_LIGHT = "#18212f"
"""Text on a bar of a light colour."""

SERIES = (ACCENT, TEAL, AMBER, PLUM, RUST, "#4b5a70", "#58a6d6", "#a3b545")
"""Colours of categories, in the order they are handed out."""

SEQUENCE = ("#9dbbf2", "#6f98e8", "#4576da", "#2456c8", "#173a8c", "#0e245a")
"""Shades of one colour, light to dark, for ordered categories such as device tiers."""

DARK_MODE = {
    INK: "#e6eaf2",
    MUTED: "#a7b1c2",
    LINE: "#2d3646",
    PAPER: "#171d28",
    "#fff": "#171d28",
    GROUND: "#0e131b",
    ACCENT: "#7ea6ff",
    ACCENT_LIGHT: "#4a68a8",
    ACCENT_SOFT: "rgba(126, 166, 255, 0.18)",
    TEAL: "#3cc0b0",
    AMBER: "#e8aa3d",
    AMBER_SOFT: "rgba(232, 170, 61, 0.18)",
    RUST: "#f08a6c",
    PLUM: "#c09ae2",
    GREY: "#8a95a8",
    GREY_SOFT: "rgba(152, 162, 179, 0.18)",
    AXIS: "#4a566a",
    FAINT: "#242c3a",
    INTERVAL: "#76849b",
    CLEAR: CLEAR,
    ON_DARK: "#10151e",
    ON_LIGHT: "#10151e",
    "#4b5a70": "#b3bfd2",
    "#58a6d6": "#74bbe6",
    "#a3b545": "#bccb62",
    "#9dbbf2": "#3f5da3",
    "#6f98e8": "#4d74c9",
    "#4576da": "#658de8",
    "#173a8c": "#aac4ff",
    "#0e245a": "#dde7ff",
    "#dfe4ec": "#343e50",
}
"""What each colour of a page or figure becomes on a dark ground; a figure has no colour that is not here."""

PALETTE = {
    "ink": INK,
    "muted": MUTED,
    "line": LINE,
    "paper": PAPER,
    "ground": GROUND,
    "accent": ACCENT,
}
"""What the style sheet needs, by name, on a light ground."""

PALETTE_DARK = {name: DARK_MODE[colour] for name, colour in PALETTE.items()}
"""The same on a dark ground."""


def text_on(colour: str) -> str:
    """Return the colour of text inside a bar of `colour`, written "#rrggbb": the one of more contrast."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    # Perceived brightness by the weights of ITU-R BT.601; white is readable on what is below half.
    return ON_DARK if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else ON_LIGHT


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
        "linecolor": AXIS,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": 12, "color": MUTED},
        "title": {"font": {"size": 12.5, "color": MUTED}, "standoff": 10},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
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
                "bordercolor": AXIS,
                "font": {"family": FONT, "color": INK},
            },
            "hovermode": "closest",
            "modebar": {"bgcolor": CLEAR, "color": AXIS, "activecolor": INK},
            "bargap": 0.32,
            "dragmode": False,
        }
    )
