"""Heuristics that list nothing on a shelf, and would be a row or a column of zeros in any table."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from setlist.evaluation.results import Evaluation, Shelf

WHY: dict[Shelf, str] = {
    "discovery": "this shelf leaves out what a listener has played before",
    "shortcuts": "there is nothing that it would recommend on this shelf",
}


def silent_heuristics(folder: Path, evaluation: Evaluation) -> list[str]:
    """Labels of the heuristics that list nothing for anybody, in the order of the evaluation.

    Args:
        folder: of the evaluation; a heuristic whose lists are not there is not silent.
        evaluation: read from it.
    """
    return [
        model.label
        for model in evaluation.models
        if model.role == "heuristic" and _lists_nothing(folder / model.label / "top.npy")
    ]


def describe_silence(evaluation: Evaluation, silent: Collection[str]) -> str:
    """One line that names what tables leave out, and why; "" for nothing."""
    if not silent:
        return ""
    verb = "lists" if len(silent) == 1 else "list"
    return (
        f"Not shown: {', '.join(silent)}, which {verb} nothing on the {evaluation.shelf} shelf "
        f"({WHY[evaluation.shelf]})."
    )


def _lists_nothing(path: Path) -> bool:
    return path.is_file() and bool((np.load(path, mmap_mode="r") < 0).all())
