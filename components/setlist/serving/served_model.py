"""A loaded, warm model: it answers queries with ranked lists, and renders them as JSON.

`python -m setlist.serving.served_model MODEL` loads and warms up a model in a process of its own.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from setlist.data.schema import HISTORY_AGE
from setlist.errors import ModelError, SetlistError
from setlist.models.contract import read_catalogue
from setlist.models.item_table import read_item_table
from setlist.models.saved_model import SavedModel

WARM_UP_SHAPES = ((1, 1, 10), (1, 50, 100), (1, 2_000, 500), (8, 50, 100), (64, 50, 500), (1, 0, 1))
"""Listeners, plays of each and k of a warm-up request, from usual to the largest allowed."""
WARM_UP_ROUNDS = 3
"""TensorFlow optimizes a graph during its first calls; after three their time is constant."""


@dataclass(frozen=True)
class Query:
    """What a list for one listener is computed from.

    Attributes:
        history: item ids of the plays, oldest first.
        ages: of each play, in days.
        exclude: item ids that must not be listed.
        inputs: named inputs; a model reads those it knows, and "" for those that are missing.
        k: the maximal length of the list.
    """

    history: Sequence[str]
    ages: Sequence[float]
    exclude: Sequence[str]
    inputs: dict[str, str]
    k: int


@dataclass(frozen=True)
class RankedList:
    """One listener's list, best item first."""

    item_ids: list[str]
    scores: list[float]


class ServedModel:
    """A revision, loaded and warm; a request that holds it can finish on it after a swap."""

    def __init__(self, revision: int, folder: Path) -> None:
        """Load the model and warm it up.

        Raises:
            SetlistError: the model does not load, or does not answer.
        """
        self.revision = revision
        self._model = SavedModel(folder)
        self.info = self._model.info
        table = read_item_table(folder)
        warm_up(self._model, table["item_id"].tolist())
        # The JSON of each item up to its score is rendered here once, not at every request.
        self._rendered = {
            item: _render_item(item, title, list(tags))
            for item, title, tags in zip(
                table["item_id"], table["title"], table["tags"], strict=True
            )
        }

    def lists(self, queries: Sequence[Query]) -> list[RankedList]:
        """The list for each query, of at most its k items; the model is called once for all.

        Raises:
            ModelError: the model failed, or scored an item with infinity.
        """
        names = self.info.categorical_inputs
        ids, scores = self._model.recommend(
            [query.history for query in queries],
            [query.exclude for query in queries],
            max(query.k for query in queries),
            {name: [query.inputs.get(name, "") for query in queries] for name in names},
            [query.ages for query in queries] if HISTORY_AGE in self.info.inputs else None,
        )
        ranked = []
        for row_ids, row_scores, query in zip(ids, scores, queries, strict=True):
            filled = row_ids[: query.k] != ""
            row = row_scores[: query.k][filled]
            if not np.isfinite(row).all():
                raise ModelError(f"model {self.info.name} gave an infinite score to an item.")
            ranked.append(RankedList(row_ids[: query.k][filled].tolist(), row.tolist()))
        return ranked

    def inputs_read(self, query: Query) -> tuple[list[str], list[float], dict[str, str]]:
        """The part of a query that the model reads: history, ages (or []), named inputs."""
        length = self.info.history_length
        reads_ages = HISTORY_AGE in self.info.inputs
        inputs = {name: query.inputs.get(name, "") for name in self.info.categorical_inputs}
        return (
            list(query.history[-length:]),
            list(query.ages[-length:]) if reads_ages else [],
            inputs,
        )

    def render(self, ranked: RankedList) -> str:
        """The JSON object of a response: revision, model, and items with titles and tags."""
        rendered = self._rendered
        items = ", ".join(
            [
                f"{rendered.get(item) or _render_item(item, item, [])}{score:.7g}}}"
                for item, score in zip(ranked.item_ids, ranked.scores, strict=True)
            ]
        )
        name = json.dumps(self.info.name)
        return f'{{"revision": {self.revision}, "model": {name}, "items": [{items}]}}'


def _render_item(item: str, title: str, tags: list[str]) -> str:
    """The JSON object of an item without its end: the score and "}" follow."""
    rendered = json.dumps({"item_id": item, "title": title, "tags": tags})
    return f'{rendered[:-1]}, "score": '


def warm_up(model: SavedModel, catalogue: list[str]) -> None:
    """Call a model a few times, so that no listener waits for what TensorFlow does only once.

    Raises:
        ModelError: the model fails, or lists no item in any call.
    """
    listed = 0
    for listeners, plays, k in WARM_UP_SHAPES * WARM_UP_ROUNDS:
        history = (catalogue * (plays // max(len(catalogue), 1) + 1))[:plays]
        ages = [[1.0] * plays] * listeners if HISTORY_AGE in model.info.inputs else None
        ids, _ = model.recommend([history] * listeners, [[]] * listeners, k, {}, ages)
        listed += int((ids != "").sum())
    if not listed:
        raise ModelError(f"model {model.info.name} lists no item for any listener; it is not used.")


if __name__ == "__main__":
    try:
        warm_up(SavedModel(Path(sys.argv[1])), read_catalogue(Path(sys.argv[1])))
    except SetlistError as error:
        sys.exit(str(error))
