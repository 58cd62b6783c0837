"""A trained two-tower by names instead of codes: to serve it, to refresh it, to train on from it.

MODEL/towers.npz    beside the files of the contract, which are made from it
"""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from setlist.arrays import Float32s, Float64s
from setlist.data.schema import Window
from setlist.errors import ModelError
from setlist.models.two_tower.approximation import approximate
from setlist.models.two_tower.neighbourhood import Neighbourhood
from setlist.models.two_tower.network import ItemStart, TwoTower, UserTower
from setlist.models.two_tower.prior import Prior
from setlist.models.two_tower.servable import Servable, ServableWithNeighbours

TOWERS = "towers.npz"
DAY_SECONDS = 86_400
DOCUMENT = "document"


@dataclass(frozen=True)
class SavedTowers:
    """Everything that a training found.

    Attributes:
        catalogue: the item ids, in tie order.
        tags: the tags that have a vector; one more row of the weights is for all items.
        vocabularies: the values of each named input; one more row is for a value not known.
        history_length: how many plays of a history are read.
        weights: of `TwoTower`, by name.
        plays: float32[items], how often each was played in training.
        prior: of the items.
        window: of the training.
        neighbourhood: what has a share of the score beside the towers.
        approximate_items: beyond so many items, lists are retrieved approximately; None for never.
    """

    catalogue: list[str]
    tags: list[str]
    vocabularies: dict[str, list[str]]
    history_length: int
    weights: dict[str, Float32s]
    plays: Float32s
    prior: Prior
    window: Window
    neighbourhood: Neighbourhood | None = None
    approximate_items: int | None = None

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return self.weights["item_embedding"].shape[1]

    def export(self, items: pd.DataFrame, moment: pd.Timestamp, output: Path) -> None:
        """Write the model folder.

        Args:
            items: item_id, tags and released, in the order of the catalogue.
            moment: the day on which releases are looked at.
            output: the folder.
        """
        near = self.neighbourhood
        self._servable(items, moment).export(output, "two_tower", self.window)
        arrays: dict[str, npt.NDArray[Any]] = {
            **self.weights,
            "plays": self.plays,
            "prior_recency": self.prior.recency,
            "prior_fresh": self.prior.fresh,
        }
        if near:
            arrays |= {"neighbours": near.codes, "neighbour_weights": near.weights}
        document = {
            "catalogue": self.catalogue,
            "tags": self.tags,
            "vocabularies": self.vocabularies,
            "history_length": self.history_length,
            "window": self.window.to_json(),
            "share": [near.share, near.scale] if near else None,
            "approximate_items": self.approximate_items,
        }
        write_arrays(output / TOWERS, arrays, document)

    def _servable(self, items: pd.DataFrame, moment: pd.Timestamp) -> Servable:
        """As it is asked; the towers, as large as the vectors, are gone when this returns."""
        towers = TwoTower(
            UserTower([*map(len, self.vocabularies.values())], self.history_length, self.dimension),
            ItemStart(**{name: self.weights[name] for name in ItemStart.__annotations__}),
            tags=tag_weights(items["tags"], self.tags),
            plays=self.plays,
        )
        towers.place(self.weights)
        prior = self.prior.at(days_since(items["released"], moment), self.plays > 0)
        parts = self.catalogue, towers, self.vocabularies, prior
        large = self.approximate_items is not None and len(self.catalogue) > self.approximate_items
        if self.neighbourhood:
            if large:
                print("exact retrieval, since item-item weights have a share of the score")
            return ServableWithNeighbours(*parts, self.neighbourhood)
        servable = Servable(*parts)
        if large:
            approximate(servable, self.vocabularies, self.plays)
        return servable

    @classmethod
    def read(cls, model: Path) -> Self:
        """What `export` wrote.

        Raises:
            ModelError: when the model is no two-tower of ours, or damaged.
        """
        path = model / TOWERS
        if not path.is_file():
            raise ModelError(f"{path} is missing, so {model} is no two-tower that setlist trained.")
        arrays, document = read_arrays(path)
        try:
            plays, recency, fresh = (
                arrays.pop(name) for name in ("plays", "prior_recency", "prior_fresh")
            )
            share = document.pop("share")
            near = None
            if share:
                near = Neighbourhood(
                    arrays.pop("neighbours"), arrays.pop("neighbour_weights"), *share
                )
            lacking = {*UserTower.SHARED, *ItemStart.__annotations__} - arrays.keys()
            if lacking:
                raise KeyError(", ".join(sorted(lacking)))
            window = Window.from_json(document.pop("window"))
            return cls(
                weights=arrays,
                plays=plays,
                prior=Prior(recency, fresh),
                window=window,
                neighbourhood=near,
                **document,
            )
        except (KeyError, TypeError) as fault:
            raise ModelError(
                f"{path} lacks {fault}, as of another version of setlist", "train the model again"
            ) from fault


def tag_weights(tags: Iterable[Sequence[str]], names: Sequence[str]) -> sparse.csr_array:
    """float32[items, names]: 1 / (number of the item's tags among the names) for each of them."""
    code = {tag: position for position, tag in enumerate(names)}
    known = [sorted({code[tag] for tag in item_tags if tag in code}) for item_tags in tags]
    lengths = np.array([len(codes) for codes in known], np.int64)
    indices = np.fromiter(chain.from_iterable(known), np.int32, int(lengths.sum()))
    values = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((values, indices, offsets), shape=(len(known), len(names)))


def days_since(released: pd.Series, moment: pd.Timestamp) -> Float64s:
    """float64[items]: days from the release to the moment; NaN where it is not known."""
    return (moment - released).dt.total_seconds().to_numpy(np.float64) / DAY_SECONDS


def write_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], document: Mapping[str, Any]
) -> None:
    """Named arrays and a JSON document in one .npz file, which is read without pickle.

    The arrays hold numbers and booleans only. Equal arguments give equal bytes.
    """
    text = json.dumps(document, allow_nan=False).encode()
    np.savez(path, allow_pickle=False, **arrays, **{DOCUMENT: np.frombuffer(text, np.uint8)})


def read_arrays(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The arrays and the document that `write_arrays` put together.

    Raises:
        ModelError: when it is something else.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return arrays, json.loads(arrays.pop(DOCUMENT).tobytes())
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, TypeError) as fault:
        raise ModelError(f"{path} is damaged ({fault})", "remove it and train again") from fault
