"""What the lists are made of, by tag: for everybody, and for listeners of one place beside another.

A share is that of the positions whose item carries the tag. A place is any group of listeners of
one slice, such as a country; its own tag is the one that sets what it plays apart from what the
others play, so no one has to say which tags name regions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from setlist.arrays import Float64s, Int32s, Int64s
from setlist.evaluation.results import LISTENER_SLICE
from setlist.evaluation.statistics import MIN_LISTENERS
from setlist.report.listeners import TAG, VALUE, clip

MOST = 12
"""How many tags are shown, those whose share the learned models change most."""
PLACES = 6
"""How many groups of listeners are shown beside each other, the largest first."""
APART = 0.1
"""By how much, on average, a place has to play its own tag more than others do, to be shown."""
ASTRAY = 0.05
"""By how much a place has to get more of another's tag than it plays, to be pointed out."""
PLAYED = "what they went on to play"


@dataclass(frozen=True)
class TagShares:
    """Shares by tag, of the plays in training and of the lists of every model."""

    tags: list[str]
    plays: list[float]
    models: dict[str, list[float]]
    unshown: int


@dataclass(frozen=True)
class Square:
    """What the listeners of each place get (rows) of the tag of each place (columns).

    Attributes:
        label: of the model, or `PLAYED`.
        shares: [places][places].
        own: mean share of a place's own tag.
        astray: (place, tag, share, share that they play) of what is most out of place; None where
            nothing is, by `ASTRAY`.
    """

    label: str
    shares: list[list[float]]
    own: float
    astray: tuple[str, str, float, float] | None


@dataclass(frozen=True)
class Places:
    """Places by the tag that is theirs, one square a model, that of the plays first."""

    name: str
    places: list[str]
    tags: list[str]
    squares: list[Square]


class Tags:
    """The tags of a catalogue."""

    def __init__(self, tags: Sequence[Sequence[str]]) -> None:
        """Code the tags of each item."""
        lengths = [len(set(own)) for own in tags]
        flat = [tag for own in tags for tag in sorted(set(own))]
        codes, names = pd.factorize(pd.Series(flat, dtype="str"), sort=True)
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        size = (len(tags), len(names))
        self.names = [str(name) for name in names]
        self.table = csr_array((np.ones(len(codes)), codes, starts), shape=size)

    def shares(self, items: Int32s) -> Float64s:
        """float64[tags]: the share of the items, which may repeat, that carry each tag."""
        return self.weighted(np.bincount(items[items >= 0].ravel(), minlength=self.table.shape[0]))

    def weighted(self, counts: npt.NDArray[np.integer]) -> Float64s:
        """The same of counts [items]."""
        found: Float64s = counts @ self.table / max(counts.sum(), 1)
        return found

    def compare(
        self,
        plays: Int64s,
        tops: Mapping[str, Int32s],
        learned: Sequence[str],
    ) -> TagShares:
        """What every model shows, beside what was played in training.

        Args:
            plays: int64[items], of the training period.
            tops: the lists of every model, codes below 0 are no items.
            learned: the labels whose changes choose the tags; by the first they are ordered.
        """
        before = self.weighted(plays)
        after = {label: self.shares(top) for label, top in tops.items()}
        moved = np.max([abs(after[label] - before) for label in learned], axis=0)
        most = np.argsort(-moved, kind="stable")[:MOST]
        gain = (after[learned[0]] - before)[most]
        order = most[np.argsort(-gain, kind="stable")]
        return TagShares(
            tags=[clip(self.names[tag], TAG) for tag in order],
            plays=before[order].tolist(),
            models={label: shares[order].tolist() for label, shares in after.items()},
            unshown=len(self.names) - len(order),
        )

    def places(
        self,
        users: pd.DataFrame,
        slices: Sequence[str],
        truth: pd.DataFrame,
        tops: Mapping[str, Int32s],
    ) -> Places | None:
        """The slice whose listeners differ most in the tags that they play, and what they get.

        None where no slice has two groups that `APART` tells from each other.

        Args:
            users: of the evaluation.
            slices: its columns that group listeners.
            truth: user and item, what was played in the test period.
            tops: the lists of every model, codes below 0 are no items.
        """
        best, found = APART, None
        for name in slices:
            values = users[name].to_numpy()
            counts = users.loc[users[name] != "", name].value_counts()
            sizes = counts[counts >= MIN_LISTENERS]
            groups = sorted(sizes.index, key=lambda value: (-sizes[value], value))[:PLACES]
            if name == LISTENER_SLICE or not 2 <= len(groups) <= len(self.names):
                continue
            rows = [values == group for group in groups]
            players = truth["user"].to_numpy()
            items = truth["item"].to_numpy()
            played = np.stack([self.shares(items[own[players]]) for own in rows])
            others = (played.sum(axis=0) - played) / (len(groups) - 1)
            _, tags = linear_sum_assignment(played - others, maximize=True)
            apart = float((played - others)[np.arange(len(groups)), tags].mean())
            if apart >= best:
                best, found = apart, (name, groups, rows, tags, played[:, tags])
        if found is None:
            return None
        name, groups, rows, tags, played = found
        shares = {PLAYED: played} | {
            label: np.stack([self.shares(top[own])[tags] for own in rows])
            for label, top in tops.items()
        }
        places = [clip(group, VALUE) for group in groups]
        theirs = [clip(self.names[tag], TAG) for tag in tags]
        squares = [_square(label, table, played, places, theirs) for label, table in shares.items()]
        return Places(name, places, theirs, squares)


def _square(
    label: str, table: Float64s, played: Float64s, places: Sequence[str], tags: Sequence[str]
) -> Square:
    foreign = table - played
    np.fill_diagonal(foreign, -np.inf)
    place, tag = divmod(int(foreign.argmax()), len(tags))
    most = places[place], tags[tag], float(table[place, tag]), float(played[place, tag])
    return Square(
        label=label,
        shares=table.tolist(),
        own=float(np.diagonal(table).mean()),
        astray=most if foreign[place, tag] >= ASTRAY else None,
    )
