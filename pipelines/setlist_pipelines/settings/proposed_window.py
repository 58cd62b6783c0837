"""Which days a first run should look at, told from when the listeners of a table played."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from setlist.data.curation import TEST_DAYS, TRAIN_DAYS, CurationSettings
from setlist.data.keys import key_text
from setlist.data.source import TableSource, read_parts

DAY_MICROSECONDS = 86_400 * 10**6
MOST_PAIRS = 5_000_000
"""Of listeners and days. A table that has more has enough of both in the usual window."""
ENOUGH_LISTENERS, ENOUGH_SHARE = 300, 0.25
"""In the test period, so many or this share of all: fewer settle no margin of a few per cent."""
PEOPLE_SHARE = 0.01
"""Where so many of the listeners have a day that looks like a bot's, people enter much at once."""

FEW_SHARE, FAR_DAYS = 0.001, 60
"""Such a share of the events, behind so many days without any, has wrong dates."""


@dataclass(frozen=True)
class Activity:
    """Who played on which day.

    Attributes:
        first, last: the instants of the first and the last event.
        pairs: one row a listener and day of a file: listener (a hash), day since 1970, plays.
        complete: whether `pairs` holds all of them.
    """

    first: pd.Timestamp
    last: pd.Timestamp
    pairs: pd.DataFrame
    complete: bool

    @classmethod
    def read(cls, source: TableSource) -> "Activity | None":
        """Read all rows: files are often sorted, so the first say nothing about the end.

        Returns:
            None where no time can be read.
        """
        ends: list[int] = []
        pairs: list[pd.DataFrame] = []
        held, complete = 0, True
        with read_parts(
            source, required=("user_id", "timestamp"), optional=(), say=lambda _: None
        ) as parts:
            for part in parts:
                micros, known = source.instants(part["timestamp"])
                if not known.any():
                    continue
                ends += [int(micros[known].min()), int(micros[known].max())]
                complete = complete and held < MOST_PAIRS
                if not complete:
                    continue
                frame = pd.DataFrame(
                    {
                        "listener": _hashes(key_text(part["user_id"]))[known],
                        "day": micros[known] // DAY_MICROSECONDS,
                    }
                )
                pairs.append(frame.value_counts(sort=False).rename("plays").reset_index())
                held += len(pairs[-1])
        if not ends:
            return None
        first, last = (pd.Timestamp(end, unit="us") for end in (min(ends), max(ends)))
        return cls(first, last, pd.concat(pairs, ignore_index=True), complete)

    @cached_property
    def end(self) -> pd.Timestamp:
        """The first midnight after the last event; a few that lie far behind all others are none.

        A wrong clock or a typing error gives dates such as 2099; the window would hold these alone.
        """
        if not self.complete:
            return self.last.floor("D") + pd.Timedelta(days=1)
        plays = self.pairs.groupby("day")["plays"].sum()
        days = plays.index.to_numpy()
        few = plays[::-1].cumsum()[::-1].to_numpy()[1:] <= FEW_SHARE * plays.sum()
        cuts = np.flatnonzero((np.diff(days) > FAR_DAYS) & few)
        last = days[cuts[0]] if len(cuts) else days[-1]
        return pd.Timestamp(0) + pd.Timedelta(days=int(last) + 1)

    @property
    def late(self) -> int:
        """The events behind the end."""
        day = (self.end - pd.Timestamp(0)).days
        return int(self.pairs.loc[self.pairs["day"] >= day, "plays"].sum()) if self.complete else 0

    def tested(self, days: int) -> int:
        """The listeners who played in the last so many days."""
        end = (self.end - pd.Timestamp(0)).days
        return int(
            self.pairs.loc[self.pairs["day"].between(end - days, end - 1), "listener"].nunique()
        )

    def with_history(self, train: int, test: int) -> int:
        """The listeners who played in the last `test` days and in the `train` days before."""
        cut = (self.end - pd.Timestamp(0)).days - test
        day = self.pairs["day"]
        before = self.pairs.loc[day.between(cut - train, cut - 1), "listener"]
        then = self.pairs.loc[day.between(cut, cut + test - 1), "listener"]
        return len(np.intersect1d(before, then))

    def window(self) -> tuple[int, int]:
        """Days to train on and days to hold out, so that enough listeners are held out."""
        span = (min(self.last, self.end) - self.first).days
        # Of a short table the last fifth, so that both periods have events.
        train, test = TRAIN_DAYS, int(np.clip(span // 5, 1, TEST_DAYS))
        if not self.complete:
            return train, test
        wanted = min(ENOUGH_LISTENERS, ENOUGH_SHARE * self.pairs["listener"].nunique())
        while self.tested(test) < wanted and train + test < span:
            train, test = train * 2, test * 2
        if train + test > span >= TRAIN_DAYS + TEST_DAYS:
            test = min(test, span // 5)
            train = span + 1 - test
        return train, test

    @cached_property
    def busy(self) -> pd.DataFrame:
        """The pairs that look like a bot's under the usual bound."""
        return self.pairs[self.pairs["plays"] > CurationSettings().max_events_per_day]

    @property
    def busy_are_people(self) -> bool:
        """Whether so many listeners have a day that looks like a bot's that they are none."""
        few = PEOPLE_SHARE * self.pairs["listener"].nunique()
        return not self.busy.empty and self.busy["listener"].nunique() >= few

    @property
    def rejected(self) -> float:
        """The share of all events that the usual bound for bots rejects."""
        return float(self.busy["plays"].sum() / self.pairs["plays"].sum())

    @property
    def events_per_day(self) -> int:
        """The next power of ten that no day of the table reaches, as a bound for bots."""
        # The day of the cut counts as two, and may be two files' as well.
        return int(10 ** np.ceil(np.log10(2 * self.pairs["plays"].max())))


def _hashes(ids: pa.ChunkedArray) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """uint64[rows]: equal for equal ids, in any file."""
    encoded = ids.combine_chunks().dictionary_encode()
    texts = np.array(["", *encoded.dictionary.to_pylist()], dtype=object)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1
    hashed: np.ndarray[tuple[int], np.dtype[np.uint64]] = pd.util.hash_array(texts)[codes]
    return hashed
