"""The bundled sample: the log of a home page of playlists, whose truth is known, with real dirt.

The truth, in `setlist.data.sample_truth`, says how likely a listener discovers a playlist. The
utility is held constant within a week (from Friday, the day of releases). With probability
RELISTEN a play is instead a copy of one of the listener's own earlier plays, number
floor(n * sqrt(uniform)) of n: recent plays are likelier, and so are favourites, since every copy
can be copied again. A drawn discovery that the listener knows already is dropped, so that a
discovery is new. Activity is lognormal over listeners.

On top of these clean rows lies the dirt: every dirty row is an extra row with exactly one fault,
and `Truth.dirt` counts them. `planted="one_region"` adds a flood of plays: every listener of the
largest country plays its regional hits over and over. The other clean rows of the same seed stay as
they are, so everyone else's taste, and with it the truth, stays regional.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s
from setlist.data.sample_truth import (
    END,
    START,
    Truth,
    describe_playlists,
    draw_truth,
    iso_dates,
    numbered_ids,
)
from setlist.errors import DataError

RELISTEN = 0.2  # a probability
FLOOD_HITS, FLOOD_PLAYS = 30, 250  # planted="one_region": hits, and plays of them by a listener
DIRT = {  # as a share of the clean rows
    "duplicate": 0.006,
    "unknown_playlist": 0.004,
    "missing_listener": 0.002,
    "bad_date": 0.0015,
    "future_date": 0.001,
}
# Far above the default of `curation.max_events_per_day`, which is 500.
BOT_DAYS, BOT_PLAYS_A_DAY = pd.date_range("2026-03-10", periods=4), 900


@dataclass(frozen=True, eq=False)
class Sample:
    """The three raw tables, all columns strings, and the truth behind them.

    Attributes:
        events: listener, playlist, played_at (ISO 8601, UTC); in order of time, dirt included.
        playlists: playlist, title, tags ("a|b|c", "" for none), released (ISO date).
        listeners: listener, country, age_band, joined (ISO date).
    """

    events: pd.DataFrame
    playlists: pd.DataFrame
    listeners: pd.DataFrame
    truth: Truth


def generate(seed: int = 7, planted: Literal["none", "one_region"] = "none") -> Sample:
    """The sample of a seed: about 3,000 listeners, 1,200 playlists and 250,000 plays.

    Equal arguments give equal tables. `planted="one_region"` adds rows to the clean log of the
    same seed and changes none.
    """
    # One generator a subject: drawing more from one must not change the others.
    people, catalogue, playing, flooding, spoiling = np.random.default_rng(seed).spawn(5)
    truth = draw_truth(people, catalogue)
    log = _plays(playing, truth)
    if planted == "one_region":
        flooded = str(truth.listeners["country"].value_counts().index[0])
        flood = _flood(flooding, truth, flooded)
        both = pd.concat([log, flood]).drop_duplicates(["listener", "at"], ignore_index=True)
        truth = replace(truth, flooded=flooded, flood=len(both) - len(log))
        log = both
    bot = numbered_ids("L", len(truth.listeners) + 1)[-1]
    events, dirt = _spoil(spoiling, log, truth, bot)

    listeners = truth.listeners[["country", "age_band"]].assign(
        joined=iso_dates(truth.listeners["joined"])
    )
    listeners.loc[bot] = ["DE", "", "2026-03-01"]
    return Sample(
        events=events,
        playlists=describe_playlists(catalogue, truth).rename_axis("playlist").reset_index(),
        listeners=listeners.rename_axis("listener").reset_index(),
        truth=replace(truth, bot=bot, dirt=dirt),
    )


def write(sample: Sample, folder: Path) -> None:
    """Write events.csv, playlists.csv and listeners.csv, each whole or not at all.

    Raises:
        DataError: when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In the same folder, because a rename is atomic within one file system only.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".sample-") as scratch:
            names = ("events", "playlists", "listeners")
            for name in names:
                getattr(sample, name).to_csv(Path(scratch, f"{name}.csv"), index=False)
            for name in names:
                Path(scratch, f"{name}.csv").replace(folder / f"{name}.csv")
    except OSError as fault:
        raise DataError(
            f"{folder}: the sample cannot be written ({fault.strerror})",
            "name a folder that you may write to",
        ) from fault


def _stamps(instants: pd.Series) -> list[str]:
    return [f"{text}Z" for text in np.datetime_as_string(instants.to_numpy(), "s")]


def _plays(rng: np.random.Generator, truth: Truth) -> pd.DataFrame:
    """The clean log: listener, playlist, at (UTC, whole seconds), by listener and time."""
    period = (END - START).days
    joined = (truth.listeners["joined"] - START).dt.days.to_numpy()
    since = np.maximum(joined, 0)
    counts = rng.poisson(truth.listeners["rate"] * (period - since))
    who = np.repeat(np.arange(len(counts)), counts)
    day = np.floor(since[who] + rng.random(len(who)) * (period - since[who])).astype(int)
    evening = rng.normal(19, 4.5, len(who)) % 24
    second = day * 86400 + (evening * 3600).astype(int)
    # A listener starts one play a second. Listener and second in one integer: sorting and
    # removing doubles needs one array only.
    who, second = np.divmod(np.sort(pd.unique(who * period * 86400 + second)), period * 86400)
    copies = (rng.random(len(who)) < RELISTEN) & (who == np.roll(who, 1))
    uniform = rng.random(len(who))
    played = np.full(len(who), -1)
    week = (second // 86400 + 6) // 7  # week 1 begins with the first Friday, the day of releases
    for number in range(week.max() + 1):
        begin = START + pd.Timedelta(days=max(0, 7 * number - 6))
        rows = np.flatnonzero((week == number) & ~copies)
        played[rows] = _softmax_draws(truth.utility(begin), who[rows], uniform[rows])
    # Dropping the playlists that a listener knows makes the draws those without replacement.
    known = pd.DataFrame({"who": who, "played": played}).duplicated().to_numpy()
    kept = copies | ~known
    who, second, copies, played = who[kept], second[kept], copies[kept], played[kept]

    first = np.searchsorted(who, who)
    place = np.arange(len(who))
    earlier = first + np.floor((place - first) * np.sqrt(rng.random(len(who)))).astype(int)
    source = np.where(copies, earlier, place)
    # A copy may copy a copy: follow the references until all of them lead to a discovery.
    while (source != source[source]).any():
        source = source[source]
    return pd.DataFrame(
        {
            "listener": truth.listeners.index.to_numpy()[who],
            "playlist": truth.playlists.index.to_numpy()[played[source]],
            "at": START.tz_localize(None) + pd.to_timedelta(second, unit="s"),
        }
    )


def _softmax_draws(utility: Float64s, rows: Int64s, uniform: Float64s) -> Int64s:
    """For every entry of `rows` a column, drawn from the softmax of that row of `utility`."""
    # Laid end to end, the cumulative masses of the rows are one sorted array: one search for all.
    width = utility.shape[1]
    mass = np.exp(utility, out=utility).ravel().cumsum()
    edges = np.concatenate([[0.0], mass[width - 1 :: width]])
    low, high = edges[rows], edges[rows + 1]
    cells = np.searchsorted(mass, low + uniform * (high - low), side="right")
    # Rounding may put a draw at the edge of a row into its neighbour.
    draws: Int64s = np.clip(cells - rows * width, 0, width - 1)
    return draws


def _flood(rng: np.random.Generator, truth: Truth, country: str) -> pd.DataFrame:
    """Plays of the country's hits by all its listeners who joined before the period."""
    old = truth.playlists.query("region == @country and not new")
    hits = old["popularity"].nlargest(FLOOD_HITS).index.to_numpy()
    lives = (truth.listeners["country"] == country) & (truth.listeners["joined"] < START)
    who = np.repeat(truth.listeners.index[lives].to_numpy(), FLOOD_PLAYS)
    second = rng.integers(0, int((END - START).total_seconds()), len(who))
    at = START.tz_localize(None) + pd.to_timedelta(second, unit="s")
    return pd.DataFrame({"listener": who, "playlist": rng.choice(hits, len(who)), "at": at})


def _spoil(
    rng: np.random.Generator, log: pd.DataFrame, truth: Truth, bot: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The raw events in order of time, and the number of rows of each kind of dirt in them."""
    log = log.assign(played_at=_stamps(log["at"]))
    # One row a pair: two bad dates of the same pair would be duplicates as well.
    pairs = log[~log.duplicated(["listener", "playlist"])]
    counts = {kind: round(share * len(log)) for kind, share in DIRT.items()}
    picked = pairs.iloc[rng.choice(len(pairs), sum(counts.values()), replace=False)]
    ends = np.cumsum(list(counts.values()))
    dirt = {
        kind: picked.iloc[end - counts[kind] : end].copy()
        for kind, end in zip(counts, ends, strict=True)
    }
    dirt["unknown_playlist"]["playlist"] = [
        f"P{number}" for number in rng.integers(9000, 9200, counts["unknown_playlist"])
    ]
    dirt["missing_listener"]["listener"] = ""
    dirt["bad_date"]["played_at"] = rng.choice(["0000-00-00", "yesterday"], counts["bad_date"])
    dirt["future_date"]["played_at"] = "2062" + dirt["future_date"]["played_at"].str[4:]

    obscure = truth.playlists.query("not new")["popularity"].nsmallest(20).index.to_numpy()
    step = pd.Timedelta(days=1) / BOT_PLAYS_A_DAY
    at = pd.Series([day + step * play for day in BOT_DAYS for play in range(BOT_PLAYS_A_DAY)])
    dirt["bot"] = pd.DataFrame(
        {
            "listener": bot,
            "playlist": rng.choice(obscure, len(at)),
            "at": at,
            "played_at": _stamps(at),
        }
    )

    events = pd.concat([log, *dirt.values()]).sort_values("at", kind="stable", ignore_index=True)
    return (
        events[["listener", "playlist", "played_at"]],
        {kind: len(rows) for kind, rows in dirt.items()},
    )
