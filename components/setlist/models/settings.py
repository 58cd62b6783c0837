"""The sections of the settings file on models; reading them needs no TensorFlow."""

from collections.abc import Collection
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from setlist.plugins import HEURISTICS, TRAINERS, Plugins
from setlist.section import MAX_NAMES, MOST_DAYS, Section

BuiltInHeuristic = Literal[
    "most_popular",
    "recently_popular",
    "popular_by_segment",
    "relisten",
    "co_visited",
    "spectral",
    "item_item",
    "ials",
]
TWO_TOWER = "two_tower"
"""The trainer of this project; every other one is an entry point of an installed package."""

MOST_PLAYS = 20_000_000
"""Memory grows with it: 9 million plays of 490,000 listeners took 3.9 GB of training."""

MOST = 10**12
"""Of plays, listeners and items: more than any service has."""
Days = Annotated[float, Field(gt=0, le=MOST_DAYS)]

# A double, as which Kubeflow carries a number, holds each whole number up to here.
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Scalar = bool | Whole | float | str
Option = Scalar | Annotated[list[Scalar], Field(max_length=1_000)]
"""A setting of a stranger's function: Kubeflow carries no null, so none can be."""


def _known(plugins: Plugins, built_in: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if sentence := plugins.unknown(name, built_in):
            raise ValueError(sentence)
        return name

    return AfterValidator(check)


class HeuristicSettings(Section):
    """The `heuristics` section of the settings file."""

    fit: tuple[Annotated[str, _known(HEURISTICS, get_args(BuiltInHeuristic))], ...] = Field(
        (), max_length=MAX_NAMES
    )
    """Rules and learners: built-in names and entry points (`setlist.plugins`); empty for all
    built-in ones that the data allow."""
    recent_days: Days | None = None
    """How many of the newest days of training `recently_popular` counts. Left out, they are chosen
    on held-out plays, of 7, 28, 91 and 364, none longer than the training period."""
    segment: str = ""
    """The users' column of `popular_by_segment`; "" for the first of `inputs`."""
    neighbours: int = Field(default=100, ge=1, le=100_000)
    """How many neighbours of each item `co_visited` keeps."""
    most_plays: int = Field(default=MOST_PLAYS, ge=1, le=MOST)
    """As `model.most_plays`, for the learners among them, and where `recent_days` are chosen."""


class ModelSettings(Section):
    """The `model` section of the settings file."""

    trainer: Annotated[str, _known(TRAINERS, [TWO_TOWER])] = TWO_TOWER
    """What trains the model: "two_tower", or an entry point (`setlist.plugins`), which reads
    `options` and any other setting that it has a use for."""
    options: dict[str, Option] = Field(default={}, max_length=MAX_NAMES)
    """The settings of a trainer that is not ours, as it documents them."""
    dimension: int | None = Field(default=None, ge=1, le=16_384)
    """Length of the vectors: the longest one where training starts from the spectral model, the
    only one where it starts from iALS. Left out, both are tried up to 128."""
    epochs: int = Field(default=60, ge=1, le=100_000)
    """At most; training stops when the plays that are held out are ranked no better."""
    patience: int = Field(default=3, ge=1, le=100_000)
    """After how many such epochs; each is undone, and the next one takes a quarter of the rate."""
    most_plays: int = Field(default=MOST_PLAYS, ge=1, le=MOST)
    """Where the training period has more, a fixed share of the listeners is learnt from, so that
    they have about so many; memory grows with it."""
    epoch_listeners: int = Field(default=100_000, ge=1, le=MOST)
    """The most listeners of an epoch; where there are more, each epoch draws its own."""
    batch: int | None = Field(default=None, ge=1, le=1_000_000)
    """Listeners in a batch; left out, it grows with their number (16 to 256)."""
    history_length: int = Field(default=200, ge=1, le=100_000)
    """How many of the newest plays of a listener the model reads."""
    learning_rate: float = Field(default=0.01, gt=0, le=100)
    """Of the first epoch."""
    recency_days: tuple[Days, ...] = Field(default=(3.0, 30.0), max_length=MAX_NAMES)
    """Half-lives of the recency in the prior, which is fitted on the held-out plays; an
    empty list for no prior."""
    approximate_items: int | None = Field(default=None, ge=1, le=MOST)
    """Beyond so many items the served lists are retrieved approximately; left out: never."""
    seed: int = Field(default=1, ge=0, lt=2**32)
    """Of all random numbers of the training."""
