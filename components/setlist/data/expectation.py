"""What a team expects of its tables: types, vocabularies, ranges and shares of missing values.

`setlist data infer` writes the document from tables that are known to be right; the team reviews
and commits it, and the policy names it (`data.expected`). Later tables are held to it by the gate
for data.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from setlist.data.distributions import MAX_VALUES
from setlist.section import Section, text_fault

MIN_DISTINCT_NUMBERS = 20
"""A column with fewer distinct numbers is a category, such as a number of stars."""
MISSING_SLACK = 0.05
"""How much larger than today the share of missing values may become."""
MAX_COLUMNS, MAX_TAGS = 1_000, 100_000
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ExpectedColumn(Section):
    """What the values of a column may be.

    Attributes:
        kind: a category has `values`, a number `low` and `high`, text neither.
        missing: the largest share of rows without a value.
    """

    kind: Literal["category", "number", "text"]
    values: list[str] = Field([], max_length=MAX_VALUES)
    """All that a category may have."""
    low: float = 0
    """The least number."""
    high: float = 0
    """The greatest number."""
    missing: Share

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self

    @classmethod
    def infer(cls, values: pd.Series) -> Self:
        """What a column holds now, with some slack for missing values.

        Args:
            values: text, "" where a value is missing.
        """
        given = values[values != ""]
        missing = min(1.0, round(1 - len(given) / max(len(values), 1) + MISSING_SLACK, 3))
        distinct = given.drop_duplicates()
        numbers = pd.to_numeric(distinct, errors="coerce")
        if len(distinct) >= MIN_DISTINCT_NUMBERS and np.isfinite(numbers).all():
            low, high = float(numbers.min()), float(numbers.max())
            return cls(kind="number", low=low, high=high, missing=missing)
        if len(distinct) <= MAX_VALUES and not any(map(text_fault, distinct)):
            return cls(kind="category", values=sorted(map(str, distinct)), missing=missing)
        return cls(kind="text", missing=missing)

    def unexpected(self, values: pd.Series) -> pd.Series:
        """The values that are not expected, with the rows that they stand in.

        Args:
            values: text, "" where a value is missing; a missing value is never unexpected.
        """
        given = values[values != ""]
        if self.kind == "text":
            return given.iloc[:0]
        if self.kind == "category":
            return given[~given.isin(self.values)]
        numbers = pd.to_numeric(given, errors="coerce")
        return given[~numbers.between(self.low, self.high)]


class Expected(Section):
    """The document.

    Attributes:
        users: by the name of a column of the users table.
        tags: all tags that items have; [] expects nothing.
    """

    users: dict[str, ExpectedColumn] = Field({}, max_length=MAX_COLUMNS)
    tags: list[str] = Field([], max_length=MAX_TAGS)

    @classmethod
    def infer(cls, users: pd.DataFrame, items: pd.DataFrame) -> Self:
        """What curated tables hold now."""
        columns = users.columns.drop("user_id")
        tags = items["tags"].explode().dropna().drop_duplicates()
        return cls(
            # A name or a tag that no document may hold is not expected, so the gate will name it.
            users={
                str(name): ExpectedColumn.infer(users[name])
                for name in columns
                if not text_fault(str(name))
            },
            tags=sorted(tag for tag in map(str, tags) if not text_fault(tag)),
        )

    def shares(
        self, users: pd.DataFrame, items: pd.DataFrame
    ) -> Iterator[tuple[str, float, str, str]]:
        """Each column with the share of rows that are not as expected, an example and a remedy.

        The share is 1 for a column that is not there.
        """
        for name, column in self.users.items():
            if name not in users.columns:
                yield name, 1.0, f"the users table has no column {name}", "load the column"
                continue
            values = users[name]
            odd = column.unexpected(values)
            example = f", such as {odd.iloc[0]!r}" if len(odd) else ""
            allowed = (
                f"{column.low:g} to {column.high:g}"
                if column.kind == "number"
                else f"{len(column.values)} known values"
            )
            yield (
                name,
                len(odd) / max(len(values), 1),
                f"{len(odd):,} of {len(values):,} users have a {name} outside {allowed}{example}",
                f"correct {name}, or add the new values to policy.data.expected",
            )
            missing = float((values == "").mean()) if len(values) else 1.0
            yield (
                f"missing {name}",
                max(0.0, missing - column.missing),
                f"{missing:.1%} of the users have no {name}, and {column.missing:.1%} are expected",
                f"see whether {name} is filled",
            )
        if self.tags:
            tags = items["tags"].explode().dropna()
            odd = tags[~tags.isin(self.tags)]
            example = f", such as {odd.iloc[0]!r}" if len(odd) else ""
            yield (
                "tags",
                len(odd) / max(len(tags), 1),
                f"{len(odd):,} of {len(tags):,} tags of items are not expected{example}",
                "correct the tags, or add the new ones to policy.data.expected",
            )
