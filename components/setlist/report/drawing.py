"""Drawings of matplotlib as SVG elements that take their colours from the page around them."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the colour of the text around the drawing, which is dark on light or light on dark."""
TONES = {"pass": "#010204", "fail": "#010205", "undecided": "#010206"}
"""Stand for the colours of outcomes, which are another shade in the dark."""
COLOURS = ("#2b7fd4", "#d9730d", "#1f9d6b", "#c04fb8", "#8f8400", "#d64550", "#7a6fe0", "#5f8795")
"""Told apart by most eyes, and at least 3 to 1 against white and against the dark page."""
DASHES = ("-", "--", "-.", ":")
LIVING = {
    INK: "currentColor",
    TONES["pass"]: "var(--good)",
    TONES["fail"]: "var(--bad)",
    TONES["undecided"]: "var(--open)",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def looks() -> Iterator[dict[str, Any]]:
    """A colour and a dash for each line: all colours solid, then all of them dashed, and so on."""
    while True:
        for dash in DASHES:
            for colour in COLOURS:
                yield {"color": colour, "linestyle": dash}


@contextmanager
def style(name: str) -> Iterator[None]:
    """The look of all drawings of a page; `name` keeps the ids of one apart from another's."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        yield


def dress(axes: Axes) -> None:
    """A faint grid."""
    axes.grid(alpha=0.18, color=INK)


def element(figure: Figure, name: str, title: str, words: str) -> str:
    """The figure, made under `style(name)`, as an SVG element to stand in a page.

    The same figure gives the same bytes. What stands in it is escaped, and nothing may lie outside
    of its axes.

    Args:
        figure: its text and axes get the colour of the text around it, where they have that of
            `INK`, and those of the outcomes where they have one of `TONES`.
        name: a class, and the beginning of its ids.
        title: what it shows, for those who do not see it.
        words: the same at length.
    """
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = re.sub(r"font-family: [^;]*; ", "", written.getvalue())
    for colour, living in LIVING.items():
        svg = svg.replace(colour, living)
    svg = svg.replace("*{stroke", f".{name} *{{stroke")  # a style in a page is one of all the page
    svg = re.sub(r' (xmlns[:\w]*|clip-path)="[^"]*"', "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    head, _, rest = svg[svg.index("<svg ") :].partition(">")
    return (
        f'{head} class="drawing {name}" role="img" aria-labelledby="{name}-title {name}-desc">\n'
        f' <title id="{name}-title">{escape(title)}</title>\n'
        f' <desc id="{name}-desc">{escape(words)}</desc>'
        f"{rest}"
    )
