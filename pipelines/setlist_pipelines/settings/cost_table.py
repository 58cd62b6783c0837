"""What was measured of each step: lines by the numbers of listeners, items and plays.

A figure is a base, and so much for each play, listener and item. `setlist_pipelines.settings.costs`
derives from it what a run needs.

The constants are printed by `tests/benchmarks/training_size.py --fit`, to be pasted here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

MOST_PLAYS = 20_000_000
"""Training reads no more (`model.most_plays`): else those of a fixed sample of listeners."""
EPOCH_LISTENERS = 1_000_000
"""Training reads no more listeners in an epoch (`model.epoch_listeners`)."""
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
    """What training reads."""
    plays = min(size.plays, MOST_PLAYS)
    listeners = math.ceil(size.listeners * plays / max(size.plays, 1))
    return Size(min(listeners, EPOCH_LISTENERS), size.items, plays)


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
        cpu=Line(base=1, play=2e-6),
        memory=Line(base=0.3e9, play=200, listener=300, item=300),
        disk=Line(play=60),
        spills=True,
    ),
    "transform": StepCost(
        "transform",
        _all,
        cpu=Line(base=1, play=1e-6),
        memory=Line(base=0.25e9, play=100, listener=300, item=300),
        disk=Line(play=20),
        spills=True,
    ),
    "read": StepCost(
        "read", _all, cpu=Line(base=0.7, play=1e-8), memory=Line(base=0.17e9, play=70), disk=Line()
    ),
    "fit-heuristics": StepCost(
        "fit",
        _all,
        cpu=Line(base=10, play=1.3e-4),
        memory=Line(base=1e9, play=1400),
        disk=Line(item=4000),
        fewer_plays="name no learner in heuristics.fit, since rules hold no plays",
    ),
    "train": StepCost(
        "train",
        _sample,
        cpu=Line(base=10, play=1.2e-4, item=1e-3),
        memory=Line(base=1e9, play=1200, item=1000),
        disk=Line(item=4000),
        fewer_plays="lower model.most_plays",
    ),
    "evaluate": StepCost(
        "evaluate",
        _evaluated,
        cpu=Line(base=20, asked=1e-4, pair=1e-8),
        memory=Line(base=0.7e9, play=293),
        disk=Line(asked=500),
    ),
    "inspect": StepCost(
        "inspect",
        _model,
        cpu=Line(base=4, item=1e-4),
        memory=Line(base=0.7e9, item=5e3),
        disk=Line(),
    ),
    "push": StepCost(
        "push", _model, cpu=Line(base=0.5), memory=Line(base=0.1e9), disk=Line(item=4000)
    ),
    "serve": StepCost(
        "serve", _model, cpu=Line(base=4), memory=Line(base=0.7e9, item=4000), disk=Line()
    ),
}
"""The parts of a run in their order: `read` is what each does that holds all plays, `serve` a
server that starts and answers 200 requests."""
REQUEST_SECONDS = Line(base=0.8e-3, item=1e-7)
"""The median of a request for one listener."""
MEASURED = "by hand, a placeholder"
"""How the lines were measured, and when."""
MEASURED_UP_TO = Size(20_000, 20_000, 400_000)
"""The most listeners, items and plays of that."""
