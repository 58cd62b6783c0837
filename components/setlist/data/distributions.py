"""Distributions over weeks: the shares of values or bins, and how far two of them are apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import rel_entr

from setlist.arrays import Float64s, Int64s

MAX_VALUES = 200
"""Rarer values of a category count together as one."""
REST = ""
"""The bin of the rarer values; no value has this name, because "" stands for a missing value."""

Kind = Literal["categories", "numbers"]
Share = Annotated[float, Field(ge=0, le=1.000001, allow_inf_nan=False)]


class Distribution(BaseModel):
    """The shares of values, or of bins in order, in the mean of the weeks.

    Attributes:
        kind: `categories` are compared by the largest difference, `numbers` by Jensen-Shannon.
        shares: by value or bin; REST holds all rarer values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    shares: dict[str, Share] = Field(max_length=MAX_VALUES + 1)


@dataclass(frozen=True)
class WeeklyCounts:
    """Counts of the values of one quantity in every week.

    Attributes:
        kind: how two of its distributions are compared.
        names: of the bins.
        counts: int64[weeks, bins], the newest week last.
    """

    kind: Kind
    names: tuple[str, ...]
    counts: Int64s

    def shares(self) -> Float64s:
        """float64[weeks, bins]: each week adds up to 1; a week without any value is NaN."""
        total = self.counts.sum(1, keepdims=True)
        return np.divide(
            self.counts, total, out=np.full(self.counts.shape, np.nan), where=total > 0
        )

    def distribution(self) -> Distribution:
        """The mean of the weeks."""
        shares = self.shares()
        weeks = shares[~np.isnan(shares).any(axis=1)]
        mean = weeks.mean(axis=0) if len(weeks) else np.zeros(len(self.names))
        return Distribution(kind=self.kind, shares=_named(self.names, mean))


def distance(first: Distribution, second: Distribution) -> tuple[float, str]:
    """How far two distributions of one kind are apart, from 0 to 1, and the bin that differs most.

    L-infinity for categories: the largest difference of a share. Jensen-Shannon distance for
    numbers: the root of the Jensen-Shannon divergence in bits (J. Lin, Divergence measures based on
    the Shannon entropy, 1991; Endres and Schindelin, 2003).
    """
    names = sorted(first.shares.keys() | second.shares.keys())
    p, q = (np.array([side.shares.get(name, 0.0) for name in names]) for side in (first, second))
    if not p.sum() or not q.sum():
        return (0.0 if p.sum() == q.sum() else 1.0), ""
    return float(distances(first.kind, p, q)), names[int(np.abs(p - q).argmax())]


def distances(kind: Kind, p: Float64s, q: Float64s) -> Float64s:
    """float64[...]: the distance of p from q, both float64[..., bins]; see `distance`."""
    if kind == "categories":
        return np.asarray(np.abs(p - q).max(axis=-1))
    middle = (p + q) / 2
    nats = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1) / 2
    return np.asarray(np.sqrt(np.maximum(nats / np.log(2), 0.0)))


def past_distances(counts: WeeklyCounts) -> list[float]:
    """The distance of each past week from the mean of the weeks before it, oldest first.

    The newest week and the first four, which have too few before them, are left out.
    """
    shares = counts.shares()
    distances = []
    for week in range(4, len(shares) - 1):
        before = shares[:week][~np.isnan(shares[:week]).any(axis=1)]
        if np.isnan(shares[week]).any() or not len(before):
            continue
        mean, this = (
            Distribution(kind=counts.kind, shares=_named(counts.names, values))
            for values in (before.mean(axis=0), shares[week])
        )
        distances.append(distance(mean, this)[0])
    return distances


def newest(counts: WeeklyCounts) -> Distribution:
    """The newest week."""
    return Distribution(
        kind=counts.kind, shares=_named(counts.names, np.nan_to_num(counts.shares()[-1]))
    )


def _named(names: Iterable[str], shares: Float64s) -> dict[str, float]:
    return {name: float(share) for name, share in zip(names, shares, strict=True)}
