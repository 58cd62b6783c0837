"""The features folder, which `transform` writes and every model, simple or trained, is fitted on.

    FEATURES/items.parquet   one row for each item of the catalogue, in tie order; the row number is
                             the item's code. item_id, title, tags, released, plays, listeners
    FEATURES/users.parquet   one row for each listener of the training period, by id; the row number
                             is the listener's code. user_id and the named inputs
    FEATURES/plays.parquet   the training events, by listener, oldest first. user, item (codes),
                             age_days (before the cutoff, float64), and weight where it is not 1
                             for every play
    FEATURES/features.json   the window and the names of the inputs
    FEATURES/data_profile.json   what the weeks of the training period look like; the gate for data
                             of the next run reads it from the model's folder
    FEATURES/newcomers.parquet   as users.parquet, the listeners with plays in the test period only;
                             their codes continue those of users.parquet. No model is fitted on it

Except for the newcomers, nothing in the folder is later than the cutoff, and the catalogue holds
the items that were known at the cutoff: events after the cutoff do not change a byte of the other
files.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from setlist.arrays import Int64s
from setlist.data.profile import DataProfile
from setlist.data.schema import Window
from setlist.documents import read_document
from setlist.errors import DataError

DATA_PROFILE = "data_profile.json"
ITEMS = pa.schema(
    [
        ("item_id", pa.large_string()),
        ("title", pa.large_string()),
        ("tags", pa.list_(pa.large_string())),
        ("released", pa.timestamp("us", "UTC")),
        ("plays", pa.int64()),
        ("listeners", pa.int64()),
    ]
)
PLAYS = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("age_days", pa.float64())])
TABLES = ("items", "users", "newcomers")
WEIGHTED_PLAYS = PLAYS.append(pa.field("weight", pa.float64()))


@dataclass(frozen=True, kw_only=True)
class FeatureTables:
    """The features folder without its plays, which `setlist.data.counting` leaves on an engine."""

    items: pd.DataFrame
    users: pd.DataFrame
    newcomers: pd.DataFrame
    window: Window
    inputs: tuple[str, ...]
    data_profile: DataProfile | None = None

    @property
    def everyone(self) -> pd.DataFrame:
        """The listeners of both periods, in the order of their codes."""
        return pd.concat([self.users, self.newcomers], ignore_index=True)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that `Features.write` or `transform` has written."""
        return cls(**cls._content(folder))

    @classmethod
    def _content(cls, folder: Path, tables: Sequence[str] = TABLES) -> dict[str, Any]:
        document = json.loads((folder / "features.json").read_text("utf-8"))
        profile = folder / DATA_PROFILE
        return {
            **{table: pd.read_parquet(folder / f"{table}.parquet") for table in tables},
            "window": Window.from_json(document["window"]),
            "inputs": tuple(document["inputs"]),
            "data_profile": (
                read_document(profile, DataProfile, DataError, "transform the data again")
                if profile.is_file()
                else None
            ),
        }


@dataclass(frozen=True, kw_only=True)
class Features(FeatureTables):
    """The features folder in memory: its tables, the window, the inputs' names, the profile.

    Attributes:
        plays: of the training period.
        share: of its listeners, those who are here.
    """

    plays: pd.DataFrame
    share: float = 1.0

    @property
    def offsets(self) -> Int64s:
        """int64[everyone + 1]: listener u's plays are the rows offsets[u] to offsets[u + 1]."""
        return np.searchsorted(self.plays["user"].to_numpy(), np.arange(len(self.everyone) + 1))

    def write(self, folder: Path) -> None:
        """Write the folder; `Features.read(folder)` is equal to what was written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.items.to_parquet(folder / "items.parquet", index=False)
        self.users.to_parquet(folder / "users.parquet", index=False)
        self.newcomers.to_parquet(folder / "newcomers.parquet", index=False)
        self.plays.to_parquet(folder / "plays.parquet", index=False)
        write_documents(folder, self.window, self.inputs, self.data_profile)

    @classmethod
    def sample(cls, folder: Path, most_plays: int) -> Self:
        """What a model learns from: all, or beyond `most_plays` a fixed share of the listeners.

        Who is in it follows from a hash of the listener's id, so that it is the same people day
        after day. The files are read part by part: what is held grows with `most_plays` alone, and
        with the items. Newcomers are left out.

        Raises:
            DataError: when the share is so small that nobody is in it.
        """
        plays = pq.ParquetFile(folder / "plays.parquet")
        share = min(1.0, most_plays / max(plays.metadata.num_rows, 1))
        if share == 1.0:
            return cls.read(folder)
        users, codes, first = [], [], 0
        for batch in pq.ParquetFile(folder / "users.parquet").iter_batches():
            some = batch.to_pandas()
            kept = pd.util.hash_array(some["user_id"].to_numpy(object)) < share * 2.0**64
            users.append(some[kept])
            codes.append(first + np.flatnonzero(kept))
            first += len(some)
        known, rows = np.concatenate(codes), []
        if not len(known):
            raise DataError(
                f"a share of {share:.2g} of {first:,} listeners is nobody",
                f"raise model.most_plays and heuristics.most_plays (now {most_plays:,})",
            )
        for batch in plays.iter_batches():
            some = batch.to_pandas()
            place = np.searchsorted(known, some["user"])
            kept = known[np.minimum(place, len(known) - 1)] == some["user"]
            rows.append(some[kept].assign(user=place[kept].astype(np.int32)))
        content = super()._content(folder, tables=("items",))
        people = pd.concat(users, ignore_index=True)
        return cls(
            users=people,
            newcomers=people.iloc[:0],
            plays=pd.concat(rows, ignore_index=True),
            share=share,
            **content,
        )

    @classmethod
    def _content(cls, folder: Path, tables: Sequence[str] = TABLES) -> dict[str, Any]:
        return super()._content(folder, tables) | {
            "plays": pd.read_parquet(folder / "plays.parquet")
        }


def write_documents(
    folder: Path, window: Window, inputs: tuple[str, ...], profile: DataProfile | None
) -> None:
    """Write the JSON documents of a features folder."""
    document = {"window": window.to_json(), "inputs": list(inputs)}
    (folder / "features.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if profile:
        content = profile.model_dump_json(indent=1) + "\n"
        (folder / DATA_PROFILE).write_text(content, "utf-8")
