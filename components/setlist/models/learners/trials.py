"""What settings of learners are worth on the held-out plays, each measured once, also after a kill.

A first look, at some of the held-out listeners or with few rounds of fitting, tells which settings
are to be measured in full.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_LOOK = ", first look"


@dataclass(frozen=True)
class Trials:
    """Mean NDCG@100 of the held-out plays by the words for the settings.

    Attributes:
        values: measured so far.
        save: called after each measurement; keeps `values`.
    """

    values: dict[str, float] = field(default_factory=dict)
    save: Callable[[], None] = lambda: None

    @property
    def in_full(self) -> dict[str, float]:
        """Those measured in full."""
        return {name: worth for name, worth in self.values.items() if FIRST_LOOK not in name}

    def worth(self, settings: object, measure: Callable[[], float]) -> float:
        """What is known of the settings, or else is measured now."""
        name = str(settings)
        if name not in self.values:
            self.values[name] = measure()
            self.save()
        return self.values[name]

    def first_look(self, settings: object, measure: Callable[[], float]) -> float:
        """The same of a first look, kept apart from what is measured in full."""
        return self.worth(f"{settings}{FIRST_LOOK}", measure)
