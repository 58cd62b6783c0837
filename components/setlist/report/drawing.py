"""Drawings of matplotlib as SVG elements that take their colours from the page around them."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from setlist.printable import lines, one_line

# matplotlib draws with these placeholder colours; `svg_element` replaces them by colours of the
# page, which differ between the light and the dark scheme.
INK = "#010203"
"""Placeholder for the colour of the text around the drawing."""
OUTCOME_COLOURS = {"pass": "#010204", "fail": "#010205", "undecided": "#010206"}
"""Placeholders for the colours of a rule's outcomes."""
PAGE_COLOURS = {
    INK: "currentColor",
    OUTCOME_COLOURS["pass"]: "var(--good)",
    OUTCOME_COLOURS["fail"]: "var(--bad)",
    OUTCOME_COLOURS["undecided"]: "var(--open)",
}
LINE_COLOURS = (
    "#2b7fd4",
    "#d9730d",
    "#1f9d6b",
    "#c04fb8",
    "#8f8400",
    "#d64550",
    "#7a6fe0",
    "#5f8795",
)
"""Distinguishable by most eyes; contrast of at least 3 to 1 on the light and on the dark page."""
DASHES = ("-", "--", "-.", ":")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the font of the page
    "text.parse_math": False,  # a label with dollar signs is no formula
    "font.family": "sans-serif",
    "font.size": 10,
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def line_styles() -> Iterator[dict[str, Any]]:
    """Yield a colour and a dash for each line: all colours solid, then all dashed, and so on."""
    while True:
        for dash in DASHES:
            for colour in LINE_COLOURS:
                yield {"color": colour, "linestyle": dash}


@contextmanager
def drawing_style(name: str) -> Iterator[None]:
    """Set the style of all drawings of a page.

    Args:
        name: of the drawing. It enters the ids in the SVG, so that two drawings on a page share
            no id, and the same drawing always gets the same ids.
    """
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        # Text stays text, and the browser has letters that the font of the drawing lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        yield


def add_grid(axes: Axes) -> None:
    """Add a faint grid."""
    axes.grid(alpha=0.18, color=INK)


def svg_element(figure: Figure, name: str, title: str, description: str) -> str:
    """Convert a figure, made under `drawing_style(name)`, to an SVG element for a page.

    The same figure gives the same bytes. All text in it is escaped. Nothing may be drawn outside
    the axes, because clip paths are removed.

    Args:
        figure: where it uses `INK` or one of `OUTCOME_COLOURS`, it gets the colours of the page.
        name: the class of the element, and the beginning of its ids.
        title: what the drawing shows, for people who do not see it.
        description: its content in sentences, for the same people.
    """
    buffer = io.StringIO()
    # Without these fields: the date would make every file different.
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    svg = re.sub(r"font-family: [^;]*; ", "", lines(buffer.getvalue()))
    for placeholder, colour in PAGE_COLOURS.items():
        svg = svg.replace(placeholder, colour)
    # A style element inside a page applies to the whole page, so it is limited to this drawing.
    svg = svg.replace("*{stroke", f".{name} *{{stroke")
    svg = re.sub(r' (xmlns[:\w]*|clip-path)="[^"]*"', "", svg)
    # matplotlib numbers its groups from 1 in every figure, which would repeat ids on the page.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    head, _, rest = svg[svg.index("<svg ") :].partition(">")
    return (
        f'{head} class="drawing {name}" role="img" aria-labelledby="{name}-title {name}-desc">\n'
        f' <title id="{name}-title">{escape(one_line(title))}</title>\n'
        f' <desc id="{name}-desc">{escape(one_line(description))}</desc>'
        f"{rest}"
    )
