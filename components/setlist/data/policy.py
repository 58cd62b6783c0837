"""The policy for data: the bounds above which a run warns about its tables, or stops."""

from typing import Annotated, Any, Literal, Self

import pydantic

from setlist.data.expectation import Expected
from setlist.section import Section

RejectionReason = Literal[
    "missing id", "bad timestamp", "bad weight", "unknown item", "exact duplicate", "bot"
]
"""Why curation rejects a row; a misspelt reason in a policy would bound nothing."""
Share = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]


class Bound(Section):
    """A share above `warn` is reported, and a share above `stop` ends the run; 1 is never reached.

    Attributes:
        warn: from 0 to 1; `stop` where it is left out.
        stop: from 0 to 1.
    """

    warn: Share = 1
    stop: Share = 1

    @pydantic.model_validator(mode="before")
    @classmethod
    def _stop_alone(cls, document: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if isinstance(document, dict) and "stop" in document and "warn" not in document:
            return document | {"warn": document["stop"]}
        return document

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn > self.stop:
            raise ValueError(f"warn ({self.warn}) is above stop ({self.stop})")
        return self


class DriftBounds(Section):
    """How far the newest week may be from what the live model was trained on.

    A distance counts when it is above its bound here and above the distances of the past weeks, as
    many of them as the false-alarm rate needs.

    Attributes:
        categories: L-infinity distance, the largest difference of a share.
        numbers: Jensen-Shannon distance of the shares of bins.
        false_alarms: the rate of false alarms of one distribution. A rate of 0.05 needs 19 past
            weeks; with fewer weeks, drift only warns.
    """

    categories: Bound = Bound(warn=0.1, stop=0.3)
    numbers: Bound = Bound(warn=0.15, stop=0.4)
    false_alarms: float = pydantic.Field(0.05, gt=0, lt=1)


class ServingBounds(Section):
    """How far the requests to a model may be from its training and from the tables.

    Attributes:
        categories: L-infinity distance of the values of an input, requests against training.
        numbers: Jensen-Shannon distance of length and age of the histories, requests against
            training; wider than for drift, because listeners who come to the page play more.
        unmatched: listeners with a history in the request and no event in the tables.
        inputs: listeners whose input is another in the request than in the table of users.
        plays: plays of a listener that are in the request or in the tables, but not in both.
        histories: listeners of whose plays most are others in the request than in the tables.
        newest: listeners whose newest play in the tables is not in the request.
        order: neighbouring plays that the request has in another order than the tables.
        ages: plays whose age is another in the request than by the tables.
    """

    categories: Bound = Bound(warn=0.1, stop=0.3)
    numbers: Bound = Bound(warn=0.3, stop=0.6)
    unmatched: Bound = Bound(warn=0.2, stop=0.9)
    inputs: Bound = Bound(warn=0.01, stop=0.1)
    plays: Bound = Bound(warn=0.1, stop=0.5)
    histories: Bound = Bound(warn=0.05, stop=0.5)
    newest: Bound = Bound(warn=0.1, stop=0.5)
    order: Bound = Bound(warn=0.01, stop=0.1)
    ages: Bound = Bound(warn=0.05, stop=0.5)


class DataPolicy(Section):
    """What the tables of a run have to fulfil before a model is trained on them."""

    rejected: Bound = pydantic.Field(
        Bound(warn=0.01, stop=0.05), description="rejected rows of all rows of events"
    )
    rejected_for: dict[RejectionReason, Bound] = pydantic.Field(
        {"bad timestamp": Bound(warn=0.001, stop=0.01)},
        description="rows rejected for one reason, of all rows",
    )
    unknown_listeners: Bound = pydantic.Field(
        Bound(warn=0.05, stop=0.5),
        description="listeners of the events who are not in the table of users",
    )
    missing_values: Bound = pydantic.Field(
        Bound(warn=0.2, stop=0.98), description="listeners without a value, of each input"
    )
    distinct_values: Bound = pydantic.Field(
        Bound(warn=0.2, stop=1),
        description="distinct values of an input for each listener who has a value",
    )
    distinct_tags: Bound = pydantic.Field(
        Bound(warn=0.5, stop=1), description="tags that only one item has, of all tags"
    )
    missing_titles: Bound = pydantic.Field(
        Bound(warn=0.5, stop=1),
        description="items without a title, where there is a table of items",
    )
    missing_days: Bound = pydantic.Field(
        Bound(warn=0, stop=0.9),
        description="days of the window with less than a tenth of the events of their weekday",
    )
    doubled_days: Bound = pydantic.Field(
        Bound(warn=0, stop=0.1), description="days of which at least 40% of the rows are duplicates"
    )
    lost_volume: Bound = pydantic.Field(
        Bound(warn=0.5, stop=0.9),
        description="events that the newest week lacks, of those of the median week",
    )
    gained_volume: Bound = pydantic.Field(
        Bound(warn=0.5, stop=1),
        description="events of the newest week beyond those of the median week, of all its events",
    )
    new_items: Bound = pydantic.Field(
        Bound(warn=0.3, stop=0.8),
        description="events of the newest week on items that no earlier event has, beyond the "
        "share in the week before",
    )
    new_listeners: Bound = pydantic.Field(
        Bound(warn=0.3, stop=0.8),
        description="listeners of the newest week who have no earlier event, beyond the share in "
        "the week before",
    )
    lost_ids: Bound = pydantic.Field(
        Bound(warn=0.5, stop=0.95),
        description="ids that the live model was trained on and the tables do not have",
    )
    drift: DriftBounds = DriftBounds()
    serving: ServingBounds = ServingBounds()
    expected: Expected = pydantic.Field(
        Expected(),
        description="types, vocabularies, ranges and missing values, as `setlist data infer` "
        "writes them: a section, or the path of a file",
    )
    unexpected: Bound = pydantic.Field(
        Bound(warn=0, stop=0.05), description="rows that are not as `expected`, of each column"
    )
