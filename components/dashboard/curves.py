"""The course of the trainings of a run, drawn: one line a candidate."""

import io
import re
from collections.abc import Sequence
from html import escape
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.models.training import CHECK_K, Training

TITLE = "Loss after each epoch, and how well the held-out plays are ranked"
INK = "#010203"
"""Stands for the colour of the text around the drawing, which is dark on light or light on dark."""
COLOURS = ("#2b7fd4", "#d9730d", "#1f9d6b", "#c04fb8", "#8f8400", "#d64550", "#7a6fe0", "#5f8795")
"""Told apart by most eyes, and at least 3 to 1 against white and against the dark page."""
DASHES = ("-", "--", "-.", ":")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "svg.hashsalt": "curves",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def curves(trainings: Sequence[Training], chosen: str) -> str:
    """An SVG element, to stand in a page: losses and held-out NDCG after each epoch.

    The same trainings give the same bytes. Its text and axes have the colour of the text around it.

    Args:
        trainings: of all candidates.
        chosen: the label of the one to point out.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.2), layout="constrained")
        losses, checks, ranked = figure.subplots(1, 3)
        lines = zip(cycle(COLOURS), _dashes(), trainings, strict=False)
        for colour, dash, one in lines:
            width = 2.6 if one.label == chosen and len(trainings) > 1 else 1.5
            look = {"color": colour, "linestyle": dash, "linewidth": width, "label": one.label}
            look["marker"] = "." if len(one.epochs) == 1 else ""
            numbers = [epoch.number for epoch in one.epochs]
            losses.plot(numbers, [epoch.loss for epoch in one.epochs], **look)
            if one.listeners:
                checks.plot(numbers, [epoch.check for epoch in one.epochs], **look)
                values = [epoch.ndcg for epoch in one.epochs]
                ranked.plot(numbers, values, **look)
                ranked.plot(one.best, values[one.best - 1], "o", color=colour)
        _dress(losses, "loss in training", "nats a play")
        _dress(checks, "loss of held-out plays", "")
        _dress(ranked, f"NDCG@{CHECK_K} of held-out plays", "")
        if all(one.listeners == 0 for one in trainings):
            checks.text(0.5, 0.5, "nobody was held out", ha="center", transform=checks.transAxes)
        if len(trainings) > 1:
            figure.legend(
                *losses.get_legend_handles_labels(),
                loc="outside lower center",
                ncols=4,
                frameon=False,
            )
        written = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = re.sub(r"font-family: [^;]*; ", "", written.getvalue()).replace(INK, "currentColor")
    svg = svg.replace("*{stroke", ".curves *{stroke")  # a style in a page is one of all the page
    svg = re.sub(r' (xmlns[:\w]*|clip-path)="[^"]*"', "", svg)  # nothing lies outside of the axes
    head, _, rest = svg[svg.index("<svg ") :].partition(">")
    return (
        f'{head} class="curves" role="img" aria-labelledby="curves-title curves-desc">\n'
        f' <title id="curves-title">{escape(TITLE)}</title>\n'
        f' <desc id="curves-desc">{escape(describe(trainings, chosen))}</desc>'
        f"{rest}"
    )


def describe(trainings: Sequence[Training], chosen: str) -> str:
    """The drawing in words."""
    sentences = []
    for one in trainings:
        first, last = one.epochs[0], one.epochs[-1]
        sentence = (
            f"{one.label}{', which is chosen' if one.label == chosen else ''}: {len(one.epochs)} "
            f"epochs, loss in training from {first.loss:.3f} to {last.loss:.3f}"
        )
        values = [epoch.ndcg for epoch in one.epochs if epoch.ndcg is not None]
        if values:
            sentence += (
                f", NDCG@{CHECK_K} of the held-out plays from {values[0]:.3f} to "
                f"{values[one.best - 1]:.3f} at epoch {one.best}"
            )
        sentences.append(f"{sentence}.")
    return " ".join(sentences)


def _dashes() -> list[str]:
    """One for each line: all colours solid, then all of them dashed."""
    return [dash for dash in DASHES for _ in COLOURS]


def _dress(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(alpha=0.18, color=INK)
