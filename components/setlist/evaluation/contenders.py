"""The models that an evaluation compares, and the role of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import RootModel, StringConstraints

from setlist.documents import read_document
from setlist.errors import ModelError
from setlist.evaluation.given_lists import GivenLists
from setlist.evaluation.results import Role

RivalName = Annotated[str, StringConstraints(pattern=r"^(live|anchor)-\d+$")]
Rivals = RootModel[list[RivalName]]


@dataclass(frozen=True)
class Contender:
    """A model folder and its role in the run."""

    folder: Path
    label: str
    role: Role
    revision: int | None = None


@dataclass(frozen=True)
class ListContender:
    """Lists that somebody gives, evaluated as those of a model; nothing of them can be pushed.

    Attributes:
        not_asked: what else cannot be asked of it, a sentence each, because of what is not given.
    """

    lists: GivenLists
    label: str
    role: Role
    not_asked: tuple[str, ...] = ()
    revision: int | None = None


AnyContender = Contender | ListContender


def read_rivals(live: Path) -> list[str]:
    """Read `rivals.json`: the names of the live models' folders, the live revision first.

    The names are `live-3` and `anchor-2`, by revision. The list is empty where nothing is live; by
    the list, a model folder that was lost is noticed.

    Raises:
        ModelError: when `rivals.json` is missing or damaged.
    """
    return read_document(
        live / "rivals.json", Rivals, ModelError, "fetch the live model again"
    ).root


def list_contenders(heuristics: Path, candidate: Path, live: Path) -> list[Contender]:
    """The models of a run: the candidate, the live revision and the anchor, the heuristics.

    Args:
        heuristics: a folder of model folders.
        candidate: a model folder.
        live: a folder of model folders, named in its `rivals.json`.

    Raises:
        ModelError: when `rivals.json` is missing or damaged.
    """
    rivals = [
        Contender(live / name, name, "live" if role == "live" else "anchor", int(revision))
        for name in read_rivals(live)
        for role, _, revision in [name.partition("-")]
    ]
    folders = sorted(path for path in heuristics.iterdir() if path.is_dir())
    rules = [Contender(folder, folder.name, "heuristic") for folder in folders]
    return [Contender(candidate, "candidate", "candidate"), *rivals, *rules]
