"""Skew of single listeners: what a request said of them, and what their rows say.

The tables are curated and transformed as for a training. For each listener with an id, the last
request in the log is held against the features that the transformation makes of the same
listener's rows up to that moment: the inputs, the plays of the history, their order and their ages.
Who comes to the page does not matter here, so the bounds are narrow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

from setlist.data.case import MIN_LISTENERS, conclude
from setlist.data.features import Features
from setlist.data.policy import ServingBounds
from setlist.data.schema import DAY_MICROSECONDS, HISTORY_AGE, instant_microseconds
from setlist.data.verdict import DataReason
from setlist.models.contract import ModelInfo
from setlist.serving.log_reader import shortened

AGE_TOLERANCE_DAYS = 0.02
"""Half an hour: an age is counted back from another moment than that of the request."""


def matched_skew(
    requests: pa.Table, features: Features, model: ModelInfo, bounds: ServingBounds
) -> list[DataReason]:
    """Hold the last request of each listener against the listener's rows.

    Args:
        requests: see `setlist.serving.log_reader.last_requests`.
        features: of all days, see `setlist.data.transformation.transform_whole`.
        model: that was asked; only what it reads is compared.
        bounds: of the policy.

    Returns:
        A reason for each comparison; a warning where fewer than MIN_LISTENERS can be matched.
    """
    codes = pd.Index(features.everyone["user_id"]).get_indexer(requests["user_id"].to_pandas())
    known = codes >= 0
    reasons = [*_unmatched(requests, known, features, bounds)]
    if known.sum() < MIN_LISTENERS:
        too_few = DataReason(
            rule="matched listeners",
            outcome="warn",
            value=float(known.sum()),
            bound=MIN_LISTENERS,
            sentence=f"{known.sum():,} listeners of the log are in the tables, and "
            f"{MIN_LISTENERS} are needed, so no request was compared with rows",
            remedy="see whether requests carry the id of the listener, and compare more days",
        )
        return [*reasons, too_few]
    matched, codes = requests.filter(pa.array(known)), codes[known]
    histories = _Histories.of(matched, codes, features, model.history_length)
    return [
        *reasons,
        *_inputs(matched, codes, features, model, bounds),
        *_plays(matched, histories, bounds),
        *_order_and_ages(matched, histories, HISTORY_AGE in model.inputs, bounds),
    ]


def _unmatched(
    requests: pa.Table, known: np.ndarray, features: Features, bounds: ServingBounds
) -> Iterator[DataReason]:
    """Listeners with a history whom the tables do not have; newcomers have none."""
    with_history = np.diff(_offsets(requests["history"])) > 0
    unknown = with_history & ~known
    if with_history.sum() < MIN_LISTENERS:
        return
    example = ""
    if unknown.any():
        user = _user(requests, int(unknown.argmax()))
        example = f"{user} (the tables have {shortened(features.users['user_id'].iloc[0])})"
    yield conclude(
        "matched ids",
        unknown.sum() / with_history.sum(),
        bounds.unmatched,
        "serving.unmatched",
        f"{unknown.sum():,} of {with_history.sum():,} listeners who came with a history have no "
        "event that curation keeps",
        "see whether the service and the tables use the same ids, and how late events arrive",
        example=example,
    )


def _inputs(
    requests: pa.Table,
    codes: np.ndarray,
    features: Features,
    model: ModelInfo,
    bounds: ServingBounds,
) -> Iterator[DataReason]:
    maps = [dict(pairs) for pairs in requests["inputs"].to_pylist()]
    sent = {name for pairs in maps for name in pairs}
    for name in model.categorical_inputs:
        if name not in features.inputs:
            continue
        logged = pd.Series([pairs.get(name, "") for pairs in maps], dtype=object)
        table = features.everyone[name].iloc[codes].reset_index(drop=True).astype(object)
        differs = logged != table
        sentence = (
            f"{differs.sum():,} of {len(logged):,} listeners have another {name} in the request "
            "than in the tables"
        )
        if differs.any():
            pairs = pd.DataFrame({"table": table[differs], "request": logged[differs]})
            by_table, by_request = pairs.value_counts().index[0]
            sentence += f", most often {shortened(by_request)} instead of {shortened(by_table)}"
        yield conclude(
            f"sent {name}",
            float(differs.mean()),
            bounds.inputs,
            "serving.inputs",
            sentence,
            f"have the service read {name} from where the tables come from"
            if name in sent
            else f"have the service send the input {name}",
        )


@dataclass(frozen=True)
class _Histories:
    """The histories of requests, and those that the rows before each request make.

    Attributes:
        served: request (its row), item, age in days (NaN without), place from the newest (0).
        rows: the same by the tables, cut to what the model reads.
        tied: rows, and the plays of the same instant as the oldest of a history that was cut: which
            of these the history has is chance.
        counts: index request, item; how often each has the item: served, rows, tied.
    """

    served: pd.DataFrame
    rows: pd.DataFrame
    tied: pd.DataFrame
    counts: pd.DataFrame

    @classmethod
    def of(cls, requests: pa.Table, codes: np.ndarray, features: Features, length: int) -> Self:
        served = _served_plays(requests)
        served = served[served["place"] < length]
        plays = _rows_as_of(requests, codes, features)
        rows = plays[plays["place"] < length]
        oldest = rows.groupby("request")["age"].max()
        tied = plays[plays["age"] <= plays["request"].map(oldest)]
        sides = {"served": served, "rows": rows, "tied": tied}
        counts = pd.concat(
            [side.groupby(["request", "item"]).size() for side in sides.values()], axis=1
        ).fillna(0)
        return cls(served, rows, tied, counts.set_axis([*sides], axis=1))


def _plays(
    requests: pa.Table, histories: _Histories, bounds: ServingBounds
) -> Iterator[DataReason]:
    counts = histories.counts.assign(both=histories.counts[["served", "tied"]].min(axis=1))
    of_request = counts.groupby(level="request").sum()
    if len(of_request) < MIN_LISTENERS:
        return
    longer = of_request[["served", "rows"]].max(axis=1).clip(lower=1)
    apart = 1 - (of_request["both"] / longer).clip(upper=1)
    place = int(apart.argmax())
    lengths = of_request[["served", "rows"]].mean()
    example = (
        f"{_user(requests, int(of_request.index[place]))}: "
        f"{of_request['served'].iloc[place]:.0f} plays in the request, "
        f"{of_request['rows'].iloc[place]:.0f} by the tables, "
        f"{of_request['both'].iloc[place]:.0f} of them the same"
    )
    remedy = "see which plays the service sends, how many, and how late events arrive in the tables"
    yield conclude(
        "sent plays",
        float(apart.mean()),
        bounds.plays,
        "serving.plays",
        f"{apart.mean():.1%} of the plays of a listener are in the request or in the tables only; "
        f"a history has {lengths['served']:.1f} plays in the requests and {lengths['rows']:.1f} by "
        "the tables",
        remedy,
        example=example,
    )
    other = apart > 0.5
    yield conclude(
        "sent histories",
        float(other.mean()),
        bounds.histories,
        "serving.histories",
        f"{other.sum():,} of {len(other):,} histories are for the most part not those of the "
        "listener",
        "see whether histories and listeners are joined by the same id",
        example=example,
    )
    ages = histories.tied.groupby("request")["age"]
    newest = histories.tied[histories.tied["age"] == ages.transform("min")]
    if newest.empty:
        return
    newest = newest.join(counts, on=["request", "item"])
    # An item that was played before, too, is in the history, but less often. Of several newest
    # plays of one instant, one is enough.
    present = (newest["served"] > 0) & (newest["served"] >= newest["rows"])
    newest["missing"] = ~present.groupby(newest["request"]).transform("any")
    newest = newest.drop_duplicates("request")
    missing = newest["missing"]
    example = ""
    if missing.any():
        play = newest.iloc[int(missing.argmax())]
        example = (
            f"{shortened(play['item'])} of {_user(requests, int(play['request']))}, played "
            f"{play['age']:.3f} days before the request"
        )
    yield conclude(
        "newest plays",
        float(missing.mean()),
        bounds.newest,
        "serving.newest",
        f"{missing.sum():,} of {len(newest):,} listeners have a newest play in the tables that is "
        "not in the request",
        "see how late plays reach the service",
        example=example,
    )


def _order_and_ages(
    requests: pa.Table, histories: _Histories, reads_ages: bool, bounds: ServingBounds
) -> Iterator[DataReason]:
    """Of the newest play of each item that request and tables have equally often."""
    same = histories.counts[histories.counts["served"] == histories.counts["tied"]].index
    newest = [
        side.sort_values("place").drop_duplicates(["request", "item"])
        for side in (histories.served, histories.tied)
    ]
    both = newest[0].merge(newest[1], on=["request", "item"], suffixes=("_served", "_rows"))
    both = both[pd.MultiIndex.from_frame(both[["request", "item"]]).isin(same)]
    both = both.sort_values(["request", "place_rows"], ignore_index=True)
    # Plays of one moment have no order.
    follows = (both["request"].diff() == 0) & (both["age_rows"].diff() != 0)
    if both["request"].nunique() < MIN_LISTENERS:
        return
    if follows.any():
        turned = follows & (both["place_served"].diff() < 0)
        yield conclude(
            "sent order",
            turned.sum() / follows.sum(),
            bounds.order,
            "serving.order",
            f"{turned.sum():,} of {follows.sum():,} neighbouring plays stand in another order in "
            "the request than in the tables",
            "have the service send the history oldest first",
            example=_user(requests, int(both["request"].iloc[turned.argmax()]))
            if turned.any()
            else "",
        )
    if not reads_ages:
        return
    apart = (both["age_served"] - both["age_rows"]).abs()
    wrong = ~(apart <= AGE_TOLERANCE_DAYS)  # also where there is no age
    example = ""
    if wrong.any():
        play = both.iloc[int(wrong.argmax())]
        example = (
            f"{shortened(play['item'])} of {_user(requests, int(play['request']))}: "
            f"{play['age_served']:.3f} days in the request and {play['age_rows']:.3f} by the tables"
        )
    yield conclude(
        "sent ages",
        float(wrong.mean()),
        bounds.ages,
        "serving.ages",
        f"{wrong.sum():,} of {len(both):,} plays have another age in the request, by "
        f"{apart.median():.3f} days in the median",
        "have the service send days before the request, from times in UTC",
        example=example,
    )


def _served_plays(requests: pa.Table) -> pd.DataFrame:
    """request, item, age (NaN without), place from the newest (0), of each play of a request."""
    offsets = _offsets(requests["history"])
    lengths = np.diff(offsets)
    request = np.repeat(np.arange(len(requests)), lengths)
    items = requests["history"].combine_chunks().flatten()
    plays = pd.DataFrame({"request": request, "item": items.to_pandas().astype(object)})
    # Where a log has another number of ages than of plays, none of them can be given to a play.
    starts = _offsets(requests["history_age_days"])
    aged = np.diff(starts) == lengths
    ages = requests["history_age_days"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    plays["age"] = np.nan
    of_aged = np.repeat(aged, np.diff(starts))
    plays.loc[aged[request], "age"] = ages[of_aged].astype(float)
    plays["place"] = plays.groupby("request").cumcount(ascending=False)
    return plays


def _rows_as_of(requests: pa.Table, codes: np.ndarray, features: Features) -> pd.DataFrame:
    """The same columns as `_served_plays`, of the rows before each request."""
    micros = requests["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    since = (micros - instant_microseconds(features.window.cutoff)) / DAY_MICROSECONDS
    offsets = features.offsets
    counts = offsets[codes + 1] - offsets[codes]
    request = np.repeat(np.arange(len(codes)), counts)
    within = np.arange(len(request)) - np.repeat(np.cumsum(counts) - counts, counts)
    plays = features.plays.iloc[offsets[codes][request] + within]
    rows = pd.DataFrame(
        {
            "request": request,
            "item": features.items["item_id"].astype(object).to_numpy()[plays["item"]],
            "age": plays["age_days"].to_numpy() + since[request],
        }
    )
    rows = rows[rows["age"] > 0]
    return rows.assign(place=rows.groupby("request").cumcount(ascending=False))


def _offsets(lists: pa.ChunkedArray) -> np.ndarray:
    """int64[rows + 1]: where each list of a column begins."""
    lengths = lists.combine_chunks().value_lengths().to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)])


def _user(requests: pa.Table, row: int) -> str:
    return shortened(requests["user_id"][row].as_py())
