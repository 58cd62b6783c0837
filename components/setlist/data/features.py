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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

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
    def _content(cls, folder: Path) -> dict[str, Any]:
        document = json.loads((folder / "features.json").read_text("utf-8"))
        profile = folder / DATA_PROFILE
        return {
            "items": pd.read_parquet(folder / "items.parquet"),
            "users": pd.read_parquet(folder / "users.parquet"),
            "newcomers": pd.read_parquet(folder / "newcomers.parquet"),
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
    """The features folder in memory: its tables, the window, the inputs' names, the profile."""

    plays: pd.DataFrame

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
    def _content(cls, folder: Path) -> dict[str, Any]:
        return super()._content(folder) | {"plays": pd.read_parquet(folder / "plays.parquet")}


def write_documents(
    folder: Path, window: Window, inputs: tuple[str, ...], profile: DataProfile | None
) -> None:
    """Write the JSON documents of a features folder."""
    document = {"window": window.to_json(), "inputs": list(inputs)}
    (folder / "features.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if profile:
        content = profile.model_dump_json(indent=1) + "\n"
        (folder / DATA_PROFILE).write_text(content, "utf-8")
