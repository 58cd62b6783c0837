"""A model that is being served: what it is asked, and its lists with what people see of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from setlist.data.schema import HISTORY_AGE
from setlist.errors import SetlistError
from setlist.models.item_table import read_item_table
from setlist.models.saved_model import SavedModel
from setlist.serving.warm_up import warm_up


@dataclass(frozen=True)
class Question:
    """What one listener is asked for with.

    Attributes:
        history: the plays, oldest first.
        ages: of each play, in days.
        exclude: the ids that must not be listed.
        inputs: named inputs; a model takes those it knows, and "" for those that are missing.
        k: the longest list wanted.
    """

    history: Sequence[str]
    ages: Sequence[float]
    exclude: Sequence[str]
    inputs: dict[str, str]
    k: int


@dataclass(frozen=True)
class Listed:
    """One listener's list, best first."""

    item_ids: list[str]
    scores: list[float]


class ServedModel:
    """A revision, loaded and warm; a request that holds it can finish on it after a swap."""

    def __init__(self, revision: int, folder: Path) -> None:
        """Load and warm up.

        Raises:
            SetlistError: the model does not load, or does not answer.
        """
        self.revision = revision
        self._model = SavedModel(folder)
        self.info = self._model.info
        shelf = read_item_table(folder)
        warm_up(self._model, shelf["item_id"].tolist())
        # The JSON of an item up to its score: made once, it costs a request nothing.
        self._shown = {
            item: _shown(item, title, list(tags))
            for item, title, tags in zip(
                shelf["item_id"], shelf["title"], shelf["tags"], strict=True
            )
        }

    def lists(self, questions: Sequence[Question]) -> list[Listed]:
        """The list of each, of at most its k items; asked for together.

        Raises:
            SetlistError: the model failed.
        """
        names = self.info.categorical_inputs
        ids, scores = self._model.recommend(
            [one.history for one in questions],
            [one.exclude for one in questions],
            max(one.k for one in questions),
            {name: [one.inputs.get(name, "") for one in questions] for name in names},
            [one.ages for one in questions] if HISTORY_AGE in self.info.inputs else None,
        )
        found = []
        for own_ids, own_scores, one in zip(ids, scores, questions, strict=True):
            filled = own_ids[: one.k] != ""
            values = own_scores[: one.k][filled]
            if not np.isfinite(values).all():
                raise SetlistError(f"model {self.info.name} gave an infinite score to an item.")
            found.append(Listed(own_ids[: one.k][filled].tolist(), values.tolist()))
        return found

    def seen(self, question: Question) -> tuple[list[str], list[float], dict[str, str]]:
        """History, ages and inputs as far as the model reads them."""
        keep = self.info.history_length
        aged = HISTORY_AGE in self.info.inputs
        inputs = {name: question.inputs.get(name, "") for name in self.info.categorical_inputs}
        return (
            list(question.history[-keep:]),
            list(question.ages[-keep:]) if aged else [],
            inputs,
        )

    def render(self, listed: Listed) -> str:
        """The JSON object of an answer: revision, model, and items as people see them."""
        shown = self._shown
        items = ", ".join(
            [
                f"{shown.get(item) or _shown(item, item, [])}{score:.7g}}}"
                for item, score in zip(listed.item_ids, listed.scores, strict=True)
            ]
        )
        name = json.dumps(self.info.name)
        return f'{{"revision": {self.revision}, "model": {name}, "items": [{items}]}}'


def _shown(item: str, title: str, tags: list[str]) -> str:
    said = json.dumps({"item_id": item, "title": title, "tags": tags})
    return f'{said[:-1]}, "score": '
