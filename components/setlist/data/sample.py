"""The bundled sample: a home page of playlists whose truth is known, in a log with real dirt.

The generative model. Listener u at time t discovers playlist i with probability softmax_i of

    utility(u, i, t) = TASTE * taste(u, t) . mix(i)      2 or 3 topics against 1 or 2
                     + HOME | 0 | FOREIGN                the playlist's region against u's country
                     + popularity(i)                     normal, so that plays have a long tail
                     + FRESH * exp(-age(i, t) / FRESH_DAYS)        and -inf before the release

where taste(u, t) moves in a straight line from one mix of topics to another over the period, and
both depend on country and age band. The utility is held constant within a week (from Friday, the
day of releases). With probability RELISTEN a play is instead a copy of one of the listener's own
earlier plays, number floor(n * sqrt(uniform)) of n: recent ones are likelier, and so are
favourites, since every copy can be copied again. A draw of something known is dropped, so that a
discovery is one. Activity is lognormal over listeners.

On top of these clean rows lies the dirt: every dirty row is an extra row with exactly one fault,
and `Truth.dirt` counts them. `planted="one_region"` adds a flood of plays: every listener of the
largest country plays its regional hits over and over. The other clean rows of the same seed stay as
they are, so everyone else's taste, and with it the truth, stays regional.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s
from setlist.data.sample_words import HOSTILE_TITLES, MOOD_TAGS, MOODS, SCENES, TOPICS
from setlist.errors import SetlistError

START = pd.Timestamp("2026-01-01", tz="UTC")
END = pd.Timestamp("2026-05-01", tz="UTC")

LISTENERS, PLAYLISTS, PLAYS = 3000, 1200, 400_000  # PLAYS before known ones drop out
TASTE, DRIFT, FRESH, FRESH_DAYS = 8.5, 0.2, 1.5, 21.0
HOME, FOREIGN = 1.5, -1.5
POPULARITY, ACTIVITY, RELISTEN = 1.0, 1.0, 0.2  # two standard deviations, one probability
NEW_PLAYLISTS, NEW_LISTENERS = 0.15, 0.12
NEWCOMER_DAYS = 14
FLOOD_HITS, FLOOD_PLAYS = 30, 250  # planted="one_region": hits, and plays of them by a listener
DIRT = {  # as a share of the clean rows
    "duplicate": 0.006,
    "unknown_playlist": 0.004,
    "missing_listener": 0.002,
    "bad_date": 0.0015,
    "future_date": 0.001,
}
BOT_DAYS, BOT_PLAYS_A_DAY = pd.date_range("2026-03-10", periods=4), 900

AGE_BANDS = {"18-24": 0.3, "25-34": 0.32, "35-49": 0.22, "50+": 0.16}
COUNTRIES = {"BR": 0.32, "DE": 0.24, "JP": 0.18, "SE": 0.14, "NG": 0.12}


@dataclass(frozen=True, eq=False)
class Truth:
    """What was planted.

    Attributes:
        listeners: indexed by listener (the bot is not one of them): country, age_band ("" is not
            known), joined (UTC), rate (expected plays a day), newcomer (bool: joined in the last
            `NEWCOMER_DAYS` days).
        playlists: indexed by playlist: region (a country or "global"), topic (the main one),
            popularity, released (UTC), new (bool: released inside the period).
        taste_start, taste_end: [listeners, topics], rows sum to 1; at both ends of the period.
        mix: [playlists, topics], rows sum to 1.
        bot: the listener that is a machine.
        dirt: rows of every kind of dirt in the events, exactly; "bot" among them.
        flooded: the region whose hits were planted, "" if none.
        flood: rows of the flood, 0 if none.
    """

    listeners: pd.DataFrame
    playlists: pd.DataFrame
    taste_start: pd.DataFrame
    taste_end: pd.DataFrame
    mix: pd.DataFrame
    bot: str = ""
    dirt: Mapping[str, int] = field(default_factory=dict)
    flooded: str = ""
    flood: int = 0

    def utility(self, at: pd.Timestamp) -> Float64s:
        """Utilities [listeners, playlists] at a UTC instant; -inf before a playlist's release.

        Rows and columns are in the order of `listeners` and `playlists`. A listener's next
        discovery is a draw from the softmax of the row.
        """
        moved = (at - START) / (END - START)
        taste = (1 - moved) * self.taste_start.to_numpy() + moved * self.taste_end.to_numpy()
        age = (at - self.playlists["released"]).dt.total_seconds().to_numpy() / 86400
        fresh = FRESH * np.exp(-np.maximum(age, 0) / FRESH_DAYS)
        countries = np.array(list(COUNTRIES))
        region = self.playlists["region"].to_numpy()
        home = countries[:, None] == region
        place = np.where(home, HOME, np.where(region == "global", 0.0, FOREIGN))
        # The country beside the topics, so that one matrix product gives the sum of all terms.
        lives = self.listeners["country"].to_numpy()[:, None] == countries
        own = np.hstack([TASTE * taste, lives])
        utility: Float64s = own @ np.vstack(
            [self.mix.to_numpy().T, place + fresh + self.playlists["popularity"].to_numpy()]
        )
        utility[:, age < 0] = -np.inf
        return utility


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
    # One stream a subject: drawing more in one must not change the others.
    people, catalogue, playing, flooding, spoiling = np.random.default_rng(seed).spawn(5)
    listeners, taste_start, taste_end = _listeners(people)
    playlists, mix = _playlists(catalogue)
    truth = Truth(listeners, playlists, taste_start, taste_end, mix)
    log = _plays(playing, truth)
    if planted == "one_region":
        flooded = str(listeners["country"].value_counts().index[0])
        flood = _flood(flooding, truth, flooded)
        both = pd.concat([log, flood]).drop_duplicates(["listener", "at"], ignore_index=True)
        truth = replace(truth, flooded=flooded, flood=len(both) - len(log))
        log = both
    bot = _ids("L", len(listeners) + 1)[-1]
    events, dirt = _spoil(spoiling, log, truth, bot)

    raw_listeners = listeners[["country", "age_band"]].assign(joined=_dates(listeners["joined"]))
    raw_listeners.loc[bot] = ["DE", "", "2026-03-01"]
    return Sample(
        events=events,
        playlists=_described(catalogue, playlists, mix).rename_axis("playlist").reset_index(),
        listeners=raw_listeners.rename_axis("listener").reset_index(),
        truth=replace(truth, bot=bot, dirt=dirt),
    )


def write(sample: Sample, folder: Path) -> None:
    """Writes events.csv, playlists.csv and listeners.csv, each whole or not at all.

    Raises:
        SetlistError: when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".sample-") as beside:
            names = ("events", "playlists", "listeners")
            for name in names:
                getattr(sample, name).to_csv(Path(beside, f"{name}.csv"), index=False)
            for name in names:
                Path(beside, f"{name}.csv").replace(folder / f"{name}.csv")
    except OSError as fault:
        raise SetlistError(
            f"{folder}: the sample cannot be written ({fault.strerror}); "
            "name a folder that you may write to."
        ) from fault


def _ids(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:04d}" for number in range(1, count + 1)]


def _dates(instants: pd.Series) -> list[str]:
    return [f"{instant:%Y-%m-%d}" for instant in instants]


def _stamps(instants: pd.Series) -> list[str]:
    return [f"{text}Z" for text in np.datetime_as_string(instants.to_numpy(), "s")]


def _days(offsets: Int64s) -> pd.DatetimeIndex:
    """The UTC midnights that lie so many days after START."""
    return (START + pd.to_timedelta(offsets, unit="D")).as_unit("us")


def _listeners(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The listeners, and their tastes at both ends of the period [listeners, topics]."""
    country = rng.choice(len(COUNTRIES), LISTENERS, p=list(COUNTRIES.values()))
    age = rng.choice(len(AGE_BANDS), LISTENERS, p=list(AGE_BANDS.values()))
    period = (END - START).days
    # The service grows: the square root puts more of the joins late in the period.
    inside = (period * np.sqrt(rng.random(LISTENERS))).astype(int)
    before = -rng.integers(1, 1000, LISTENERS)
    joined = np.where(rng.random(LISTENERS) < NEW_LISTENERS, inside, before)
    rate = rng.lognormal(0.0, ACTIVITY, LISTENERS)
    present = np.minimum(period, period - joined)
    liking = rng.normal(0, 1, (len(COUNTRIES), len(TOPICS)))[country]
    liking += rng.normal(0, 1, (len(AGE_BANDS), len(TOPICS)))[age]

    def draw() -> Float64s:
        """Two or three topics a listener, likelier those that the country and age band like."""
        order = np.argsort(-(liking + rng.gumbel(size=liking.shape)), axis=1)[:, :3]
        weight = np.sort(rng.dirichlet([2, 2, 2], LISTENERS), axis=1)[:, ::-1]
        weight[:, 2] *= rng.random(LISTENERS) < 0.5
        taste = np.zeros(liking.shape)
        np.put_along_axis(taste, order, weight / weight.sum(axis=1, keepdims=True), axis=1)
        return taste

    start = draw()
    end = (1 - DRIFT) * start + DRIFT * draw()
    index = pd.Index(_ids("L", LISTENERS), name="listener")
    known = rng.random(LISTENERS) < 0.96
    table = pd.DataFrame(
        {
            "country": np.array(list(COUNTRIES))[country],
            "age_band": np.where(known, np.array(list(AGE_BANDS))[age], ""),
            "joined": _days(joined),
            "rate": rate * PLAYS / (rate * present).sum(),
            "newcomer": joined >= period - NEWCOMER_DAYS,
        },
        index=index,
    )
    topics = list(TOPICS)
    return table, pd.DataFrame(start, index, topics), pd.DataFrame(end, index, topics)


def _playlists(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The playlists, and their mixes of topics [playlists, topics]."""
    period = (END - START).days
    regions = [*COUNTRIES, "global"]
    region = rng.choice(regions, PLAYLISTS, p=[*[0.12] * len(COUNTRIES), 0.4])
    # Released on Fridays, as music is; 2026-01-02 is one.
    inside = 1 + 7 * rng.integers(0, period // 7, PLAYLISTS)
    before = 1 - 7 * (1 + rng.exponential(60, PLAYLISTS).astype(int))
    new = rng.random(PLAYLISTS) < NEW_PLAYLISTS
    main, second = rng.integers(0, len(TOPICS), (2, PLAYLISTS))
    share = rng.uniform(0, 0.5, PLAYLISTS) * (rng.random(PLAYLISTS) < 0.6)
    mix = np.zeros((PLAYLISTS, len(TOPICS)))
    np.add.at(mix, (np.arange(PLAYLISTS), main), 1 - share)
    np.add.at(mix, (np.arange(PLAYLISTS), second), share)
    index = pd.Index(_ids("P", PLAYLISTS), name="playlist")
    table = pd.DataFrame(
        {
            "region": region,
            "topic": np.array(list(TOPICS))[main],
            "popularity": rng.normal(0, POPULARITY, PLAYLISTS),
            "released": _days(np.where(new, inside, before)),
            "new": new,
        },
        index=index,
    )
    return table, pd.DataFrame(mix, index, list(TOPICS))


def _described(
    rng: np.random.Generator, playlists: pd.DataFrame, mix: pd.DataFrame
) -> pd.DataFrame:
    """What the log's owner publishes of the playlists: unique titles, tags, release dates."""
    shares = mix.to_numpy()
    minor = shares.argsort(axis=1)[:, -2]
    titles: list[str] = []
    tags: list[str] = []
    for row, (region, topic) in enumerate(
        zip(playlists["region"], playlists["topic"], strict=True)
    ):
        scene, words = SCENES.get(region, ("", ""))
        own_tags, nouns = TOPICS[topic]
        first = rng.choice(words.split() if words and rng.random() < 0.6 else MOODS.split())
        titles.append(f"{first} {rng.choice(nouns.split())}")
        tagged = [*own_tags.split(), scene]
        if shares[row, minor[row]] > 0.2:
            tagged.append(TOPICS[mix.columns[minor[row]]][0].split()[0])
        if rng.random() < 0.4:
            tagged.append(rng.choice(MOOD_TAGS))
        tags.append("|".join(tag for tag in tagged if tag and rng.random() < 0.9))
    titles[: len(HOSTILE_TITLES)] = HOSTILE_TITLES
    title = pd.Series(titles, index=playlists.index)
    volume = title.groupby(title).cumcount() + 1
    title = title.where(volume == 1, title + " Vol. " + volume.astype(str))
    return pd.DataFrame({"title": title, "tags": tags, "released": _dates(playlists["released"])})


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
    # A listener plays one thing at a time: unique rows, sorted.
    who, second = np.divmod(np.sort(pd.unique(who * period * 86400 + second)), period * 86400)
    copies = (rng.random(len(who)) < RELISTEN) & (who == np.roll(who, 1))
    uniform = rng.random(len(who))
    played = np.full(len(who), -1)
    week = (second // 86400 + 6) // 7  # week 1 begins with the first Friday, the day of releases
    for number in range(week.max() + 1):
        begin = START + pd.Timedelta(days=max(0, 7 * number - 6))
        rows = np.flatnonzero((week == number) & ~copies)
        played[rows] = _softmax_draws(truth.utility(begin), who[rows], uniform[rows])
    # What is known already is no discovery: dropping it draws without replacement.
    known = pd.DataFrame({"who": who, "played": played}).duplicated().to_numpy()
    kept = copies | ~known
    who, second, copies, played = who[kept], second[kept], copies[kept], played[kept]

    first = np.searchsorted(who, who)
    place = np.arange(len(who))
    earlier = first + np.floor((place - first) * np.sqrt(rng.random(len(who)))).astype(int)
    source = np.where(copies, earlier, place)
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
    found = np.searchsorted(mass, low + uniform * (high - low), side="right")
    draws: Int64s = np.clip(found - rows * width, 0, width - 1)
    return draws


def _flood(rng: np.random.Generator, truth: Truth, country: str) -> pd.DataFrame:
    """Plays of the country's hits by all its listeners of before the period."""
    old = truth.playlists.query("region == @country and not new")
    hits = old["popularity"].nlargest(FLOOD_HITS).index.to_numpy()
    there = (truth.listeners["country"] == country) & (truth.listeners["joined"] < START)
    who = np.repeat(truth.listeners.index[there].to_numpy(), FLOOD_PLAYS)
    second = rng.integers(0, int((END - START).total_seconds()), len(who))
    at = START.tz_localize(None) + pd.to_timedelta(second, unit="s")
    return pd.DataFrame({"listener": who, "playlist": rng.choice(hits, len(who)), "at": at})


def _spoil(
    rng: np.random.Generator, log: pd.DataFrame, truth: Truth, bot: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The raw events in order of time, and how many rows of each kind of dirt they hold."""
    log = log.assign(played_at=_stamps(log["at"]))
    # Distinct pairs: two bad dates of one pair would be a duplicate as well.
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
