"""How evenly the lists use the catalogue: the share of positions that the top items take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from setlist.arrays import Float64s, Int32s, Int64s
from setlist.report.drawing import INK, add_grid, drawing_style, line_styles, svg_element

POINTS_PER_LINE = 120
"""At equal distances of a logarithmic axis, so that pages stay small for large catalogues."""
PLAYS_LABEL = "plays in training"


@dataclass(frozen=True)
class Spread:
    """How the positions of a model's lists, or the plays, are spread over the catalogue.

    Attributes:
        label: of the model, or `PLAYS_LABEL`.
        items: how many items have any position.
        half: how many items, the most exposed first, take half of all positions.
        top_ten: the share of positions that the ten most exposed items take.
        shares: float64[points], the share of positions that the most exposed items take.
    """

    label: str
    items: int
    half: int
    top_ten: float
    shares: Float64s

    @classmethod
    def of(cls, label: str, counts: npt.NDArray[np.integer], ranks: Int64s) -> Self | None:
        """Compute the spread of counts; None where all of them are 0.

        Args:
            label: of the model, or `PLAYS_LABEL`.
            counts: integer[items], positions or plays of each item.
            ranks: int64[points], from 1, at which `shares` is taken.
        """
        total = counts.sum()
        if not total:
            return None
        cumulative = np.sort(counts)[::-1].cumsum() / total
        return cls(
            label=label,
            items=int(np.count_nonzero(counts)),
            half=int(np.searchsorted(cumulative, 0.5)) + 1,
            top_ten=float(cumulative[min(10, len(cumulative)) - 1]),
            shares=cumulative[ranks - 1],
        )


@dataclass(frozen=True)
class Popularity:
    """The spread of the plays, then of every model's lists, and a drawing of them."""

    spreads: list[Spread]
    drawing: str

    @classmethod
    def of(cls, tops: Mapping[str, Int32s], plays: Int64s, highlighted: str) -> Self:
        """Compare the lists of all models with the plays of the training period.

        Args:
            tops: int32[listeners, k] of each model; codes below 0 are no items. A model that lists
                nothing is left out.
            plays: int64[items], of the training period.
            highlighted: the label of the model that is drawn with a thicker line.
        """
        size = len(plays)
        ranks = np.unique(np.geomspace(1, size, POINTS_PER_LINE).round().astype(np.int64))
        counts = {PLAYS_LABEL: plays}
        counts |= {label: exposure(top, size) for label, top in tops.items()}
        spreads = [
            spread for label, row in counts.items() if (spread := Spread.of(label, row, ranks))
        ]
        return cls(spreads, _draw(spreads, ranks, size, highlighted))


def exposure(top: Int32s, size: int) -> Int64s:
    """int64[items]: how many positions of the lists each of `size` items has."""
    return np.bincount(top[top >= 0], minlength=size)


def _draw(spreads: Sequence[Spread], ranks: Int64s, size: int, highlighted: str) -> str:
    with drawing_style("popularity"):
        figure = Figure(figsize=(9.2, 3.8), layout="constrained")
        axes = figure.subplots()
        styles = line_styles()
        for spread in spreads:
            style = (
                {"color": INK, "linestyle": ":", "linewidth": 2}
                if spread.label == PLAYS_LABEL
                else next(styles) | {"linewidth": 2.8 if spread.label == highlighted else 1.5}
            )
            axes.plot(ranks, spread.shares, label=spread.label, **style)
        axes.set_xscale("log")
        axes.set_xlim(1, max(size, 2))  # matplotlib refuses an axis from 1 to 1
        ticks = [10**power for power in range(len(str(size)))]
        # The size of the catalogue gets a tick, unless it would overlap the last power of ten.
        axes.xaxis.set_major_locator(
            FixedLocator([*ticks, size] if size > ticks[-1] * 1.5 else ticks)
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(f"items, the most exposed first (of {size:,})")
        axes.set_ylabel("share of all positions")
        add_grid(axes)
        figure.legend(loc="outside right center", frameon=False)
        title = "Share of all list positions that the most exposed items take"
        description = " ".join(
            f"{spread.label}: {spread.half:,} items take half of all positions, the ten most "
            f"exposed take {spread.top_ten:.0%}, {spread.items:,} items have any."
            for spread in spreads
        )
        return svg_element(figure, "popularity", title, description)
