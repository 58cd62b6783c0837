"""Faults and harmless changes of the sample's tables, and what the gate for data says of each.

A model was trained a week before, on the tables as they were then. Every fault changes the tables
of today, and the gate has to name it. Every harmless change is one that weeks bring, and must not
stop a run. `tests/benchmarks/data_gate.py` prints the table of docs/explanation/data-gate.md.
"""

import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from setlist.data import sample
from setlist.data.curation import (
    CurationSettings,
    DataSettings,
    WindowSettings,
    curate,
    resolve_window,
)
from setlist.data.features import Features
from setlist.data.gate import judge_data
from setlist.data.policy import DataPolicy
from setlist.data.profile import DataProfile
from setlist.data.source import TableSource
from setlist.data.transformation import transform
from setlist.data.verdict import DataVerdict

TODAY = pd.Timestamp("2026-05-01", tz="UTC")
NOW = TODAY + pd.Timedelta(hours=5)
INPUTS = ("country", "age_band")
DEFAULT = DataPolicy()


@dataclass(frozen=True)
class Tables:
    """The raw tables of a day; events has user_id, item_id, timestamp, as a warehouse has them."""

    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    settings: tuple[tuple[str, object], ...] = ()

    def changed(self, **columns: object) -> "Tables":
        """The same with other values in columns of events."""
        return replace(self, events=self.events.assign(**columns))

    def newest(self, days: float) -> "pd.Series[bool]":
        """bool[events]: those of the newest days."""
        return self.events["timestamp"] >= TODAY - pd.Timedelta(days=days)


Change = Callable[[Tables], Tables]
FAULTS: dict[str, tuple[Change, str]] = {}
HARMLESS: dict[str, Change] = {}


def fault(name: str, rule: str) -> Callable[[Change], Change]:
    """Keep a fault: its name, and the beginning of the rule that has to name it."""

    def keep(change: Change) -> Change:
        FAULTS[name] = (change, rule)
        return change

    return keep


def harmless(name: str) -> Callable[[Change], Change]:
    """Keep a harmless change."""

    def keep(change: Change) -> Change:
        HARMLESS[name] = change
        return change

    return keep


@cache
def clean_tables(seed: int = 7) -> Tables:
    """The sample without the flaws that are planted in it, up to today."""
    made = sample.generate(seed, "none")
    events = made.events.rename(
        columns={"listener": "user_id", "playlist": "item_id", "played_at": "timestamp"}
    )
    times = pd.to_datetime(events["timestamp"], utc=True, errors="coerce", format="ISO8601")
    items = made.playlists.rename(columns={"playlist": "item_id"})
    users = made.listeners.rename(columns={"listener": "user_id"})
    known = (
        times.notna() & (times < TODAY) & events["user_id"].notna() & (events["user_id"] != "L3001")
    )
    known &= events["item_id"].isin(items["item_id"])
    events = events.assign(timestamp=times)[known].drop_duplicates().reset_index(drop=True)
    return Tables(events[["user_id", "item_id", "timestamp"]], items, users)


# Faults.


@fault("a third of the timestamps in milliseconds", "rejected")
def units(tables):
    seconds = tables.events["timestamp"].astype("int64") // 10**6
    times = np.where(np.arange(len(seconds)) % 3 == 0, seconds * 1000, seconds)
    return tables.changed(timestamp=times)


@fault("local time of another zone, 9 hours off, in the newest week", "drift of hour of the day")
def zone(tables):
    late = tables.newest(7)
    shifted = tables.events["timestamp"] - pd.Timedelta(hours=9)
    return tables.changed(timestamp=tables.events["timestamp"].where(~late, shifted))


@fault("country codes in lower case", "drift of country")
def lower_case(tables):
    return replace(tables, users=tables.users.assign(country=tables.users["country"].str.lower()))


@fault("country codes of half of the listeners in lower case", "spelling of country")
def half_lower_case(tables):
    country = tables.users["country"]
    half = country.where(np.arange(len(country)) % 2 == 0, country.str.lower())
    return replace(tables, users=tables.users.assign(country=half))


@fault("a day missing", "missing days")
def missing_day(tables):
    day = tables.events["timestamp"].dt.floor("D")
    return replace(tables, events=tables.events[day != TODAY - pd.Timedelta(days=20)])


@fault("the newest two days not loaded yet", "missing days")
def late_days(tables):
    return replace(tables, events=tables.events[~tables.newest(2)])


@fault("a day loaded twice", "doubled days")
def doubled_day(tables):
    day = tables.events["timestamp"].dt.floor("D")
    again = tables.events[day == TODAY - pd.Timedelta(days=9)]
    return replace(tables, events=pd.concat([tables.events, again], ignore_index=True))


@fault("a bot with 20,000 plays", "rejected")
def bot(tables):
    rng = np.random.default_rng(1)
    plays = pd.DataFrame(
        {
            "user_id": "L0001",
            "item_id": rng.choice(tables.items["item_id"], 20_000),
            "timestamp": TODAY - pd.to_timedelta(rng.random(20_000) * 12, unit="D"),
        }
    )
    return replace(tables, events=pd.concat([tables.events, plays], ignore_index=True))


@fault("ids of listeners hashed in another way in events", "unknown listeners")
def hashed_in_events(tables):
    return tables.changed(user_id="h" + tables.events["user_id"])


@fault("ids of listeners hashed in another way in both tables", "lost listeners")
def hashed_everywhere(tables):
    users = tables.users.assign(user_id="h" + tables.users["user_id"])
    return replace(tables.changed(user_id="h" + tables.events["user_id"]), users=users)


@fault("ids of items hashed in another way in both tables", "lost items")
def hashed_items(tables):
    items = tables.items.assign(item_id="h" + tables.items["item_id"])
    return replace(tables.changed(item_id="h" + tables.events["item_id"]), items=items)


@fault("ids of listeners hashed in another way since a week", "new listeners")
def hashed_newest(tables):
    ids = tables.events["user_id"]
    return tables.changed(user_id=ids.where(~tables.newest(7), "h" + ids))


@fault("tags empty", "drift of tag")
def no_tags(tables):
    return replace(tables, items=tables.items.assign(tags=[[] for _ in tables.items["tags"]]))


@fault("tags of every item its own", "distinct tags")
def own_tags(tables):
    tags = [[f"tag {number}"] for number in range(len(tables.items))]
    return replace(tables, items=tables.items.assign(tags=tags))


@fault("titles missing", "missing titles")
def no_titles(tables):
    return replace(tables, items=tables.items.assign(title=""))


@fault("dates in the future", "future events")
def future(tables):
    times = tables.events["timestamp"].copy()
    times.iloc[::500] += pd.Timedelta(days=3650)
    return tables.changed(timestamp=times)


@fault("a frozen feature: one country for everybody", "constant country")
def frozen(tables):
    return replace(tables, users=tables.users.assign(country="SE"))


@fault("an input that nobody has any more", "missing age_band")
def absent_input(tables):
    return replace(tables, users=tables.users.assign(age_band=""))


@fault("an input that is different for everybody", "values of age_band")
def own_input(tables):
    return replace(tables, users=tables.users.assign(age_band=tables.users["user_id"]))


@fault("histories cut: one play of each listener a day", "drift of plays of a listener")
def cut_histories(tables):
    day = tables.events["timestamp"].dt.floor("D")
    first = ~pd.DataFrame({"u": tables.events["user_id"], "d": day}).duplicated()
    keep = first | ~tables.newest(7)
    return replace(tables, events=tables.events[keep])


@fault("only the last 30 days exported", "missing days")
def short_export(tables):
    return replace(tables, events=tables.events[tables.newest(30)])


@fault("a third of the newest week lost", "lost volume")
def lost_volume(tables):
    lost = tables.newest(7) & (np.arange(len(tables.events)) % 3 < 2)
    return replace(tables, events=tables.events[~lost])


@fault("half of the items missing in their table", "rejected")
def lost_items(tables):
    return replace(tables, items=tables.items.iloc[::2])


@fault("one item on top of the page takes half of the newest plays", "drift of rank")
def one_hit(tables):
    ids = tables.events["item_id"]
    taken = tables.newest(7) & (np.arange(len(ids)) % 2 == 0)
    return tables.changed(item_id=ids.where(~taken, "P0001"))


# Harmless changes.


def _thinned(tables: Tables, keep: "pd.Series[bool]") -> Tables:
    return replace(tables, events=tables.events[keep])


@harmless("nothing changed")
def unchanged(tables):
    return tables


@harmless("a holiday: twice the plays on two days")
def holiday(tables):
    day = tables.events["timestamp"].dt.floor("D")
    again = tables.events[day.isin([TODAY - pd.Timedelta(days=n) for n in (3, 4)])]
    again = again.assign(timestamp=again["timestamp"] + pd.Timedelta(minutes=7))
    return replace(tables, events=pd.concat([tables.events, again], ignore_index=True))


@harmless("a quiet day: 60% of the plays")
def quiet_day(tables):
    day = tables.events["timestamp"].dt.floor("D")
    lost = (day == TODAY - pd.Timedelta(days=3)) & (np.arange(len(day)) % 5 < 2)
    return _thinned(tables, ~lost)


@harmless("a new country at 1%")
def new_country(tables):
    country = tables.users["country"].copy()
    country.iloc[::100] = "NO"
    return replace(tables, users=tables.users.assign(country=country))


@harmless("a catalogue that grows by 5%")
def growing_catalogue(tables):
    more = tables.items.iloc[:60].assign(item_id=[f"N{n:04}" for n in range(60)])
    more = more.assign(released="2026-04-25")
    items = pd.concat([tables.items, more], ignore_index=True)
    ids = tables.events["item_id"].copy()
    chosen = np.flatnonzero(tables.newest(5))[::20]
    ids.iloc[chosen] = [f"N{n % 60:04}" for n in range(len(chosen))]
    return replace(tables.changed(item_id=ids), items=items)


@harmless("5% of the items withdrawn, and their plays excluded")
def withdrawn(tables):
    gone = set(tables.items["item_id"].iloc[::20])
    items = tables.items[~tables.items["item_id"].isin(gone)]
    return replace(_thinned(tables, ~tables.events["item_id"].isin(gone)), items=items)


@harmless("10% new listeners in the newest week")
def new_listeners(tables):
    ids = tables.events["user_id"]
    new = tables.newest(7) & ids.str.endswith("7")
    users = tables.users[tables.users["user_id"].str.endswith("7")]
    more = users.assign(user_id="N" + users["user_id"])
    joined = replace(tables, users=pd.concat([tables.users, more], ignore_index=True))
    return joined.changed(user_id=ids.where(~new, "N" + ids))


@harmless("5% of the listeners leave")
def leaving(tables):
    gone = tables.events["user_id"].str.endswith("13") | tables.events["user_id"].str.endswith("42")
    return _thinned(tables, ~(gone & tables.newest(14)))


@harmless("a hit: one item takes 5% of the newest plays")
def hit(tables):
    ids = tables.events["item_id"]
    taken = tables.newest(7) & (np.arange(len(ids)) % 20 == 0)
    return tables.changed(item_id=ids.where(~taken, "P0001"))


@harmless("rows in another order")
def shuffled(tables):
    return replace(tables, events=tables.events.sample(frac=1, random_state=1))


@harmless("half a per cent of the rows delivered twice")
def delivered_twice(tables):
    again = tables.events.iloc[::200]
    return replace(tables, events=pd.concat([tables.events, again], ignore_index=True))


@harmless("half a per cent of the ids missing")
def few_missing_ids(tables):
    ids = tables.events["user_id"].copy()
    ids.iloc[::200] = None
    return tables.changed(user_id=ids)


@harmless("times with milliseconds")
def finer_times(tables):
    return tables.changed(timestamp=tables.events["timestamp"] + pd.Timedelta(milliseconds=250))


@harmless("another column in the table of users")
def another_column(tables):
    return replace(tables, users=tables.users.assign(plan="free"))


@harmless("1% of the listeners move to another country")
def moving(tables):
    country = tables.users["country"].copy()
    country.iloc[:30] = country.iloc[30:60].to_numpy()
    return replace(tables, users=tables.users.assign(country=country))


@harmless("3% of the ages forgotten")
def forgotten_ages(tables):
    band = tables.users["age_band"].copy()
    band.iloc[::33] = ""
    return replace(tables, users=tables.users.assign(age_band=band))


@harmless("growth: 15% more plays in the newest week")
def growth(tables):
    late = tables.events[tables.newest(7)].iloc[::7]
    late = late.assign(timestamp=late["timestamp"] - pd.Timedelta(minutes=11))
    return replace(tables, events=pd.concat([tables.events, late], ignore_index=True))


@harmless("clocks go forward by an hour in the newest week")
def summer_time(tables):
    shifted = tables.events["timestamp"] - pd.Timedelta(hours=1)
    return tables.changed(timestamp=tables.events["timestamp"].where(~tables.newest(7), shifted))


@harmless("a tag renamed")
def renamed_tag(tables):
    tags = [
        ["jazzy" if tag.strip() == "jazz" else tag for tag in (row or "").split("|")]
        for row in tables.items["tags"].fillna("")
    ]
    return replace(tables, items=tables.items.assign(tags=tags))


@harmless("listeners are 10% more active")
def more_active(tables):
    more = tables.events.iloc[::10].assign(
        timestamp=tables.events["timestamp"].iloc[::10] - pd.Timedelta(minutes=3)
    )
    return replace(tables, events=pd.concat([tables.events, more], ignore_index=True))


def curated(tables: Tables, folder: Path, as_of: pd.Timestamp):
    for name in ("events", "items", "users"):
        getattr(tables, name).to_parquet(folder / f"{name}.parquet", index=False)
    data = DataSettings(
        **{
            name: TableSource(path=str(folder / f"{name}.parquet"))
            for name in ("events", "items", "users")
        }
    )
    window = resolve_window(WindowSettings(train_days=90, test_days=14), as_of.isoformat(), NOW)
    with redirect_stdout(StringIO()):
        report = curate(data, window, CurationSettings(), folder / "dataset")
    return folder / "dataset", window, report


@cache
def live_profile(seed: int = 7) -> DataProfile:
    """That of the model that was trained a week before, on the clean tables."""
    with tempfile.TemporaryDirectory() as folder:
        dataset, window, _ = curated(clean_tables(seed), Path(folder), TODAY - pd.Timedelta(days=7))
        features = Path(folder) / "features"
        transform(dataset, window, INPUTS, features)
        profile = Features.read(features).data_profile
    assert profile is not None
    return profile


def verdict_of(change: Change, seed: int = 7, policy: DataPolicy = DEFAULT) -> DataVerdict:
    """The verdict on the clean tables with a change."""
    with tempfile.TemporaryDirectory() as folder:
        dataset, window, report = curated(change(clean_tables(seed)), Path(folder), TODAY)
        return judge_data(dataset, window, report, INPUTS, live_profile(seed), policy, NOW)


def named(verdict: DataVerdict, rule: str) -> str:
    """The outcome of the rule of that name, "" where it passes or does not apply."""
    outcomes = [
        r.outcome for r in verdict.reasons if r.rule.startswith(rule) and r.outcome != "pass"
    ]
    return "stop" if "stop" in outcomes else outcomes[0] if outcomes else ""
