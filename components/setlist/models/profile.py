"""What the inputs of the training listeners looked like: `MODEL/profile.json`.

What was served is held against it (`setlist.serving.skew`), so that an input that means one
thing in training and another in serving is found on the first day.

Each listener of the training period counts once, with the inputs that the model would have read at
the cutoff. Who plays in the test period only is not counted: nothing after the cutoff reaches a
model's folder. So every counted listener has played, and the share of empty histories is 0 by
construction. The share of requests with an empty history says how many newcomers come; it is
reported and compared with nothing.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from setlist.arrays import Float32s, Float64s, Int64s
from setlist.data.counting import HistoryLengths
from setlist.data.features import Features, FeatureTables
from setlist.data.profile import DataProfile
from setlist.data.schema import HISTORY_AGE
from setlist.errors import ModelError
from setlist.models.contract import ModelInfo, read_info

PROFILE = "profile.json"
MAX_VALUES = 200
LENGTH_BINS = ("0", "1 to 5", "6 to 50", "51 to 200", "more")
"""Bins of the number of plays in a history."""
AGE_BINS = ("under a day", "under a week", "under a month", "older")
"""Bins of the age of the latest play."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ValueShares(BaseModel):
    """The listeners of each value of a named input; all shares add up to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shares: dict[str, Share] = Field(max_length=MAX_VALUES, description="most frequent first")
    rest: Share = Field(description="of all rarer values together; 0: there are none")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _add_up([*self.shares.values(), self.rest])
        return self


class Profile(BaseModel):
    """`profile.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listeners: int = Field(ge=1)
    inputs: dict[str, ValueShares] = Field(description="by the name of the input")
    lengths: dict[str, Share] = Field(
        description="LENGTH_BINS: plays of a history, as they are read"
    )
    ages: dict[str, Share] | None = Field(description="AGE_BINS; None: the model reads no ages")
    data: DataProfile | None = Field(None, description="the weeks of the training period")
    offered: tuple[str, ...] = Field(
        (), description="named inputs that the listeners have, whether the model reads them or not"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for shares, bins in ((self.lengths, LENGTH_BINS), (self.ages, AGE_BINS)):
            if shares is not None:
                if tuple(shares) != bins:
                    raise ValueError(f"the bins are {', '.join(bins)}")
                _add_up(shares.values())
        return self

    def to_json(self) -> str:
        """The document; the same for the same features. `parse_profile` reads it back."""
        return self.model_dump_json(indent=1) + "\n"


def write_profile(model: Path, features: Features) -> None:
    """Write the profile of what a model was fitted on.

    Args:
        model: the folder of the finished model; its inputs and its history length are looked at.
        features: what it was fitted on.
    """
    profile = profile_of(features, read_info(model))
    (model / PROFILE).write_text(profile.to_json(), "utf-8")


def read_profile(model: Path) -> Profile | None:
    """The profile of the model in a folder; None where it has none, such as a stranger's.

    Raises:
        ModelError: it cannot be read.
    """
    path = model / PROFILE
    return parse_profile(path.read_bytes(), str(path)) if path.is_file() else None


def parse_profile(content: bytes, where: str) -> Profile:
    """The profile that a file holds.

    Raises:
        ModelError: it is none; the sentence names `where`.
    """
    try:
        return Profile.model_validate_json(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"{where}: {key}{': ' if key else ''}{first['msg']}", "train the model again"
        ) from fault


def profile_of(features: Features, info: ModelInfo) -> Profile:
    """The profile of the training listeners, as a model reads them."""
    plays = features.plays
    lengths = np.bincount(plays["user"], minlength=len(features.users))
    latest = plays.groupby("user")["age_days"].min().to_numpy()
    return profile_of_histories(features, HistoryLengths(lengths, latest), info)


def profile_of_histories(
    tables: FeatureTables, histories: HistoryLengths, info: ModelInfo
) -> Profile:
    """The same where the plays were counted on an engine."""
    users, aged = tables.users, HISTORY_AGE in info.inputs
    played = np.minimum(histories.lengths, info.history_length)
    return Profile(
        listeners=len(users),
        inputs={name: _values(users[name]) for name in info.categorical_inputs},
        lengths=_binned(bin_lengths(played), LENGTH_BINS),
        ages=_binned(bin_ages(histories.latest), AGE_BINS) if aged else None,
        data=tables.data_profile,
        offered=tables.inputs,
    )


def bin_lengths(lengths: Int64s) -> Int64s:
    """int64[listeners]: which of LENGTH_BINS each number of plays is in."""
    return np.digitize(lengths, (1, 6, 51, 201))


def bin_ages(days: Float32s | Float64s) -> Int64s:
    """int64[listeners]: which of AGE_BINS each age is in."""
    return np.digitize(days, (1, 7, 30))


def _values(column: pd.Series) -> ValueShares:
    counts = sorted(column.value_counts().items(), key=lambda pair: (-pair[1], str(pair[0])))
    kept = {str(value): count / len(column) for value, count in counts[:MAX_VALUES]}
    rest = sum(count for _, count in counts[MAX_VALUES:]) / len(column)
    return ValueShares(shares=kept, rest=rest)


def _binned(bins: Int64s, names: tuple[str, ...]) -> dict[str, float]:
    counts = np.bincount(bins, minlength=len(names))
    return dict(zip(names, (counts / len(bins)).tolist(), strict=True))


def _add_up(shares: Iterable[float]) -> None:
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError("the shares do not add up to 1")
