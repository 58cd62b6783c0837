"""A metric: a function of a `Ranking` and a list length k, and what a reader must know of it.

A metric of another team takes a few lines in any importable module:

    import setlist

    @setlist.metric()
    def fresh_share(ranking: setlist.Ranking, k: int):
        return ranking.mean_over_list(ranking.catalogue.listeners == 0, k)

The settings name it by its module, `evaluation.metrics: ["my_team.metrics:fresh_share@10"]`, or by
the entry point of an installed package (`setlist.plugins`), `["fresh_share@10"]`. It then stands in
tables, intervals, slices, policy and report like a built-in metric.
"""

import functools
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from setlist.arrays import Float64s
from setlist.errors import EvaluationError, SetlistError
from setlist.evaluation.ranking import Ranking
from setlist.printable import one_line

__all__ = ["Better", "Metric", "Per", "Ranking", "metric"]

Per = Literal["listener", "corpus"]
Better = Literal["higher", "lower"]
Function = Callable[[Ranking, int], Float64s] | Callable[[Ranking, int], float]


@dataclass(eq=False)
class Metric:
    """A metric; called like the function that it wraps, its answer checked.

    Attributes:
        function: takes a ranking and the list length k.
        name: what settings and tables call it, without the list length.
        per: whether each listener has a value, or only all lists together.
        better: whether a higher or a lower value is good.
        reads_truth: whether it differs on a part of the truth, e.g. on plays of new items.
        reads_tags: whether it says nothing where items have no tags.
        k: the list length where the settings name none; 0 for a metric without a default.
    """

    function: Function
    name: str
    per: Per
    better: Better
    reads_truth: bool
    k: int
    reads_tags: bool = False

    def __call__(self, ranking: Ranking, k: int) -> Float64s:
        """float64[listeners], or float64[] for a corpus-level metric.

        Raises:
            EvaluationError: when the function raises, answers with another shape, or with NaN.
        """
        try:
            answer = self.function(ranking, k)
        except (SetlistError, MemoryError):
            raise
        except Exception as fault:
            raise EvaluationError(
                f"metric {self.name} raised {one_line(f'{type(fault).__name__}: {fault}', 400)} "
                f"({self._place(fault)})",
                "correct the function",
            ) from fault
        try:
            array = np.asarray(answer)
        except ValueError:  # rows of different lengths
            array = np.array(None)
        # Booleans and numbers; anything else becomes a shape that is never expected.
        is_number = array.dtype.kind in "biuf"
        values = array.astype(np.float64) if is_number else np.full((0, 0), np.nan)
        listeners = len(ranking.top)
        shape = (listeners,) if self.per == "listener" else ()
        if values.shape != shape or not np.isfinite(values).all():
            expected = (
                f"one finite number for each of the {listeners} listeners, float64[{listeners}]"
                if self.per == "listener"
                else "one finite number for all lists together"
            )
            actual = (
                "numbers that are not finite"
                if values.shape == shape
                else f"{type(answer).__name__} of shape {np.shape(answer)}"
                if isinstance(answer, np.ndarray)
                else f"a {type(answer).__name__}"
            )
            raise EvaluationError(
                f"metric {self.name} answered with {actual}, where {expected} was expected",
                "correct the function",
            )
        return values

    def _place(self, fault: Exception) -> str:
        """The file and line that raised, of the function's own file where it is among the calls."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        calls = traceback.extract_tb(fault.__traceback__)
        own = [call for call in calls if code and call.filename == code.co_filename]
        call = (own or calls)[-1]
        return f"{call.filename}, line {call.lineno}"


def metric(
    *,
    name: str = "",
    per: Per = "listener",
    better: Better = "higher",
    reads_truth: bool = True,
    k: int = 0,
    reads_tags: bool = False,
) -> Callable[[Function], Metric]:
    """Make a metric of a function; see `Metric` for the arguments.

    `name` defaults to the function's; give it where a function of that name would hide a built-in
    one, such as `map`.
    """

    def wrap(function: Function) -> Metric:
        wrapped = Metric(
            function, name or function.__name__, per, better, reads_truth, k, reads_tags
        )
        functools.update_wrapper(wrapped, function)
        return wrapped

    return wrap
