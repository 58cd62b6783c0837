"""What a metric is: a function over a `Ranking` and a cut-off, and what a reader must know of it.

Your own takes five lines in any importable module, and its name in the settings:

    from setlist.evaluation.metric import Float64s, Ranking, metric

    @metric()
    def fresh_share(ranking: Ranking, k: int) -> Float64s:
        return ranking.mean_over_list(ranking.catalogue.listeners == 0, k)

`evaluation.metrics: ["my_team.metrics:fresh_share@10"]` then has it in tables, intervals, slices,
policy and report like a built-in one.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from setlist.arrays import Float64s
from setlist.errors import SetlistError
from setlist.evaluation.ranking import Ranking

__all__ = ["Better", "Metric", "Per", "Ranking", "metric"]

Per = Literal["listener", "corpus"]
Better = Literal["higher", "lower"]
Function = Callable[[Ranking, int], Float64s] | Callable[[Ranking, int], float]


@dataclass(eq=False)
class Metric:
    """A metric; called like the function that it wraps, its answer checked.

    Attributes:
        function: of a ranking and the cut-off k.
        name: as settings and tables call it, without the cut-off.
        per: whether each listener has a value, or only all lists together.
        better: which way is good.
        reads_truth: whether it can be asked for a part of the truth, e.g. plays of new items.
        k: the cut-off where the settings name none; 0 for a metric that has no such default.
    """

    function: Function
    name: str
    per: Per
    better: Better
    reads_truth: bool
    k: int

    def __call__(self, ranking: Ranking, k: int) -> Float64s:
        """float64[listeners], or float64[] for a corpus-level metric.

        Raises:
            SetlistError: when the function answers with another shape, or with NaN.
        """
        found = self.function(ranking, k)
        try:
            answered = np.asarray(found)
        except ValueError:  # rows of different lengths
            answered = np.array(None)
        number = answered.dtype.kind in "biuf"
        values = answered.astype(np.float64) if number else np.full((0, 0), np.nan)
        listeners = len(ranking.top)
        shape = (listeners,) if self.per == "listener" else ()
        if values.shape != shape or not np.isfinite(values).all():
            expected = (
                f"one finite number for each of the {listeners} listeners, float64[{listeners}]"
                if self.per == "listener"
                else "one finite number for all lists together"
            )
            got = (
                "numbers that are not finite"
                if values.shape == shape
                else f"{type(found).__name__} of shape {np.shape(found)}"
                if isinstance(found, np.ndarray)
                else f"a {type(found).__name__}"
            )
            raise SetlistError(
                f"metric {self.name} answered with {got}, where {expected} was expected; "
                "correct the function."
            )
        return values


def metric(
    *,
    name: str = "",
    per: Per = "listener",
    better: Better = "higher",
    reads_truth: bool = True,
    k: int = 0,
) -> Callable[[Function], Metric]:
    """Make a metric of a function; see `Metric` for the arguments.

    `name` is the function's own, unless that is a word of Python's.
    """

    def wrap(function: Function) -> Metric:
        made = Metric(function, name or function.__name__, per, better, reads_truth, k)
        functools.update_wrapper(made, function)
        return made

    return wrap
