"""Tables of strangers: nothing in them is named or written as in the bundled sample.

`python -m tests.strangers FOLDER` writes those of the first steps: orders, articles and clients.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

END = pd.Timestamp("2026-03-31")


@dataclass(frozen=True)
class Stranger:
    """Customers with a taste for two of eight groups of items, so that there is much to learn.

    Attributes:
        plays: user, item (numbers), time, by time.
        groups: of each item.
    """

    plays: pd.DataFrame
    groups: np.ndarray

    @classmethod
    def draw(
        cls, users: int = 60, items: int = 40, days: int = 100, each: int = 20, seed: int = 1
    ) -> "Stranger":
        """So many events a user on average, in so many days."""
        generator = np.random.default_rng(seed)
        appeal, groups = generator.pareto(1.2, items) + 0.2, np.arange(items) % 8
        chosen = []
        for user in range(users):
            weights = appeal * np.where(np.isin(groups, [user % 8, (user * 3 + 1) % 8]), 6.0, 1.0)
            drawn = generator.choice(items, generator.poisson(each) + 2, p=weights / weights.sum())
            chosen.append(pd.DataFrame({"user": user, "item": drawn}))
        plays = pd.concat(chosen, ignore_index=True)
        seconds = (generator.random(len(plays)) * days * 86_400).round()
        plays["time"] = END - pd.to_timedelta(seconds, unit="s")
        return cls(plays.sort_values("time", ignore_index=True), groups)

    @property
    def item_ids(self) -> list[str]:
        """With leading zeros."""
        return [f"{number:05d}" for number in range(len(self.groups))]

    @property
    def user_ids(self) -> list[str]:
        """Numbers without a gap, as a database gives them."""
        return [str(10_001 + number) for number in range(self.plays["user"].max() + 1)]

    def frame(self, user: str, item: str, time: str) -> pd.DataFrame:
        """The events under other names, times in ISO 8601."""
        return pd.DataFrame(
            {
                user: np.array(self.user_ids)[self.plays["user"]],
                item: np.array(self.item_ids)[self.plays["item"]],
                time: self.plays["time"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            }
        )


def shop(folder: Path, stranger: Stranger) -> tuple[Path, Path, Path]:
    """Three tables as a spreadsheet in Germany writes them; their paths."""
    events = stranger.frame("Kunde", "Artikel-Nr", "Zeitpunkt")
    events["Zeitpunkt"] = stranger.plays["time"].dt.strftime("%d.%m.%Y %H:%M:%S")
    events["Weight"] = np.where(stranger.plays["item"] % 2, "1,0", "2,5")
    items = pd.DataFrame(
        {
            "Artikel-Nr": stranger.item_ids,
            "Bezeichnung": [f"Käse Nr. {number}" for number in stranger.item_ids],
            "Warengruppe": [
                f"Gruppe {group}, {'hart' if group % 2 else 'weich'}" for group in stranger.groups
            ],
            "Preis": "3,49",
        }
    )
    users = pd.DataFrame({"Kunde": stranger.user_ids})
    users["Bundesland"] = np.array(["Bayern", "Hessen", "Thüringen"])[np.arange(len(users)) % 3]
    users["E-Mail"] = users["Kunde"] + "@example.org"
    paths = folder / "einkaeufe.csv", folder / "artikel.csv", folder / "kunden.csv"
    for table, path in zip((events, items, users), paths, strict=True):
        table.to_csv(path, sep=";", index=False, encoding="windows-1252")
    return paths


def orders(folder: Path, stranger: Stranger) -> tuple[Path, Path, Path]:
    """Three tables of an American shop; their paths."""
    events = stranger.frame("client_no", "article_no", "purchased")
    events["purchased"] = stranger.plays["time"].dt.strftime("%m/%d/%Y %H:%M")
    events.insert(0, "order_no", np.arange(len(events)) + 70_000)
    events["price"] = 9.99
    items = pd.DataFrame({"article_no": stranger.item_ids})
    items["description"] = "thing " + items["article_no"]
    items["department"] = [f"department {group}" for group in stranger.groups]
    users = pd.DataFrame({"client_no": stranger.user_ids})
    users["county"] = np.array(["Essex", "Kent", "Surrey"])[np.arange(len(users)) % 3]
    paths = folder / "orders.csv", folder / "articles.csv", folder / "clients.csv"
    for table, path in zip((events, items, users), paths, strict=True):
        table.to_csv(path, index=False)
    return paths


if __name__ == "__main__":
    orders(Path(sys.argv[1]), Stranger.draw(users=1_500, items=400))
