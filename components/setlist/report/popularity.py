"""How much of what is shown falls on how few items: the curve that gives away a hit parade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from setlist.arrays import Float64s, Int32s, Int64s
from setlist.report.drawing import INK, dress, element, looks, style

POINTS = 120
"""Of a line, at equal distances of a logarithmic axis: pages stay small for large catalogues."""
PLAYS = "plays in training"


@dataclass(frozen=True)
class Spread:
    """How positions, or plays, are spread over the catalogue.

    Attributes:
        label: of the model, or `PLAYS`.
        items: how many items get any.
        half: how many items, the most exposed first, get half of all.
        first: the share of the ten most exposed items.
        shares: float64[points], of all that falls on the most exposed items.
    """

    label: str
    items: int
    half: int
    first: float
    shares: Float64s

    @classmethod
    def of(cls, label: str, counts: npt.NDArray[np.integer], ranks: Int64s) -> Self | None:
        """The spread of counts [items] at some ranks from 1; None where nothing is counted."""
        total = counts.sum()
        if not total:
            return None
        gained = np.sort(counts)[::-1].cumsum() / total
        return cls(
            label=label,
            items=int(np.count_nonzero(counts)),
            half=int(np.searchsorted(gained, 0.5)) + 1,
            first=float(gained[min(10, len(gained)) - 1]),
            shares=gained[ranks - 1],
        )


@dataclass(frozen=True)
class Popularity:
    """The spreads of all models, those of the plays first, and their drawing."""

    spreads: list[Spread]
    drawing: str

    @classmethod
    def of(cls, tops: Mapping[str, Int32s], plays: Int64s, subject: str) -> Self:
        """Compare the lists of all models with what was played.

        Args:
            tops: int32[listeners, k] of each model, codes below 0 are no items. Models that list
                nothing are left out.
            plays: int64[items], of the training period.
            subject: the label of the model to point out.
        """
        size = len(plays)
        ranks = np.unique(np.geomspace(1, size, POINTS).round().astype(np.int64))
        counted = {PLAYS: plays} | {label: shown(top, size) for label, top in tops.items()}
        found = [Spread.of(label, counts, ranks) for label, counts in counted.items()]
        spreads = [spread for spread in found if spread]
        return cls(spreads, _draw(spreads, ranks, size, subject))


def shown(top: Int32s, size: int) -> Int64s:
    """int64[items]: how many positions of the lists each item has."""
    return np.bincount(top[top >= 0], minlength=size)


def _draw(spreads: Sequence[Spread], ranks: Int64s, size: int, subject: str) -> str:
    with style("popularity"):
        figure = Figure(figsize=(9.2, 3.8), layout="constrained")
        axes = figure.subplots()
        look = looks()
        for spread in spreads:
            own = (
                {"color": INK, "linestyle": ":", "linewidth": 2}
                if spread.label == PLAYS
                else next(look) | {"linewidth": 2.8 if spread.label == subject else 1.5}
            )
            axes.plot(ranks, spread.shares, label=spread.label, **own)
        axes.set_xscale("log")
        axes.set_xlim(1, max(size, 2))
        ticks = [10**power for power in range(len(str(size)))]
        axes.xaxis.set_major_locator(
            FixedLocator([*ticks, size] if size > ticks[-1] * 1.5 else ticks)
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(f"items, the most exposed first (of {size:,})")
        axes.set_ylabel("share of all positions")
        dress(axes)
        figure.legend(loc="outside right center", frameon=False)
        title = "Share of the exposure that falls on the most exposed items"
        words = " ".join(
            f"{spread.label}: half falls on {spread.half:,} items, {spread.first:.0%} on the first "
            f"ten, {spread.items:,} items get any."
            for spread in spreads
        )
        return element(figure, "popularity", title, words)
