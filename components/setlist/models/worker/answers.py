"""A loaded, warm model that answers queries with ranked lists and their JSON, for the server."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from setlist.data.schema import HISTORY_AGE
from setlist.errors import ModelError
from setlist.models.item_table import read_item_table
from setlist.models.saved_model import SavedModel
from setlist.models.worker.query import Query, RankedList

WARM_UP_SHAPES = ((1, 1, 10), (1, 50, 100), (1, 2_000, 500), (8, 50, 100), (64, 50, 500), (1, 0, 1))
"""Listeners, plays of each and k of a warm-up request, from usual to the largest allowed."""
WARM_UP_ROUNDS = 3
"""TensorFlow optimizes a graph during its first calls; after three their time is constant."""


class AnsweringModel:
    """A model with the titles and tags of its items."""

    def __init__(self, model: SavedModel, folder: Path) -> None:
        """Read the items of the model in `folder`.

        Raises:
            SetlistError: its item table cannot be read.
        """
        self._model = model
        table = read_item_table(folder)
        self._catalogue: list[str] = table["item_id"].tolist()
        # The JSON of each item up to its score is rendered here once, not at every request.
        self._rendered = {
            item: _render_item(item, title, list(tags))
            for item, title, tags in zip(
                self._catalogue, table["title"], table["tags"], strict=True
            )
        }

    def warm_up(self) -> float:
        """Call the model a few times, so that no listener waits for what TensorFlow does once.

        Returns:
            The seconds of the slowest call in the last round.

        Raises:
            ModelError: the model fails, or lists no item in any call.
        """
        model, catalogue = self._model, self._catalogue
        listed, slowest = 0, 0.0
        for number, (listeners, plays, k) in enumerate(WARM_UP_SHAPES * WARM_UP_ROUNDS):
            history = (catalogue * (plays // max(len(catalogue), 1) + 1))[:plays]
            ages = [[1.0] * plays] * listeners if HISTORY_AGE in model.info.inputs else None
            began = time.monotonic()
            ids, _ = model.recommend([history] * listeners, [[]] * listeners, k, {}, ages)
            if number >= len(WARM_UP_SHAPES) * (WARM_UP_ROUNDS - 1):
                slowest = max(slowest, time.monotonic() - began)
            listed += int((ids != "").sum())
        if not listed:
            raise ModelError(
                f"model {model.info.name} lists no item for any listener; it is not used."
            )
        return slowest

    def lists(self, queries: Sequence[Query]) -> list[RankedList]:
        """The list for each query, of at most its k items; the model is called once for all.

        Raises:
            ModelError: the model failed, or scored an item with infinity.
        """
        info = self._model.info
        ids, scores = self._model.recommend(
            [query.history for query in queries],
            [query.exclude for query in queries],
            max(query.k for query in queries),
            {
                name: [query.inputs.get(name, "") for query in queries]
                for name in info.categorical_inputs
            },
            [query.ages for query in queries] if HISTORY_AGE in info.inputs else None,
        )
        ranked = []
        for row_ids, row_scores, query in zip(ids, scores, queries, strict=True):
            filled = row_ids[: query.k] != ""
            row = row_scores[: query.k][filled]
            if not np.isfinite(row).all():
                raise ModelError(f"model {info.name} gave an infinite score to an item.")
            listed, values = row_ids[: query.k][filled].tolist(), row.tolist()
            ranked.append(RankedList(listed, values, self._render(listed, values)))
        return ranked

    def _render(self, item_ids: Sequence[str], scores: Sequence[float]) -> bytes:
        rendered = self._rendered
        items = [
            f"{rendered.get(item) or _render_item(item, item, [])}{score:.7g}}}"
            for item, score in zip(item_ids, scores, strict=True)
        ]
        return f"[{', '.join(items)}]".encode()


def _render_item(item: str, title: str, tags: list[str]) -> str:
    """The JSON object of an item without its end: the score and "}" follow."""
    rendered = json.dumps({"item_id": item, "title": title, "tags": tags})
    return f'{rendered[:-1]}, "score": '
