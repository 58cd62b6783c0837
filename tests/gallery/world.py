"""The bundled sample, its planted truth, and what the gallery's models are built from."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from setlist.arrays import Float32s
from setlist.data.counting import read_counts
from setlist.data.curation import CurationSettings, DataSettings, curate
from setlist.data.engine import EngineSettings
from setlist.data.features import Features
from setlist.data.sample import generate, write
from setlist.data.sample_truth import END, Truth
from setlist.data.schema import Window
from setlist.data.transformation import transform
from setlist.evaluation.audience import Audience, select_audience
from setlist.evaluation.requests import sample_requests
from setlist.evaluation.results import EvaluationSettings
from setlist.models.heuristics import co_visited, fit_heuristics
from setlist.models.saved_model import at, latest
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.models.tf import tf
from setlist.models.two_tower.train import train

SETTINGS = EvaluationSettings(
    only=("ndcg@10", "coverage@10", "intra_list_diversity@10", "popularity_lift@10")
)
HEURISTICS = HeuristicSettings(
    fit=("most_popular", "recently_popular", "popular_by_segment", "co_visited")
)
LEARNER = "spectral"
"""A learner of seconds, for the company of those whom it is to expose."""
UNRELEASED = -20.0  # a utility of -inf, as a score that can still be added to


@dataclass(frozen=True)
class World:
    """The sample at the cutoff of the bundled settings.

    Attributes:
        folder: with `dataset`, `heuristics` and `two_tower`.
        features: with one more input, `who`, the listener's id, for models with a script.
        truth: what was planted.
    """

    folder: Path
    features: Features
    truth: Truth

    @cached_property
    def catalogue(self) -> list[str]:
        """The ids in tie order."""
        return self.features.items["item_id"].tolist()

    @property
    def listeners(self) -> pd.DataFrame:
        """Everybody of the sample: one row for each row of `utility`."""
        return self.truth.listeners

    @cached_property
    def utility(self) -> Float32s:
        """float32[listeners, catalogue]: what each of them likes at the cutoff, nothing later."""
        at_cut = self.truth.utility(self.features.window.cutoff)
        table = pd.DataFrame(at_cut, self.listeners.index, self.truth.playlists.index)
        return np.maximum(table[self.catalogue].to_numpy(np.float32), UNRELEASED)

    @cached_property
    def appetite(self) -> Float32s:
        """float32[listeners, catalogue]: the probability to discover it next, 0 for the known."""
        mass = np.exp(self.utility) * ~self.pairs(self.people.history.rows, self.people.history)
        return mass / mass.sum(axis=1, keepdims=True)

    @cached_property
    def co_visited(self) -> Float32s:
        """float32[listeners, catalogue]: the heuristic's scores, `UNRELEASED` for none."""
        with read_counts(self.folder / "features", EngineSettings()) as counts:
            model = co_visited(self.features, counts, HEURISTICS)
        scores = np.full(self.utility.shape, UNRELEASED, np.float32)
        rows = self.listeners.index.get_indexer(self.features.users["who"])
        plays = latest(self.features.offsets, np.arange(len(rows)), model.history_length)
        histories = at(self.features.plays["item"].to_numpy(np.int32), plays, -1)
        for block in np.array_split(np.arange(len(rows)), 10):
            scores[rows[block]] = model.score(tf.constant(histories[block]), {}).numpy()
        return np.maximum(scores, UNRELEASED)

    @cached_property
    def popularity(self) -> Float32s:
        """float32[catalogue]: log of one more than the listeners of the training period."""
        return np.log1p(self.features.items["listeners"].to_numpy(np.float32))

    @cached_property
    def people(self) -> Audience:
        """Who is evaluated."""
        test, users = (
            pd.read_parquet(self.folder / "dataset" / f"{name}.parquet")
            for name in ("test", "users")
        )
        return select_audience(self.features, test, users, SETTINGS)

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """int64[evaluated]: their rows of `utility`."""
        return self.listeners.index.get_indexer(self.people.users["who"])

    def pairs(self, rows, table) -> npt.NDArray[np.bool_]:
        """bool[listeners, catalogue]: the pairs of a ragged table of the evaluated listeners."""
        cells = np.zeros(self.utility.shape, np.bool_)
        cells[self.rows[rows], table.codes] = True
        return cells

    def are(self, column: str, value: str) -> npt.NDArray[np.bool_]:
        """bool[listeners]: evaluated, and with this value in the slice."""
        chosen = np.zeros(len(self.listeners), np.bool_)
        chosen[self.rows[self.people.users[column] == value]] = True
        return chosen

    @property
    def asked(self) -> npt.NDArray[np.int64]:
        """Rows of the audience whose requests a fresh process repeats."""
        return sample_requests(len(self.people.users))

    def best(self, number: int) -> npt.NDArray[np.int64]:
        """The codes that serve everybody best with lists of ten, chosen greedily one by one."""
        appetite = self.appetite[self.rows]
        chosen: list[int] = []
        shown = np.zeros((len(appetite), 10), np.float32)  # of each listener, ascending
        for _ in range(number):
            gain = np.maximum(appetite - shown[:, :1], 0).sum(axis=0)
            gain[chosen] = -1
            chosen.append(int(gain.argmax()))
            shown[:, 0] = np.maximum(shown[:, 0], appetite[:, chosen[-1]])
            shown.sort(axis=1)
        return np.array(chosen)


def build(folder: Path, trained: bool = True) -> World:
    """Write the sample, curate and transform it, fit heuristics and, if asked, the two-tower."""
    sample = generate()
    write(sample, folder / "raw")
    listener, playlist = {"user_id": "listener"}, {"item_id": "playlist"}
    columns = {
        "events": listener | playlist | {"timestamp": "played_at"},
        "items": playlist,
        "users": listener,
    }
    files = {"events": "events", "items": "playlists", "users": "listeners"}
    data = {
        table: {"path": str(folder / "raw" / f"{file}.csv"), "columns": columns[table]}
        for table, file in files.items()
    }
    cut = END - pd.Timedelta(days=14)
    window = Window(cut - pd.Timedelta(days=90), cut, END)
    curate(DataSettings.model_validate(data), window, CurationSettings(), folder / "dataset")
    transform(folder / "dataset", window, ("country", "age_band"), folder / "features")
    features = Features.read(folder / "features")
    fitted = HEURISTICS.model_copy(update={"fit": (*HEURISTICS.fit, LEARNER)})
    fit_heuristics(folder / "features", fitted, folder / "heuristics")
    if trained:
        train(features, ModelSettings(epochs=3), folder / "two_tower", folder / "record")
    known = {
        part: table.assign(who=table["user_id"])
        for part, table in (("users", features.users), ("newcomers", features.newcomers))
    }
    inputs = (*features.inputs, "who")
    return World(folder, replace(features, inputs=inputs, **known), sample.truth)
