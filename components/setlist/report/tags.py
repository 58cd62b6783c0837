"""What the lists consist of by tag: for all listeners, and for the groups of one slice.

A share is the share of list positions whose item carries the tag. For groups of listeners, such as
countries, each group has a tag of its own: the tag that distinguishes its plays from those of the
other groups. It is computed from the plays, so nobody has to say which tags name regions.
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
from setlist.report.untrusted_text import TAG_LENGTH, VALUE_LENGTH, clip

TAGS_SHOWN = 12
"""How many tags are shown: those whose share the learned models change most."""
GROUPS_COMPARED = 6
"""How many groups of a slice are compared, the largest first."""
MIN_DISTINCTION = 0.1
"""A slice is shown if its groups play their own tags by this share more than the other groups do,
on average."""
MIN_MISMATCH = 0.05
"""A tag is pointed out if a model lists it for a group by this share more than the group plays."""
TEST_PLAYS_LABEL = "plays in the test period"


@dataclass(frozen=True)
class TagShares:
    """Shares of tags in the training plays and in every model's lists.

    Attributes:
        tags: their names, in the order of all shares.
        hidden: how many further tags there are.
    """

    tags: list[str]
    plays: list[float]
    models: dict[str, list[float]]
    hidden: int


@dataclass(frozen=True)
class TagMismatch:
    """The tag that a model lists too often for a group: its share in the lists and in the plays."""

    group: str
    tag: str
    listed: float
    played: float


@dataclass(frozen=True)
class TagMatrix:
    """The shares of every group's own tag in the lists of every group.

    Attributes:
        label: of the model, or `TEST_PLAYS_LABEL`.
        shares: [groups][tags].
        own_share: mean share of a group's own tag.
        mismatch: the largest one; None if it is below `MIN_MISMATCH`.
    """

    label: str
    shares: list[list[float]]
    own_share: float
    mismatch: TagMismatch | None


@dataclass(frozen=True)
class GroupTags:
    """The groups of a slice, the tag of each, and a matrix of the plays and of every model."""

    slice: str
    groups: list[str]
    tags: list[str]
    matrices: list[TagMatrix]


class Tags:
    """The tags of all items, as a sparse table.

    Attributes:
        names: of the tags.
        table: float64[items, tags], 1 where the item carries the tag.
    """

    def __init__(self, tags: Sequence[Sequence[str]]) -> None:
        """Encode the tags of each item; a tag that an item names twice counts once."""
        tag_sets = [sorted(set(item_tags)) for item_tags in tags]
        lengths = [len(tag_set) for tag_set in tag_sets]
        flat = [tag for tag_set in tag_sets for tag in tag_set]
        codes, names = pd.factorize(pd.Series(flat, dtype="str"), sort=True)
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        size = (len(tags), len(names))
        self.names = [str(name) for name in names]
        self.table = csr_array((np.ones(len(codes)), codes, starts), shape=size)

    def shares(self, items: Int32s) -> Float64s:
        """float64[tags]: the share of items that carry each tag.

        Args:
            items: codes in any shape, with repetitions; below 0 is no item.
        """
        return self.weighted(np.bincount(items[items >= 0].ravel(), minlength=self.table.shape[0]))

    def weighted(self, counts: npt.NDArray[np.integer]) -> Float64s:
        """float64[tags]: the share of counts [items] that falls on items with each tag."""
        shares: Float64s = counts @ self.table / max(counts.sum(), 1)
        return shares

    def compare(
        self,
        plays: Int64s,
        tops: Mapping[str, Int32s],
        learned: Sequence[str],
    ) -> TagShares:
        """Compare the tags of every model's lists with those of the training plays.

        Args:
            plays: int64[items], of the training period.
            tops: int32[listeners, k] of every model; codes below 0 are no items.
            learned: the labels of the models whose changes decide which tags are shown; the first
                decides their order.
        """
        before = self.weighted(plays)
        after = {label: self.shares(top) for label, top in tops.items()}
        change = np.max([abs(after[label] - before) for label in learned], axis=0)
        changed_most = np.argsort(-change, kind="stable")[:TAGS_SHOWN]
        gain = (after[learned[0]] - before)[changed_most]
        order = changed_most[np.argsort(-gain, kind="stable")]
        return TagShares(
            tags=[clip(self.names[tag], TAG_LENGTH) for tag in order],
            plays=before[order].tolist(),
            models={label: shares[order].tolist() for label, shares in after.items()},
            hidden=len(self.names) - len(order),
        )

    def by_group(
        self,
        users: pd.DataFrame,
        slices: Sequence[str],
        truth: pd.DataFrame,
        tops: Mapping[str, Int32s],
    ) -> GroupTags | None:
        """Find the slice whose groups differ most in the tags they play, and compare the models.

        Args:
            users: of the evaluation.
            slices: its columns that group listeners.
            truth: user and item, the plays of the test period.
            tops: int32[listeners, k] of every model; codes below 0 are no items.

        Returns:
            None if no slice has two groups that are told apart by `MIN_DISTINCTION`.
        """
        players = truth["user"].to_numpy()
        items = truth["item"].to_numpy()
        best, best_slice = MIN_DISTINCTION, None
        for name in slices:
            values = users[name].to_numpy()
            counts = users.loc[users[name] != "", name].value_counts()
            sizes = counts[counts >= MIN_LISTENERS]
            groups = sorted(sizes.index, key=lambda value: (-sizes[value], value))[:GROUPS_COMPARED]
            # Every group needs a tag of its own, so there may not be more groups than tags.
            if name == LISTENER_SLICE or not 2 <= len(groups) <= len(self.names):
                continue
            members = [values == group for group in groups]
            played = np.stack([self.shares(items[rows[players]]) for rows in members])
            others = (played.sum(axis=0) - played) / (len(groups) - 1)
            # The assignment gives each group one tag, no tag twice, so that together the groups
            # play their tags more than the others do by as much as possible.
            _, tags = linear_sum_assignment(played - others, maximize=True)
            distinction = float((played - others)[np.arange(len(groups)), tags].mean())
            if distinction >= best:
                best, best_slice = distinction, (name, groups, members, tags, played[:, tags])
        if best_slice is None:
            return None
        name, groups, members, tags, played = best_slice
        shares = {TEST_PLAYS_LABEL: played} | {
            label: np.stack([self.shares(top[rows])[tags] for rows in members])
            for label, top in tops.items()
        }
        group_names = [clip(group, VALUE_LENGTH) for group in groups]
        tag_names = [clip(self.names[tag], TAG_LENGTH) for tag in tags]
        matrices = [
            _matrix(label, listed, played, group_names, tag_names)
            for label, listed in shares.items()
        ]
        return GroupTags(name, group_names, tag_names, matrices)


def _matrix(
    label: str, listed: Float64s, played: Float64s, groups: Sequence[str], tags: Sequence[str]
) -> TagMatrix:
    excess = listed - played
    np.fill_diagonal(excess, -np.inf)  # a group may have as much of its own tag as the model likes
    group, tag = divmod(int(excess.argmax()), len(tags))
    mismatch = TagMismatch(
        groups[group], tags[tag], float(listed[group, tag]), float(played[group, tag])
    )
    return TagMatrix(
        label=label,
        shares=listed.tolist(),
        own_share=float(np.diagonal(listed).mean()),
        mismatch=mismatch if excess[group, tag] >= MIN_MISMATCH else None,
    )
