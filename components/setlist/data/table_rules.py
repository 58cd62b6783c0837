"""Rules for data that look at rows and tables: rejections, ids, inputs, items, expectations."""

from collections.abc import Iterator

import pandas as pd

from setlist.data.case import MIN_LISTENERS, DataCase, conclude
from setlist.data.profile import IdColumn
from setlist.data.remedies import guess_separator
from setlist.data.verdict import DataReason


def rejections(case: DataCase) -> Iterator[DataReason]:
    """The rows that curation rejected, in sum and for each reason."""
    read = case.report.read - case.report.excluded
    if not read:
        return
    rows = case.report.rejected
    total = sum(rows.values())
    worst = max(rows, key=lambda reason: rows[reason]) if total else ""
    example = case.report.examples.get(worst)
    sentence = f"{total:,} of {read:,} events ({total / read:.1%}) are rejected"
    if example:
        sentence += f", most for {worst}: {example.row}"
    yield conclude(
        "rejected rows",
        total / read,
        case.policy.rejected,
        "rejected",
        sentence,
        example.remedy if example else "",
    )
    for reason, bound in case.policy.rejected_for.items():
        # The rule for bots is named with its bound, such as "bot (more than 500 a day)".
        rule = next((rule for rule in rows if rule.startswith(reason)), "")
        if not (number := rows.get(rule, 0)):
            continue
        shown = case.report.examples[rule]
        yield conclude(
            f"rejected for {reason}",
            number / read,
            bound,
            f"rejected_for.{reason}",
            f"{number:,} of {read:,} events ({number / read:.1%}) are rejected for {reason}: "
            f"{shown.row}",
            shown.remedy,
        )
    latest = pd.Timestamp(case.report.latest) if case.report.latest else case.now
    if latest > case.now + pd.Timedelta(days=1):
        yield DataReason(
            rule="future events",
            outcome="warn",
            value=float((latest - case.now) / pd.Timedelta(days=1)),
            bound=1,
            sentence=f"the latest event is dated {latest.isoformat()}, which is in the future",
            remedy="see timestamp_unit, and the clocks of the devices that log plays",
        )


def ids(case: DataCase) -> Iterator[DataReason]:
    """Ids that have to be the same in two tables, and in the data of the live model."""
    listeners = case.weeks.listeners()
    if case.report.unknown_users and case.report.users_table:
        in_table = case.users["user_id"]
        unknown = sorted(set(listeners) - set(in_table))
        if unknown:
            example = repr(in_table.iloc[0]) if len(in_table) else "no row"
            yield conclude(
                "unknown listeners",
                len(unknown) / len(listeners),
                case.policy.unknown_listeners,
                "unknown_listeners",
                f"{len(unknown):,} of {len(listeners):,} listeners of the events are not in "
                f"the table of users, such as {unknown[0]!r}",
                f"see whether both tables use the same ids (the table of users has {example})",
            )
    if not case.live or pd.Timestamp(case.live.end) <= case.window.start:
        return
    columns: tuple[tuple[str, IdColumn, list[str]], ...] = (
        ("listeners", "user_id", case.live.listeners),
        ("items", "item_id", case.live.items),
    )
    for name, column, sketched in columns:
        if len(sketched) >= MIN_LISTENERS:
            lost = 1 - case.weeks.sketched(column, sketched) / len(sketched)
            yield conclude(
                f"lost {name}",
                lost,
                case.policy.lost_ids,
                "lost_ids",
                f"{lost:.0%} of the {name} that the live model was trained on are not in the data",
                "see whether ids are hashed or counted in another way now",
            )


def inputs(case: DataCase) -> Iterator[DataReason]:
    """Inputs that nobody has, that are different for everybody, or that differ in case."""
    users = case.users.set_index("user_id")
    active = case.weeks.listeners()
    if len(active) < MIN_LISTENERS:
        return
    for name in case.names:
        if name not in users.columns:
            continue
        values = users[name].reindex(active).fillna("")
        given = values[values != ""]
        missing = 1 - len(given) / len(values)
        yield conclude(
            f"missing {name}",
            missing,
            case.policy.missing_values,
            "missing_values",
            f"no listener has a {name}"
            if missing == 1
            else f"{missing:.1%} of the listeners have no {name}",
            "see whether the ids of both tables match, and whether the column is filled, or "
            f"take {name} out of inputs",
        )
        if not len(given):
            continue
        distinct = given.nunique() / len(given)
        yield conclude(
            f"values of {name}",
            distinct,
            case.policy.distinct_values,
            "distinct_values",
            f"{name} is different for every listener"
            if distinct == 1
            else f"{name} has {given.nunique():,} values for {len(given):,} listeners, such as "
            f"{given.iloc[0]!r}",
            f"bin {name} before it comes here, or take it out of inputs",
        )
        folded = given.str.casefold()
        spellings = given.groupby(folded).nunique()
        if (spellings > 1).any():
            value = str(spellings.index[spellings.to_numpy() > 1][0])
            pair = sorted(given[folded == value].unique())[:2]
            yield DataReason(
                rule=f"spelling of {name}",
                outcome="warn",
                value=float((spellings > 1).mean()),
                bound=0,
                sentence=f"{name} has values that differ in case only, such as {pair[0]!r} and "
                f"{pair[1]!r}",
                remedy="write them alike: they are two values for a model",
            )
        if given.nunique() == 1 and len(given) == len(values):
            yield DataReason(
                rule=f"constant {name}",
                outcome="warn",
                value=1,
                bound=1,
                sentence=f"{name} is {given.iloc[0]!r} for every listener",
                remedy=f"see where {name} comes from, or take it out of inputs",
            )


def items(case: DataCase) -> Iterator[DataReason]:
    """Tags that say nothing, and items without a title."""
    items = case.items
    counts = items["tags"].explode().dropna().value_counts()
    if len(counts):
        single = counts.index[counts.to_numpy() == 1]
        share = len(single) / len(counts)
        separator = guess_separator(counts.index.to_series(), share=0.5)
        remedy = f'set tags_separator: "{separator}"' if separator else "see tags_separator"
        yield conclude(
            "distinct tags",
            share if len(items) >= MIN_LISTENERS else 0.0,
            case.policy.distinct_tags,
            "distinct_tags",
            f"{len(single):,} of {len(counts):,} tags are of one item only"
            + (f", such as {single[0]!r}" if len(single) else ""),
            remedy,
        )
    if case.report.items_table and len(items) >= MIN_LISTENERS:
        untitled = float((items["title"] == items["item_id"]).mean())
        yield conclude(
            "missing titles",
            untitled,
            case.policy.missing_titles,
            "missing_titles",
            f"{untitled:.1%} of {len(items):,} items have no title",
            "name the column of titles, like columns: {title: NAME}",
        )


def expectations(case: DataCase) -> Iterator[DataReason]:
    """Columns and tags against what the team expects of them."""
    expected = case.policy.expected.shares(case.users, case.items)
    for name, share, sentence, remedy in expected:
        yield conclude(
            f"expected {name}", share, case.policy.unexpected, "unexpected", sentence, remedy
        )
