"""Which metrics exist, and what the settings mean by a name such as "ndcg@10"."""

import importlib
import math
from dataclasses import dataclass

from setlist.arrays import Float64s
from setlist.errors import SettingsError
from setlist.evaluation import accuracy, exposure
from setlist.evaluation.metric import Metric, Ranking
from setlist.plugins import METRICS

BUILT_IN: dict[str, Metric] = {
    value.name: value
    for module in (accuracy, exposure)
    for value in vars(module).values()
    if isinstance(value, Metric)
}
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(BUILT_IN, (0, 1)),
    **dict.fromkeys(("dcg", "novelty", "popularity", "calibration"), (0, math.inf)),
    "popularity_lift": (-1, math.inf),
}
"""The least and the most that a value of a built-in metric can be."""


@dataclass(frozen=True)
class MetricAt:
    """A metric at its list length, under the name that the settings give it."""

    text: str
    metric: Metric
    k: int

    def __call__(self, ranking: Ranking) -> Float64s:
        """float64[listeners], or float64[] for a corpus-level metric."""
        return self.metric(ranking, self.k)


def parse_metric(text: str) -> MetricAt:
    """The metric that a name of the settings means.

    Args:
        text: "ndcg@10" for a built-in metric or the entry point of an installed package
            (`setlist.plugins`), "my_team.metrics:fresh_share@10" for a metric in a module.

    Raises:
        SettingsError: for an unknown name, a module or function that cannot be imported, or a
            list length that is missing or no positive whole number.
    """
    name, _, length = text.partition("@")
    metric = _imported(text, name) if ":" in name else BUILT_IN.get(name) or _installed(text, name)
    if not length and metric.k and "@" not in text:
        return MetricAt(text, metric, metric.k)
    if not (length.isascii() and length.isdecimal()) or int(length) == 0:
        raise SettingsError(f"metric {text!r} needs a list length, for example {name}@10.")
    return MetricAt(text, metric, int(length))


def _installed(text: str, name: str) -> Metric:
    installed = METRICS.names()
    if name not in installed:
        raise SettingsError(
            f"metric {text!r} is not known",
            f"choose from {', '.join([*BUILT_IN, *installed])}, with @k behind it, or name your "
            "own as module:function@k",
        )
    return _checked(text, name, METRICS.load(name))


def _imported(text: str, name: str) -> Metric:
    module, _, function = name.partition(":")
    try:
        value = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as fault:
        raise SettingsError(
            f"metric {text!r} cannot be imported ({fault})",
            "its module has to be in the working folder or installed, on a cluster in the image",
        ) from fault
    return _checked(text, function, value)


def _checked(text: str, function: str, value: object) -> Metric:
    if not isinstance(value, Metric):
        raise SettingsError(
            f"metric {text!r}: {function} is not a metric",
            "put @metric() from setlist.evaluation.metric above the function",
        )
    return value
