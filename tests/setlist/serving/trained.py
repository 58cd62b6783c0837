"""Listeners of a training period, and the requests that they send."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tests.setlist.serving.models import WINDOW

from setlist.data.features import Features
from setlist.models.worker.query import RankedList
from setlist.serving.request_log import LoggedList

NOON = 1_780_000_000.0
SHARES = {"Chile": 0.5, "Japan": 0.3, "Sweden": 0.2}


@dataclass(frozen=True)
class Listener:
    """Who plays items called MARK-00000 to MARK-00059, oldest first."""

    name: str
    country: str
    history: list[str]
    ages: list[float]

    def entry(self, **other) -> LoggedList:
        """What the server logs of her request."""
        said = {
            "request_id": f"of {self.name}",
            "listener": self.name,
            "name": "home",
            "revision": 1,
            "role": "live",
            "k": 2,
            "history": self.history[-50:],
            "ages": self.ages[-50:],
            "inputs": {"country": self.country},
            "exclude": [],
            "ranked": RankedList(["r1-00001"], [1.0]),
            "time": NOON,
        }
        return LoggedList(**said | other)

    def body(self) -> dict[str, object]:
        """Her request."""
        pairs = zip(self.history, self.ages, strict=True)
        return {
            "listener": self.name,
            "history": [{"item": item, "age_days": age} for item, age in pairs],
            "inputs": {"country": self.country},
            "k": 2,
        }


def listeners(number: int, mark: str = "r1") -> list[Listener]:
    """The same ones every time; histories of 1 to 80 plays, most of them short."""
    rng = np.random.default_rng(3)
    found = []
    for one in range(number):
        plays = int(np.exp(rng.uniform(0, np.log(81))))
        ages = np.sort(rng.exponential(4) + rng.exponential(20, plays))[::-1].astype(np.float32)
        found.append(
            Listener(
                name=f"u{one:05}",
                country=str(rng.choice(list(SHARES), p=list(SHARES.values()))),
                history=[f"{mark}-{item:05d}" for item in rng.integers(0, 60, plays)],
                ages=ages.tolist(),
            )
        )
    return found


def features_of(trained: list[Listener]) -> Features:
    """What a model would be fitted on; the items are not looked at."""
    plays = [(user, 0, age) for user, one in enumerate(trained) for age in one.ages]
    users = pd.DataFrame(
        {"user_id": [one.name for one in trained], "country": [one.country for one in trained]}
    )
    return Features(
        items=pd.DataFrame({"item_id": []}),
        users=users,
        newcomers=users[:0],
        plays=pd.DataFrame(plays, columns=["user", "item", "age_days"]),
        window=WINDOW,
        inputs=("country",),
    )
