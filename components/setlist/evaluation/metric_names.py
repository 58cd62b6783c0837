"""Which metrics there are, and what the settings mean by a name such as "ndcg@10"."""

import importlib
from dataclasses import dataclass

from setlist.arrays import Float64s
from setlist.errors import SetlistError
from setlist.evaluation import accuracy, exposure
from setlist.evaluation.metric import Metric, Ranking

BUILT_IN: dict[str, Metric] = {
    found.name: found
    for module in (accuracy, exposure)
    for found in vars(module).values()
    if isinstance(found, Metric)
}


@dataclass(frozen=True)
class MetricAt:
    """A metric at its cut-off, under the name that the settings give it."""

    text: str
    metric: Metric
    k: int

    def __call__(self, ranking: Ranking) -> Float64s:
        """float64[listeners], or float64[] for a corpus-level metric."""
        return self.metric(ranking, self.k)


def parse_metric(text: str) -> MetricAt:
    """`"ndcg@10"`, or `"my_team.metrics:fresh_share@10"` for a metric in a module of yours.

    Raises:
        SetlistError: for an unknown name, a module or function that is not there, or a cut-off
            that is missing or no positive whole number.
    """
    name, _, cutoff = text.partition("@")
    found = _imported(text, name) if ":" in name else BUILT_IN.get(name)
    if found is None:
        raise SetlistError(
            f"metric {text!r} is not known; choose from {', '.join(BUILT_IN)}, with @k behind it, "
            "or name your own as module:function@k."
        )
    if not cutoff and found.k and "@" not in text:
        return MetricAt(text, found, found.k)
    if not (cutoff.isascii() and cutoff.isdecimal()) or int(cutoff) == 0:
        raise SetlistError(f"metric {text!r} needs a cut-off, for example {name}@10.")
    return MetricAt(text, found, int(cutoff))


def _imported(text: str, name: str) -> Metric:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as fault:
        raise SetlistError(
            f"metric {text!r} cannot be imported ({fault}); its module has to be in the working "
            "folder or installed, on a cluster in the image."
        ) from fault
    if not isinstance(found, Metric):
        raise SetlistError(
            f"metric {text!r}: {function} is not a metric; put @metric() from "
            "setlist.evaluation.metric above the function."
        )
    return found
