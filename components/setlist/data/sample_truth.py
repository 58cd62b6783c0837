"""The truth behind the bundled sample: its listeners, its playlists, and who likes what.

Listener u at time t discovers playlist i with probability softmax_i of

    utility(u, i, t) = TASTE * taste(u, t) . mix(i)      2 or 3 topics against 1 or 2
                     + HOME | 0 | FOREIGN                the playlist's region against u's country
                     + popularity(i)                     normal, so that plays have a long tail
                     + FRESH * exp(-age(i, t) / FRESH_DAYS)        and -inf before the release

where taste(u, t) moves in a straight line from one mix of topics to another over the period, and
both mixes depend on country and age band. `setlist.data.sample` draws the log from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from setlist.arrays import Float64s, Int64s
from setlist.data.sample_titles import draw_title

START = pd.Timestamp("2026-01-01", tz="UTC")
END = pd.Timestamp("2026-05-01", tz="UTC")

# PLAYS is the expected number before repeated discoveries are dropped; about 250,000 rows remain.
LISTENERS, PLAYLISTS, PLAYS = 3000, 1200, 400_000
# The weights are set so that the truth ranks clearly better than the best simple rule, and that
# rule clearly better than the most popular playlists: a learned model has something to learn.
TASTE, DRIFT, FRESH, FRESH_DAYS = 8.5, 0.2, 1.5, 21.0
HOME, FOREIGN = 1.5, -1.5
POPULARITY, ACTIVITY = 1.0, 1.0  # standard deviations of a normal and of a lognormal distribution
NEW_PLAYLISTS, NEW_LISTENERS = 0.15, 0.12
NEWCOMER_DAYS = 14

# Shares of the listeners.
AGE_BANDS = {"18-24": 0.3, "25-34": 0.32, "35-49": 0.22, "50+": 0.16}
COUNTRIES = {"BR": 0.32, "DE": 0.24, "JP": 0.18, "SE": 0.14, "NG": 0.12}

REGION_TAGS = {"BR": "brazil", "DE": "germany", "JP": "japan", "SE": "sweden", "NG": "nigeria"}
MOOD_TAGS = ("chill", "party", "instrumental", "classics")
TOPICS = {  # two tags of each
    "ambient": "ambient sleep",
    "classical": "orchestra piano",
    "country": "country americana",
    "electronic": "techno house",
    "folk": "folk acoustic",
    "funk": "funk soul",
    "hip-hop": "rap beats",
    "indie": "indie lo-fi",
    "jazz": "jazz bebop",
    "metal": "metal hardcore",
    "pop": "pop dance",
    "workout": "workout running",
}


@dataclass(frozen=True, eq=False)
class Truth:
    """What the sample was drawn from, and what was added to it.

    Attributes:
        listeners: indexed by listener, without the bot: country, age_band ("" is not known),
            joined (UTC), rate (expected plays a day), newcomer (bool: joined in the last
            `NEWCOMER_DAYS` days).
        playlists: indexed by playlist: region (a country or "global"), topic (the main one),
            popularity, released (UTC), new (bool: released inside the period).
        taste_start, taste_end: [listeners, topics], rows sum to 1; at both ends of the period.
        mix: [playlists, topics], rows sum to 1.
        bot: the id of the listener that is a machine.
        dirt: the exact number of rows of each kind of dirt in the events, "bot" included.
        flooded: the region whose hits were flooded with plays, "" if none.
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
        listener_terms = np.hstack([TASTE * taste, lives])
        utility: Float64s = listener_terms @ np.vstack(
            [self.mix.to_numpy().T, place + fresh + self.playlists["popularity"].to_numpy()]
        )
        utility[:, age < 0] = -np.inf
        return utility


def draw_truth(people: np.random.Generator, catalogue: np.random.Generator) -> Truth:
    """Draw listeners and playlists, each from a generator of its own; the log is not drawn yet."""
    listeners, taste_start, taste_end = _listeners(people)
    playlists, mix = _playlists(catalogue)
    return Truth(listeners, playlists, taste_start, taste_end, mix)


def _listeners(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`Truth.listeners`, `Truth.taste_start` and `Truth.taste_end`."""
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

    def draw_taste() -> Float64s:
        """Two or three topics a listener, likelier those that the country and age band like."""
        # Gumbel noise on the liking makes the top three a draw without replacement.
        order = np.argsort(-(liking + rng.gumbel(size=liking.shape)), axis=1)[:, :3]
        weight = np.sort(rng.dirichlet([2, 2, 2], LISTENERS), axis=1)[:, ::-1]
        weight[:, 2] *= rng.random(LISTENERS) < 0.5
        taste = np.zeros(liking.shape)
        np.put_along_axis(taste, order, weight / weight.sum(axis=1, keepdims=True), axis=1)
        return taste

    start = draw_taste()
    end = (1 - DRIFT) * start + DRIFT * draw_taste()
    index = pd.Index(numbered_ids("L", LISTENERS), name="listener")
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
    """`Truth.playlists` and `Truth.mix`."""
    period = (END - START).days
    regions = [*COUNTRIES, "global"]
    region = rng.choice(regions, PLAYLISTS, p=[*[0.12] * len(COUNTRIES), 0.4])
    # Released on Fridays, as music is; 2026-01-02, day 1, is a Friday.
    inside = 1 + 7 * rng.integers(0, period // 7, PLAYLISTS)
    before = 1 - 7 * (1 + rng.exponential(60, PLAYLISTS).astype(int))
    new = rng.random(PLAYLISTS) < NEW_PLAYLISTS
    main, second = rng.integers(0, len(TOPICS), (2, PLAYLISTS))
    share = rng.uniform(0, 0.5, PLAYLISTS) * (rng.random(PLAYLISTS) < 0.6)
    mix = np.zeros((PLAYLISTS, len(TOPICS)))
    np.add.at(mix, (np.arange(PLAYLISTS), main), 1 - share)
    np.add.at(mix, (np.arange(PLAYLISTS), second), share)
    index = pd.Index(numbered_ids("P", PLAYLISTS), name="playlist")
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


def describe_playlists(rng: np.random.Generator, truth: Truth) -> pd.DataFrame:
    """What the home page shows of the playlists, indexed by playlist.

    The columns are title (unique), tags ("a|b|c", "" for none) and released (ISO date).
    """
    playlists, mix = truth.playlists, truth.mix
    shares = mix.to_numpy()
    minor = shares.argsort(axis=1)[:, -2]
    titles: list[str] = []
    tags: list[str] = []
    for row, (region, topic) in enumerate(
        zip(playlists["region"], playlists["topic"], strict=True)
    ):
        titles.append(draw_title(rng, region, topic, set(titles)))
        tagged = [*TOPICS[topic].split(), REGION_TAGS.get(region, "")]
        if shares[row, minor[row]] > 0.2:
            tagged.append(TOPICS[mix.columns[minor[row]]].split()[0])
        if rng.random() < 0.4:
            tagged.append(rng.choice(MOOD_TAGS))
        # People forget to tag: one tag in ten is missing.
        tags.append("|".join(tag for tag in tagged if tag and rng.random() < 0.9))
    return pd.DataFrame(
        {"title": titles, "tags": tags, "released": iso_dates(playlists["released"])},
        index=playlists.index,
    )


def numbered_ids(letter: str, count: int) -> list[str]:
    """`count` ids from the letter and a number of four digits: L0001, L0002."""
    return [f"{letter}{number:04d}" for number in range(1, count + 1)]


def iso_dates(instants: pd.Series) -> list[str]:
    """The instants as text like 2026-01-02."""
    return [f"{instant:%Y-%m-%d}" for instant in instants]


def _days(offsets: Int64s) -> pd.DatetimeIndex:
    """The UTC midnights that lie these numbers of days after START."""
    return (START + pd.to_timedelta(offsets, unit="D")).as_unit("us")
