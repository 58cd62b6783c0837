"""What was measured of each step: lines by the numbers of listeners, items and plays.

A figure is a base, and so much for each play, listener and item. `setlist_pipelines.settings.costs`
derives from it what a run needs.

The constants are printed by `tests/benchmarks/training_size.py --fit`, to be pasted here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

from setlist.models.settings import MOST_PLAYS

MOST_EVALUATED = 200_000
"""`MAX_LISTENERS` of `setlist.evaluation.audience`."""


class Size(NamedTuple):
    """What a run reads, or a step of it."""

    listeners: int
    items: int
    plays: int
    asked: int = 0
    """The listeners who are evaluated."""

    @classmethod
    def of_run(cls, listeners: int, items: int, plays: int) -> Self:
        """All of it."""
        return cls(listeners, items, plays, min(listeners, MOST_EVALUATED))

    def times(self, factor: float) -> "Size":
        """A run of as many times the listeners, items and plays."""
        return Size.of_run(*(math.ceil(number * factor) for number in self[:3]))

    def terms(self) -> tuple[float, ...]:
        """What the fields of a `Line` are multiplied by, in their order."""
        pairs = float(self.asked) * self.items
        return 1.0, self.plays, self.listeners, self.items, self.asked, pairs

    def __str__(self) -> str:
        return f"{self.listeners:,} listeners, {self.items:,} items and {self.plays:,} plays"


class Line(NamedTuple):
    """Seconds or bytes by the numbers of a `Size`."""

    base: float = 0.0
    play: float = 0.0
    listener: float = 0.0
    item: float = 0.0
    asked: float = 0.0
    """For each listener who is evaluated."""
    pair: float = 0.0
    """For each of these and each item."""

    def at(self, size: Size) -> float:
        """The figure at a size."""
        return sum(self.parts(size))

    def parts(self, size: Size) -> list[float]:
        """What each field adds to the figure."""
        return [each * number for each, number in zip(self, size.terms(), strict=True)]

    def mostly(self, size: Size) -> str:
        """The field that adds the most."""
        parts = self.parts(size)
        return self._fields[parts.index(max(parts))]


def _all(size: Size) -> Size:
    """What a step reads that asks no model."""
    return size._replace(asked=0)


def _evaluated(size: Size) -> Size:
    """What evaluation reads."""
    return size


def _sample(size: Size) -> Size:
    """What learners and training read: at most MOST_PLAYS, else those of a sample of listeners."""
    plays = min(size.plays, MOST_PLAYS)
    return Size(math.ceil(size.listeners * plays / max(size.plays, 1)), size.items, plays)


def _model(size: Size) -> Size:
    """What a step reads that holds a model and no plays."""
    return Size(0, size.items, 0)


class StepCost(NamedTuple):
    """A step as it was measured."""

    measured_as: str
    """The step of `tests/benchmarks/training_size.py`."""
    reads: Callable[[Size], Size]
    """What of a run the lines are for."""
    cpu: Line
    """Seconds."""
    memory: Line
    """Bytes that are resident at most."""
    disk: Line
    """Bytes that it writes, also those that it removes again."""
    spills: bool = False
    """Whether plays that do not fit into its memory go to the disk."""
    fewer_plays: str = "lower window.train_days"
    """What lets it read less of what listeners played."""


COSTS = {
    "curate": StepCost(
        "curate",
        _all,
        cpu=Line(base=0.744, play=2.38e-06, listener=8.09e-06, item=1.53e-05),
        memory=Line(base=2.72e08, play=266, listener=170),
        disk=Line(play=19.9, item=19.3),
        spills=True,
    ),
    "transform": StepCost(
        "transform",
        _all,
        cpu=Line(base=0.923, play=1.13e-06, listener=4.49e-06, item=1.43e-05),
        memory=Line(base=2.52e08, play=79.7, listener=217, item=223),
        disk=Line(play=17.5, item=20.7),
        spills=True,
    ),
    "read": StepCost(
        "read",
        _all,
        cpu=Line(base=0.781, play=8.7e-08, listener=2.27e-07),
        memory=Line(base=1.76e08, play=43.5, listener=249, item=341),
        disk=Line(),
    ),
    "fit-heuristics": StepCost(
        "fit",
        _sample,
        cpu=Line(base=48.7, play=8.17e-05, listener=0.000509, item=0.00182),
        memory=Line(base=6.84e08, play=1.75e03, item=3.25e04),
        disk=Line(base=5.69e06, play=47.9, item=4.04e03),
        fewer_plays="lower heuristics.most_plays",
    ),
    "train": StepCost(
        "train",
        _sample,
        cpu=Line(base=25.4, listener=0.000631, item=0.0037),
        memory=Line(base=7.2e08, play=1.56e03, item=4.71e04),
        disk=Line(base=1.13e06, item=831),
        fewer_plays="lower model.most_plays",
    ),
    "evaluate": StepCost(
        "evaluate",
        _evaluated,
        cpu=Line(base=38.4, play=9.88e-06, item=0.000396, asked=0.000493),
        memory=Line(base=8.34e08, play=97, item=9.45e03),
        disk=Line(base=1.89e06, item=198, asked=3.9e03),
    ),
    "inspect": StepCost(
        "inspect",
        _model,
        cpu=Line(base=4.79, item=2.61e-05),
        memory=Line(base=8.01e08, item=9.09e03),
        disk=Line(),
    ),
    "push": StepCost(
        "push",
        _model,
        cpu=Line(base=0.646, item=1.01e-06),
        memory=Line(base=1.26e08, item=35.3),
        disk=Line(base=1.14e06, item=831),
    ),
    "serve": StepCost(
        "serve",
        _model,
        cpu=Line(base=4.29, item=1.74e-06),
        memory=Line(base=6.92e08, item=1.99e03),
        disk=Line(),
    ),
}
"""The parts of a run in their order: `read` is what each does that holds all plays, `serve` a
server that starts and answers 200 requests."""
REQUEST_SECONDS = Line(base=0.000827, item=1.89e-08)
"""The median of a request for one listener."""
# Until the sizes of the benchmark itself are measured:
# - learners, training and evaluation by `training_size.py 1_000x10_000x20_000 2_000x1_000x30_000
#   5_000x1_000x100_000 5_000x20_000x100_000 20_000x2_000x200_000`, curation, transformation and
#   reading up to 4 million plays;
# - the memory of fit-heuristics and train also by the former `memory.py 200_000 1_000_000`, whose
#   training had one epoch;
# - what a play adds to the memory of evaluate by one model alone, at 1 and 4 million plays.
# What an item adds to the memory of learners and training comes from catalogues of at most 20,000.
MEASURED = "tests/benchmarks/training_size.py at small sizes, on two shared cores, 2026-11-29"
"""How the lines were measured, and when."""
MEASURED_UP_TO = Size(19_328, 19_362, 180_000)
"""The most listeners, items and plays that were trained on."""
