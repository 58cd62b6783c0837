"""Faults of a service that asks a model, and harmless habits, on the sample's tables of today.

The requests are made here from the raw tables, row by row, and not by the transformation: what a
service would send that reads the same rows. `tests/benchmarks/data_gate.py` prints the table of
docs/explanation/data-gate.md.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from prometheus_client import CollectorRegistry
from tests.cases.data_faults import INPUTS, TODAY, clean_tables, curated

from setlist.data.features import Features
from setlist.data.policy import ServingBounds
from setlist.data.transformation import transform, transform_whole
from setlist.data.verdict import DataVerdict
from setlist.models.contract import ModelInfo
from setlist.models.profile import Profile, profile_of
from setlist.models.worker.query import RankedList
from setlist.serving.log_reader import last_requests
from setlist.serving.matched_skew import matched_skew
from setlist.serving.request_log import LoggedList, RequestLog
from setlist.serving.skew import find_skew

LENGTH = 50
"""Plays of a history that the model reads."""
MODEL = ModelInfo(
    name="m", kind="two_tower", catalogue_size=1, history_length=LENGTH,
    inputs=(*INPUTS, "history_age_days"), training_window={}, code_version="0",
)  # fmt: skip
LISTENERS = 400
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Request:
    """What a service sends for a listener; ages in days, the history oldest first."""

    user: str
    time: pd.Timestamp
    history: tuple[str, ...]
    ages: tuple[float, ...]
    inputs: dict[str, str]

    def entry(self) -> LoggedList:
        """What the server logs of it: the history is cut to what the model reads."""
        return LoggedList(
            request_id=f"of {self.user}",
            listener=self.user,
            name="home",
            revision=1,
            role="live",
            k=1,
            history=list(self.history[-LENGTH:]),
            ages=list(self.ages[-LENGTH:]),
            inputs=self.inputs,
            exclude=[],
            ranked=RankedList(["P0001"], [1.0]),
            time=self.time.timestamp(),
        )


Sending = Callable[[list[Request]], list[Request]]
SERVING_FAULTS: dict[str, tuple[Sending, str]] = {}
SERVING_HABITS: dict[str, Sending] = {}


def fault(name: str, rule: str) -> Callable[[Sending], Sending]:
    """Keep a fault: its name, and the rule that has to name it."""

    def keep(sending: Sending) -> Sending:
        SERVING_FAULTS[name] = (sending, rule)
        return sending

    return keep


def habit(name: str) -> Callable[[Sending], Sending]:
    """Keep a harmless habit."""

    def keep(sending: Sending) -> Sending:
        SERVING_HABITS[name] = sending
        return sending

    return keep


@cache
def right_requests() -> tuple[Request, ...]:
    """One request each of listeners who played in the last month, on the last day of the tables."""
    tables = clean_tables()
    rng = np.random.default_rng(5)
    recent = tables.events[tables.newest(30)]["user_id"].unique()
    chosen = sorted(rng.choice(np.sort(recent), LISTENERS, replace=False))
    users = tables.users.set_index("user_id").fillna("")
    start = TODAY - 104 * DAY
    requests = []
    for user, plays in tables.events[tables.events["user_id"].isin(chosen)].groupby("user_id"):
        time = TODAY - pd.Timedelta(hours=float(rng.uniform(0.1, 12)))
        before = plays[(plays["timestamp"] < time) & (plays["timestamp"] >= start)]
        before = before.sort_values(["timestamp", "item_id"])
        ages = (time - before["timestamp"]) / DAY
        requests.append(
            Request(
                str(user),
                time,
                tuple(before["item_id"]),
                tuple(ages),
                {name: str(users.at[user, name]) for name in INPUTS},
            )
        )
    return tuple(requests)


@cache
def features_of_all_days() -> Features:
    """What the transformation makes of the tables of today."""
    with tempfile.TemporaryDirectory() as folder:
        dataset, window, _ = curated(clean_tables(), Path(folder), TODAY)
        transform_whole(dataset, window, INPUTS, Path(folder) / "features")
        return Features.read(Path(folder) / "features")


@cache
def live_model_profile() -> tuple[Profile, tuple[str, ...]]:
    """Of a model that was trained a week before; and its catalogue."""
    with tempfile.TemporaryDirectory() as folder:
        dataset, window, _ = curated(clean_tables(), Path(folder), TODAY - 7 * DAY)
        transform(dataset, window, INPUTS, Path(folder) / "features")
        features = Features.read(Path(folder) / "features")
    return profile_of(features, MODEL), tuple(features.items["item_id"])


def verdict_of_sending(sending: Sending, to: Path) -> DataVerdict:
    """The verdict on requests that are sent in that way, through the log of the server."""
    log = RequestLog(str(to), 1.0, CollectorRegistry())
    log.start()
    for request in sending(list(right_requests())):
        log.put(request.entry())
    log.stop()
    profile, catalogue = live_model_profile()
    bounds = ServingBounds()
    report = find_skew(str(to), "home", 1, profile, catalogue, bounds)
    requests = last_requests(str(to), "home", 1, None)
    reasons = matched_skew(requests, features_of_all_days(), MODEL, bounds)
    return DataVerdict.of([*(feature.reason for feature in report.features), *reasons])


def _inputs(requests: list[Request], **values: Callable[[str], str]) -> list[Request]:
    return [
        replace(
            each, inputs={name: values.get(name, str)(value) for name, value in each.inputs.items()}
        )
        for each in requests
    ]


@fault("an input absent in serving", "sent country")
def absent_input(requests):
    return [replace(each, inputs={"age_band": each.inputs["age_band"]}) for each in requests]


@fault("country codes in lower case in serving", "sent country")
def lower_case(requests):
    return _inputs(requests, country=str.lower)


@fault("a fifth of the listeners with the country of another", "sent country")
def mixed_up(requests):
    return [
        replace(each, inputs=each.inputs | {"country": requests[place - 1].inputs["country"]})
        if place % 5 == 0
        else each
        for place, each in enumerate(requests)
    ]


@fault("a default age band where it is not known", "sent age_band")
def default_value(requests):
    return _inputs(requests, age_band=lambda value: value or "25-34")


@fault("histories cut at 5 plays", "sent plays")
def cut_histories(requests):
    return [replace(each, history=each.history[-5:], ages=each.ages[-5:]) for each in requests]


@fault("histories of distinct items", "sent plays")
def distinct_items(requests):
    changed = []
    for each in requests:
        last = dict(zip(each.history, each.ages, strict=True))
        order = sorted(last, key=lambda item: -last[item])
        ages = tuple(last[item] for item in order)
        changed.append(replace(each, history=tuple(order), ages=ages))
    return changed


@fault("histories without the last two days", "newest plays")
def late_histories(requests):
    changed = []
    for each in requests:
        kept = sum(age > 2 for age in each.ages)
        changed.append(replace(each, history=each.history[:kept], ages=each.ages[:kept]))
    return changed


@fault("item ids hashed in serving", "sent plays")
def hashed_items(requests):
    return [replace(each, history=tuple("h" + item for item in each.history)) for each in requests]


@fault("listener ids hashed in serving", "matched ids")
def hashed_listeners(requests):
    return [replace(each, user="h" + each.user) for each in requests]


@fault("histories newest first, with their ages", "sent order")
def newest_first(requests):
    # The server cuts the end that it takes for the newest; short histories stay whole.
    return [
        replace(each, history=each.history[-LENGTH:][::-1], ages=each.ages[-LENGTH:][::-1])
        for each in requests
    ]


@fault("histories in the order of ids", "sent order")
def by_id(requests):
    changed = []
    for each in requests:
        pairs = sorted(zip(each.history[-LENGTH:], each.ages[-LENGTH:], strict=True))
        items, ages = zip(*pairs, strict=True)
        changed.append(replace(each, history=items, ages=ages))
    return changed


@fault("ages in hours", "sent ages")
def hours(requests):
    return [replace(each, ages=tuple(24 * age for age in each.ages)) for each in requests]


@fault("ages by the clock of another zone, two hours off", "sent ages")
def zone(requests):
    return [replace(each, ages=tuple(age + 2 / 24 for age in each.ages)) for each in requests]


@fault("ages an hour off, as when clocks change", "sent ages")
def an_hour(requests):
    return [replace(each, ages=tuple(age + 1 / 24 for age in each.ages)) for each in requests]


@fault("ages of half of the requests missing", "sent ages")
def no_ages(requests):
    return [replace(each, ages=()) if place % 2 else each for place, each in enumerate(requests)]


@fault("one listener in ten with the history of another", "sent histories")
def mixed_histories(requests):
    return [
        replace(each, history=requests[place - 1].history, ages=requests[place - 1].ages)
        if place % 10 == 0
        else each
        for place, each in enumerate(requests)
    ]


@fault("ages counted from the newest play", "sent ages")
def from_newest(requests):
    return [
        replace(each, ages=tuple(age - each.ages[-1] for age in each.ages)) if each.ages else each
        for each in requests
    ]


@habit("nothing is wrong")
def right(requests):
    return requests


@habit("only the most active listeners come")
def most_active(requests):
    return sorted(requests, key=lambda each: len(each.history))[LISTENERS // 2 :]


@habit("a tenth of the newest plays are replays that are not in the history yet")
def replays(requests):
    """Listeners whose plays are all of one item have it less often, not in another order."""
    return [
        replace(each, history=each.history[:-1], ages=each.ages[:-1])
        if each.history[-1:] and each.history[-1] in each.history[:-1] and place % 10 == 0
        else each
        for place, each in enumerate(requests)
    ]


@habit("clocks differ by ten seconds")
def clocks(requests):
    return [replace(each, ages=tuple(age + 10 / 86_400 for age in each.ages)) for each in requests]


@habit("the newest play is not in the history yet for one listener in twenty")
def lag(requests):
    return [
        replace(each, history=each.history[:-1], ages=each.ages[:-1]) if place % 20 == 0 else each
        for place, each in enumerate(requests)
    ]


@habit("newcomers without a history")
def newcomers(requests):
    new = [replace(each, user=f"new {each.user}", history=(), ages=()) for each in requests[:100]]
    return requests + new


@habit("two listeners in 400 have moved today")
def moved(requests):
    return [
        replace(each, inputs=each.inputs | {"country": "NO"}) if place < 2 else each
        for place, each in enumerate(requests)
    ]
