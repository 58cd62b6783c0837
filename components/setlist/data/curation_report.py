"""What a curation read, removed and kept, for people and machines."""

import pydantic

from setlist.data.events import RuleCount
from setlist.printable import markdown


class RejectedExample(pydantic.BaseModel, extra="forbid", frozen=True):
    """The first row that a rule rejected.

    Attributes:
        row: its number and values, as the file holds them.
        remedy: what mends it.
    """

    row: str
    remedy: str


class DayCount(pydantic.BaseModel, extra="forbid", frozen=True):
    """The events of one UTC day of the window.

    Attributes:
        day: as in 2026-05-01.
        events: rows that are kept.
        duplicates: rows that are rejected as exact duplicates.
    """

    day: str
    events: int
    duplicates: int


class CurationReport(pydantic.BaseModel, extra="forbid", frozen=True):
    """The counts of a curation.

    The rows read are those of `train`, `test`, `excluded`, `rejected`, `outside`, `below_support`.

    Attributes:
        window: as `Window.to_json` returns it.
        counts: "read", then one for each rule in order, then "training period" and "test period".
        read, train, test: rows of events.
        excluded: rows of listeners and items of `data.exclude`.
        rejected: rows by reason, including the reasons without rows.
        outside: rows outside the window.
        below_support: rows of the training period whose item or user is too rare.
        unknown_users: users of the dataset that the users table lacks.
        items, users: rows of the two tables written.
        items_table, users_table: whether there are such tables in the source.
        examples: the first row of each reason that rejected any.
        days: of the window, in order; days without rows are left out.
        latest: the instant of the latest event that is not rejected, of any period; ISO text.
        notes: sentences on the tables of items and users.
    """

    window: dict[str, str]
    counts: list[RuleCount]
    read: int
    train: int
    test: int
    excluded: int = 0
    rejected: dict[str, int]
    outside: int
    below_support: int
    unknown_users: int
    items: int
    users: int
    items_table: bool = True
    users_table: bool = True
    examples: dict[str, RejectedExample] = {}
    days: list[DayCount] = []
    latest: str = ""
    notes: list[str]

    def markdown(self) -> str:
        """The report as a page of Markdown."""
        lines = [
            "# Curation",
            "",
            f"Training period {self.window['start']} to {self.window['cut']}, "
            f"test period to {self.window['end']} (each without its end).",
            "",
            "| after | events | users | items | removed | |",
            "|---|--:|--:|--:|--:|---|",
            *(
                f"| {count.rule} | {count.rows:,} | {count.users:,} | {count.items:,} "
                f"| {count.removed:,} | {count.fate or ''} |"
                for count in self.counts
            ),
            "",
            *([f"Excluded: {self.excluded:,} events.", ""] if self.excluded else []),
            f"Rejected: {sum(self.rejected.values()):,} events (rejected.parquet).",
            "",
            *(f"- {reason}: {rows:,}" for reason, rows in self.rejected.items()),
            "",
            "Notes:",
            "",
            *(f"- {markdown(note)}" for note in self.notes),
        ]
        return "\n".join(lines) + "\n"
