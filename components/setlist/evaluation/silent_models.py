"""What would be a row or a column of no meaning in any table, and is left out with a line.

Heuristics that list nothing on a shelf, and metrics that read tags where no item has any: without
tags, any list is as diverse as can be.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.errors import EvaluationError
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


def any_tags(folder: Path) -> bool:
    """Whether any item of an evaluation folder has a tag; True where it has no table of items, too.

    Raises:
        EvaluationError: when the table cannot be read.
    """
    path = folder / "items.parquet"
    if not path.is_file():
        return True
    try:
        tags = pd.read_parquet(path, columns=["tags"])["tags"]
    except (OSError, ValueError) as fault:
        raise EvaluationError(f"{path} is damaged", "evaluate the models again") from fault
    return bool(tags.map(len).any())


def without_silent_metrics(
    folder: Path, evaluation: Evaluation, primary: str = ""
) -> tuple[Evaluation, str]:
    """The evaluation with only those metrics that say something, and a line about the others.

    Args:
        folder: of the evaluation.
        evaluation: read from it.
        primary: a metric that stays in any case.

    Returns:
        The line is "" where all metrics stay.

    Raises:
        EvaluationError: when the table of items cannot be read.
    """
    reading = [metric for metric in evaluation.metrics if metric.reads_tags]
    silent = [metric.label for metric in reading if metric.name != primary]
    if not silent or any_tags(folder):
        return evaluation, ""
    kept = [m for m in evaluation.metrics if not m.reads_tags or m.name == primary]
    verb = "reads" if len(silent) == 1 else "read"
    line = f"Not shown: {', '.join(silent)}, which {verb} tags, and no item has any."
    return evaluation.model_copy(update={"metrics": tuple(kept)}), line


def _lists_nothing(path: Path) -> bool:
    return path.is_file() and bool((np.load(path, mmap_mode="r") < 0).all())
