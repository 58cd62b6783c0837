"""What installed packages add to setlist, by the names of their entry points.

A package declares a metric, a heuristic, the trainer of a model or a rule of the policy in its
`pyproject.toml`:

    [project.entry-points."setlist.metrics"]
    fresh_share = "my_team.metrics:fresh_share"

    [project.entry-points."setlist.heuristics"]
    newest_first = "my_team.heuristics:newest_first"

    [project.entry-points."setlist.models"]
    my_model = "my_team.training:train"

    [project.entry-points."setlist.policy_rules"]
    fresh_enough = "my_team.rules:fresh_enough"

The settings file then names them:

    evaluation: {metrics: ["ndcg@10", "fresh_share@10"]}
    heuristics: {fit: [most_popular, newest_first]}
    model: {trainer: my_model, options: {depth: 3}}
    policy: {rules: {fresh_enough: {bound: 0.3}}}

What each function takes and returns: a metric `setlist.evaluation.metric`, a heuristic
`setlist.models.heuristics`, a trainer `setlist.models.trainers`, a rule `setlist.evaluation.rules`.

Names are listed from the metadata of the packages, without importing them. A built-in name cannot
be replaced: the entry point of that name is not read.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from setlist.errors import SettingsError

NAME = re.compile(r"[A-Za-z_][\w.-]*")
"""Names become those of folders and columns, so entry points of other names are not read."""


@dataclass(frozen=True)
class Plugins:
    """The entry points of one group.

    Attributes:
        group: the name of the group in the metadata of packages.
        noun: what sentences call one of them.
    """

    group: str
    noun: str

    def names(self) -> list[str]:
        """The names that installed packages declare, sorted; no package is imported."""
        declared = {point.name for point in entry_points(group=self.group)}
        return sorted(name for name in declared if NAME.fullmatch(name))

    def unknown(self, name: str, built_in: Collection[str] = ()) -> str:
        """A sentence without full stop that says which names exist; "" for a name that exists."""
        names = [*built_in, *self.names()]
        if name in names:
            return ""
        return (
            f"there is no {self.noun} {name!r}; choose from {', '.join(names) or 'none'}, or "
            f"install a package that declares it in the group {self.group}"
        )

    def load(self, name: str) -> Callable[..., Any]:
        """Import what a package declares under that name.

        Raises:
            SettingsError: when no package declares the name or several do, or when what it names
                cannot be imported or called.
        """
        if sentence := self.unknown(name):
            raise SettingsError(*sentence.split("; ", 1))
        # A package that is found twice on the path declares the same object twice.
        points = {point.value: point for point in entry_points(group=self.group, name=name)}
        if len(points) > 1:
            raise SettingsError(
                f"{self.noun} {name!r} is declared by several packages ({', '.join(points)})",
                "remove all but one of them",
            )
        value, point = points.popitem()
        try:
            loaded = point.load()
        except Exception as fault:
            raise SettingsError(
                f"{self.noun} {name!r} cannot be imported from {value} "
                f"({type(fault).__name__}: {fault})",
                "correct its package, or remove the name from the settings",
            ) from fault
        if not callable(loaded):
            raise SettingsError(
                f"{self.noun} {name!r}: {value} is a {type(loaded).__name__}, not a function",
                "correct the entry point of its package",
            )
        return loaded


METRICS = Plugins("setlist.metrics", "metric")
HEURISTICS = Plugins("setlist.heuristics", "heuristic")
TRAINERS = Plugins("setlist.models", "trainer")
POLICY_RULES = Plugins("setlist.policy_rules", "policy rule")
