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
        cpu=Line(base=0.768, play=2.75e-06, listener=7.88e-06, item=8.97e-06),
        memory=Line(base=2.75e08, play=253, listener=240),
        disk=Line(play=21.6, item=32.7),
        spills=True,
    ),
    "transform": StepCost(
        "transform",
        _all,
        cpu=Line(base=0.911, play=1.6e-06, listener=3.84e-06, item=6.99e-06),
        memory=Line(base=2.54e08, play=45.3, listener=202, item=787),
        disk=Line(play=15.9, listener=3.16, item=21),
        spills=True,
    ),
    "read": StepCost(
        "read",
        _all,
        cpu=Line(base=0.743, play=1.66e-07, listener=5.89e-07),
        memory=Line(base=1.77e08, play=38.1, listener=245, item=403),
        disk=Line(),
    ),
    "fit-heuristics": StepCost(
        "fit",
        _sample,
        cpu=Line(base=39.5, listener=0.000789, item=0.00102),
        memory=Line(base=7.35e08, listener=1.18e03, item=1.78e04),
        disk=Line(base=1.32e06, listener=1.65e03, item=3.93e03),
        fewer_plays="lower heuristics.most_plays",
    ),
    "train": StepCost(
        "train",
        _sample,
        cpu=Line(base=15.4, listener=0.00037, item=0.00253),
        memory=Line(base=9.66e08, listener=4.79e03, item=6.23e03),
        disk=Line(base=4.29e06, listener=1.35e03, item=46.3),
        fewer_plays="lower model.most_plays",
    ),
    "evaluate": StepCost(
        "evaluate",
        _evaluated,
        cpu=Line(base=37, play=1.73e-05, item=0.000467, asked=0.000758),
        memory=Line(base=8.17e08, play=81, item=4.73e03, asked=1.14e04),
        disk=Line(base=1.89e06, item=190, asked=3.9e03),
    ),
    "inspect": StepCost(
        "inspect",
        _model,
        cpu=Line(base=4.48, item=3.87e-05),
        memory=Line(base=8.29e08, item=6.86e03),
        disk=Line(),
    ),
    "push": StepCost(
        "push",
        _model,
        cpu=Line(base=0.53, item=1.26e-05),
        memory=Line(base=1.26e08, item=4.06),
        disk=Line(base=1.53e06, item=616),
    ),
    "serve": StepCost(
        "serve",
        _model,
        cpu=Line(base=4.06, item=1.01e-05),
        memory=Line(base=6.6e08, item=4.27e03),
        disk=Line(),
    ),
}
"""The parts of a run in their order: `read` is what each does that holds all plays, `serve` a
server that starts and answers 200 requests."""
REQUEST_SECONDS = Line(base=0.000895, item=2.31e-08)
"""The median of a request for one listener."""
# Of `training_size.py 500_000x100_000x10_000_000 2_000x1_000x30_000 5_000x20_000x100_000`; curate,
# transform, read, evaluate and push also of seven sizes up to 200_000x50_000x1_000_000. The memory
# of train also of a training on 198,667 listeners, 967,623 items and 4,500,000 plays that repeated
# a recipe, and so searched for nothing; it is off by 46% at most.
MEASURED = "tests/benchmarks/training_size.py, on two shared cores, 2026-11-29"
"""How the lines were measured, and when."""
MEASURED_UP_TO = Size(494_629, 96_677, 9_000_000)
"""The most listeners, items and plays that were trained on."""
