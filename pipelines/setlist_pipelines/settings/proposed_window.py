"""Which days a first run should look at, told from when the listeners of a table played."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

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
                listener = pd.util.hash_array(key_text(part["user_id"]).to_numpy()[known])
                day = micros[known] // DAY_MICROSECONDS
                frame = pd.DataFrame({"listener": listener, "day": day})
                pairs.append(frame.value_counts(sort=False).rename("plays").reset_index())
                held += len(pairs[-1])
        if not ends:
            return None
        first, last = (pd.Timestamp(end, unit="us") for end in (min(ends), max(ends)))
        return cls(first, last, pd.concat(pairs, ignore_index=True), complete)

    @property
    def end(self) -> pd.Timestamp:
        """The first midnight after the last event."""
        return self.last.floor("D") + pd.Timedelta(days=1)

    def tested(self, days: int) -> int:
        """The listeners who played in the last so many days."""
        begin = (self.end - pd.Timestamp(0)).days - days
        return int(self.pairs.loc[self.pairs["day"] >= begin, "listener"].nunique())

    def window(self) -> tuple[int, int]:
        """Days to train on and days to hold out, so that enough listeners are held out."""
        span = (self.last - self.first).days
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

    def events_per_day(self) -> int | None:
        """The bound above which a listener is a bot, where the usual one would take people for it.

        The next power of ten that no day of the table reaches.
        """
        usual = CurationSettings().max_events_per_day
        busy = self.pairs[self.pairs["plays"] > usual]
        if busy["listener"].nunique() < PEOPLE_SHARE * self.pairs["listener"].nunique():
            return None
        if busy.empty:
            return None
        # The day of the cut counts as two, and may be two files' as well.
        return int(10 ** np.ceil(np.log10(2 * busy["plays"].max())))
