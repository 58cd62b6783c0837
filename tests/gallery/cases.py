"""What stands in the gallery: a model, its company, and what has to come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.gallery.world import World

from setlist.evaluation.policy import Policy

DEFAULT = Policy()
Export = Callable[[World, Path], None]
ALONE = Policy(bootstrap="none")
"""The default, while nothing is live and no heuristic is to go live in place of a refused model."""


@dataclass(frozen=True)
class Case:
    """A model, the company in which it is judged, and what has to come of it.

    Attributes:
        does: what it does, for the table.
        own: the rules that are meant for it, each a name or the beginning of several; empty for an
            honest model.
        but: how it is judged where not by the default policy beside all others.
        policy: the default one, but for what `but` says.
        live, anchor: labels; "" for none.
        heuristics: labels; empty for all.
    """

    name: str
    does: str
    export: Export
    own: tuple[str, ...] = ()
    but: str = ""
    policy: Policy = DEFAULT
    live: str = "live-3"
    anchor: str = ""
    heuristics: tuple[str, ...] = ()


ROGUES: dict[str, Case] = {}
UNFIT: dict[str, tuple[Case, str]] = {}
"""Rogues that cannot even be evaluated, and what the error says."""


def rogue(does: str, *own: str, **company) -> Callable[[Export], Export]:
    """Enter the rogue that the function exports."""

    def enter(export: Export) -> Export:
        ROGUES[export.__name__] = Case(export.__name__, does, export, own, **company)
        return export

    return enter


def unfit(does: str, error: str) -> Callable[[Export], Export]:
    """Enter the rogue whose evaluation ends with the error."""

    def enter(export: Export) -> Export:
        UNFIT[export.__name__] = Case(export.__name__, does, export), error
        return export

    return enter
