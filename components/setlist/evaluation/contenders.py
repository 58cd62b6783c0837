"""The models that an evaluation compares, and the role of each."""

import json
from dataclasses import dataclass
from pathlib import Path

from setlist.errors import EvaluationError
from setlist.evaluation.results import Role


@dataclass(frozen=True)
class Contender:
    """A model folder and its role in the run."""

    folder: Path
    label: str
    role: Role
    revision: int | None = None


def list_contenders(heuristics: Path, candidate: Path, live: Path) -> list[Contender]:
    """The models of a run: the candidate, the live revision and the anchor, the heuristics.

    Args:
        heuristics: a folder of model folders.
        candidate: a model folder.
        live: a folder of model folders named `live-3` and `anchor-2` by revision, and
            `rivals.json`, the list of their names, by which a lost folder is noticed.

    Raises:
        EvaluationError: when `rivals.json` is missing.
    """
    listed = live / "rivals.json"
    if not listed.is_file():
        raise EvaluationError(
            f"{listed} is missing; it lists the live models, even where nothing is live."
        )
    rivals = [
        Contender(live / name, name, "live" if role == "live" else "anchor", int(revision))
        for name in json.loads(listed.read_text("utf-8"))
        for role, _, revision in [name.partition("-")]
    ]
    folders = sorted(path for path in heuristics.iterdir() if path.is_dir())
    rules = [Contender(folder, folder.name, "heuristic") for folder in folders]
    return [Contender(candidate, "candidate", "candidate"), *rivals, *rules]
