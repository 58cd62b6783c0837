"""Rules and learners of a pipeline beside lists that somebody gives, fitted on the plays before.

The plays have no times, so of each listener a later row of the history is the later play, and a
learner holds out the last of them while it chooses its settings.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from setlist.data.features import Features
from setlist.errors import SettingsError
from setlist.evaluation.contenders import Contender
from setlist.models.settings import BuiltInHeuristic, HeuristicSettings
from setlist.plugins import HEURISTICS

Heuristics = bool | str | Sequence[str]
"""All that the tables allow, none, or those of these names."""
NOT_OF_TABLES = {
    "recently_popular": "the plays of the history have no times",
    "popular_by_segment": "models read no columns of users here",
}
"""Rules that need what the tables do not tell."""


def heuristic_names(heuristics: Heuristics, history: bool) -> tuple[str, ...]:
    """Which heuristics are meant.

    Args:
        heuristics: as they were given.
        history: whether plays before the test are given.

    Raises:
        SettingsError: for a name that is none, or for one that the tables do not allow.
    """
    named = (heuristics,) if isinstance(heuristics, str) else heuristics
    if isinstance(named, bool):
        names = tuple(
            name for name in get_args(BuiltInHeuristic) if named and name not in NOT_OF_TABLES
        )
    else:
        names = tuple(dict.fromkeys(named))
    if names and not history:
        raise SettingsError(
            "heuristics are fitted on plays before the test, and none are given",
            "give them as history",
        )
    for name in names:
        if sentence := HEURISTICS.unknown(name, get_args(BuiltInHeuristic)):
            raise SettingsError(*f"heuristics: {sentence}".split("; ", 1))
        if reason := NOT_OF_TABLES.get(name):
            raise SettingsError(
                f"heuristics: {name} cannot be fitted on tables: {reason}",
                "take it out, or evaluate on the data of a settings file (setlist evaluate --data)",
            )
    return names


def fit_given(features: Features, names: Sequence[str], folder: Path) -> list[Contender]:
    """Fit heuristics, as what the candidate has to beat.

    Args:
        features: of the tables.
        names: of `heuristic_names`.
        folder: an empty one, which is needed until they are evaluated.
    """
    # Imported here: lists alone need neither TensorFlow nor an SQL engine.
    from setlist.models.heuristics import fit_heuristics

    features.write(folder / "features")
    fit_heuristics(folder / "features", HeuristicSettings(fit=tuple(names)), folder / "models")
    return [Contender(folder / "models" / name, name, "heuristic") for name in names]
