"""Skew of single listeners: what a request said of them, and what their rows say.

The tables are curated and transformed as for a training. For each listener with an id, the last
request in the log is held against the features that the transformation makes of the same
listener's rows up to that moment: the inputs, the plays of the history, their order and their ages.
Who comes to the page does not matter here, so the bounds are narrow.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from setlist.data.case import MIN_LISTENERS, conclude
from setlist.data.features import Features
from setlist.data.policy import ServingBounds
from setlist.data.schema import DAY_MICROSECONDS, instant_microseconds
from setlist.data.verdict import DataReason

AGE_TOLERANCE_DAYS = 0.02
"""Half an hour: an age is counted back from another moment than that of the request."""
AGE_TOLERANCE_SHARE = 0.01


def matched_skew(
    requests: pa.Table, features: Features, length: int, bounds: ServingBounds
) -> list[DataReason]:
    """Hold the last request of each listener against the listener's rows.

    Args:
        requests: see `setlist.serving.log_reader.last_requests`.
        features: of all days, see `setlist.data.transformation.transform_whole`.
        length: plays of a history that the model reads.
        bounds: of the policy.

    Returns:
        A reason for each comparison that at least MIN_LISTENERS listeners allow.
    """
    codes = pd.Index(features.everyone["user_id"]).get_indexer(requests["user_id"].to_pandas())
    known = codes >= 0
    reasons = [*_unmatched(requests, known, features, bounds)]
    if known.sum() < MIN_LISTENERS:
        return reasons
    matched, codes = requests.filter(pa.array(known)), codes[known]
    served = _served_plays(matched, length)
    rows = _rows_as_of(matched, codes, features, length)
    return [
        *reasons,
        *_inputs(matched, codes, features, bounds),
        *_plays(matched, served, rows, bounds),
        *_order_and_ages(matched, served, rows, bounds),
    ]


def _unmatched(
    requests: pa.Table, known: np.ndarray, features: Features, bounds: ServingBounds
) -> Iterator[DataReason]:
    """Listeners with a history whom the tables do not have; newcomers have none."""
    with_history = np.diff(_offsets(requests["history"])) > 0
    unknown = with_history & ~known
    if with_history.sum() < MIN_LISTENERS:
        return
    sentence = (
        f"{unknown.sum():,} of {with_history.sum():,} listeners who came with a history have no "
        "event in the tables"
    )
    if unknown.any():
        example = requests["user_id"][int(unknown.argmax())].as_py()
        sentence += f", such as {example!r} (the tables have {features.users['user_id'][0]!r})"
    yield conclude(
        "matched ids",
        unknown.sum() / with_history.sum(),
        bounds.unmatched,
        sentence,
        "see whether the service and the tables use the same ids, and how late events arrive",
    )


def _inputs(
    requests: pa.Table, codes: np.ndarray, features: Features, bounds: ServingBounds
) -> Iterator[DataReason]:
    maps = [dict(pairs) for pairs in requests["inputs"].to_pylist()]
    sent = {name for pairs in maps for name in pairs}
    for name in features.inputs:
        logged = pd.Series([pairs.get(name, "") for pairs in maps], dtype=object)
        table = features.everyone[name].iloc[codes].reset_index(drop=True).astype(object)
        differs = logged != table
        sentence = (
            f"{differs.sum():,} of {len(logged):,} listeners have another {name} in the request "
            "than in the tables"
        )
        if differs.any():
            pairs = pd.DataFrame({"table": table[differs], "request": logged[differs]})
            here, there = pairs.value_counts().index[0]
            sentence += f", most often {there!r} instead of {here!r}"
        yield conclude(
            f"sent {name}",
            float(differs.mean()),
            bounds.inputs,
            sentence,
            f"have the service read {name} from where the tables come from"
            if name in sent
            else f"have the service send the input {name}",
        )


def _plays(
    requests: pa.Table, served: pd.DataFrame, rows: pd.DataFrame, bounds: ServingBounds
) -> Iterator[DataReason]:
    counts = pd.concat(
        [side.groupby(["request", "item"]).size() for side in (served, rows)], axis=1
    ).fillna(0)
    counts.columns = pd.Index(["served", "rows"])
    counts["both"] = counts.min(axis=1)
    of_request = counts.groupby(level="request").sum()
    if len(of_request) < MIN_LISTENERS:
        return
    apart = 1 - of_request["both"] / of_request[["served", "rows"]].max(axis=1)
    place = int(apart.argmax())
    user = requests["user_id"][int(of_request.index[place])].as_py()
    lengths = of_request[["served", "rows"]].mean()
    yield conclude(
        "sent plays",
        float(apart.mean()),
        bounds.plays,
        f"{apart.mean():.1%} of the plays of a listener are in the request or in the tables only; "
        f"a history has {lengths['served']:.1f} plays in the requests and {lengths['rows']:.1f} by "
        f"the tables, that of {user!r} {of_request['served'].iloc[place]:.0f} and "
        f"{of_request['rows'].iloc[place]:.0f}",
        "see which plays the service sends, how many, and how late events arrive in the tables",
    )
    newest = rows[rows["place"] == 0].merge(
        served[["request", "item"]].drop_duplicates(), how="left", indicator=True
    )
    if newest.empty:
        return
    missing = newest["_merge"] == "left_only"
    sentence = (
        f"{missing.sum():,} of {len(newest):,} listeners have a newest play in the tables that is "
        "not in the request"
    )
    if missing.any():
        play = newest.iloc[int(missing.argmax())]
        user = requests["user_id"][int(play["request"])].as_py()
        sentence += f", such as {play['item']!r} of {user!r}, {play['age']:.3f} days before it"
    yield conclude(
        "newest plays",
        float(missing.mean()),
        bounds.newest,
        sentence,
        "see how late plays reach the service",
    )


def _order_and_ages(
    requests: pa.Table, served: pd.DataFrame, rows: pd.DataFrame, bounds: ServingBounds
) -> Iterator[DataReason]:
    """Of the newest play of each item that request and tables share."""
    newest = [
        side.sort_values("place").drop_duplicates(["request", "item"]) for side in (served, rows)
    ]
    both = newest[0].merge(newest[1], on=["request", "item"], suffixes=("_served", "_rows"))
    both = both.sort_values(["request", "place_rows"], ignore_index=True)
    # Plays of one moment have no order.
    follows = (both["request"].diff() == 0) & (both["age_rows"].diff() != 0)
    if both["request"].nunique() >= MIN_LISTENERS and follows.any():
        turned = follows & (both["place_served"].diff() < 0)
        sentence = (
            f"{turned.sum():,} of {follows.sum():,} neighbouring plays stand in another order in "
            "the request than in the tables"
        )
        if turned.any():
            user = requests["user_id"][int(both["request"].iloc[turned.argmax()])].as_py()
            sentence += f", such as those of {user!r}"
        yield conclude(
            "sent order",
            turned.sum() / follows.sum(),
            bounds.order,
            sentence,
            "have the service send the history oldest first",
        )
    aged = both[both["age_served"].notna()].reset_index(drop=True)
    if aged["request"].nunique() < MIN_LISTENERS:
        return
    apart = (aged["age_served"] - aged["age_rows"]).abs()
    wrong = apart > AGE_TOLERANCE_DAYS + AGE_TOLERANCE_SHARE * aged["age_rows"]
    sentence = f"{wrong.sum():,} of {len(aged):,} plays have another age in the request"
    if wrong.any():
        play = aged.iloc[int(wrong.argmax())]
        user = requests["user_id"][int(play["request"])].as_py()
        sentence += (
            f", such as {play['item']!r} of {user!r}: {play['age_served']:.3f} days in the request "
            f"and {play['age_rows']:.3f} by the tables"
        )
    yield conclude(
        "sent ages",
        float(wrong.mean()),
        bounds.ages,
        sentence,
        "have the service send days before the request, from times in UTC",
    )


def _served_plays(requests: pa.Table, length: int) -> pd.DataFrame:
    """request, item, age (NaN without), place from the newest (0), of each play of a request."""
    offsets = _offsets(requests["history"])
    request = np.repeat(np.arange(len(requests)), np.diff(offsets))
    plays = pd.DataFrame(
        {"request": request, "item": requests["history"].combine_chunks().flatten().to_pandas()}
    )
    # Either every play of a request has an age, or none has: see the messages of the server.
    aged = np.diff(_offsets(requests["history_age_days"])) > 0
    plays["age"] = np.nan
    ages = requests["history_age_days"].combine_chunks().flatten().to_numpy()
    plays.loc[aged[request], "age"] = ages
    plays["place"] = plays.groupby("request").cumcount(ascending=False)
    return plays[plays["place"] < length]


def _rows_as_of(
    requests: pa.Table, codes: np.ndarray, features: Features, length: int
) -> pd.DataFrame:
    """The same columns as `_served_plays`, of the rows before each request."""
    micros = requests["timestamp"].cast(pa.int64()).to_numpy()
    since = (micros - instant_microseconds(features.window.cutoff)) / DAY_MICROSECONDS
    offsets = features.offsets
    counts = offsets[codes + 1] - offsets[codes]
    request = np.repeat(np.arange(len(codes)), counts)
    within = np.arange(len(request)) - np.repeat(np.cumsum(counts) - counts, counts)
    plays = features.plays.iloc[offsets[codes][request] + within]
    rows = pd.DataFrame(
        {
            "request": request,
            "item": features.items["item_id"].to_numpy()[plays["item"]],
            "age": plays["age_days"].to_numpy() + since[request],
        }
    )
    rows = rows[rows["age"] > 0]
    rows["place"] = rows.groupby("request").cumcount(ascending=False)
    return rows[rows["place"] < length]


def _offsets(lists: pa.ChunkedArray) -> np.ndarray:
    """int64[rows + 1]: where each list of a column begins."""
    lengths = lists.combine_chunks().value_lengths().to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)])
