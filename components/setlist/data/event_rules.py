"""The rules that decide which events are kept, as SQL on an engine.

Nothing at or after the cutoff decides which events are trained on: a rule looks at a single row, at
rows of the same instant, or at rows on one side of the cutoff.

The tables, in the order in which they are made:

    staged    the events as they were read; see `setlist.data.events.STAGED_EVENTS`
    listener_codes, item_codes   user_id or item_id; code: a number in the order of the ids;
                                 excluded; known: whether the items table has it
    judged    place, u, i (codes or NULL), time, weight, rule: of the rules that look at one row
    plays     u, i, time, place, weight, copies: the rows that these keep, exact duplicates once
    repeated  place, time, of_bot: the other rows of exact duplicates; whether a bot's, too
    ruled     u, i, time, place, weight, rule: the plays under all rules
"""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from setlist.data.curation_report import RejectedExample
from setlist.data.engine import Engine
from setlist.data.events import FILE_ROWS, Fate, RuleCount
from setlist.data.remedies import remedy
from setlist.data.schema import (
    DAY_MICROSECONDS,
    UNBOUNDED_END,
    Window,
    instant,
    instant_microseconds,
)
from setlist.errors import DataError

# Older timestamps are defaults and typing errors: nobody logged plays on a home page then.
EARLIEST_EVENT = pd.Timestamp("1990-01-01", tz="UTC").as_unit("us")
KEPT = 99
"""The rule of an event that no rule removes."""
EXCLUDED_LISTENER, EXCLUDED_ITEM, NO_ID, BAD_TIME, BAD_WEIGHT, UNKNOWN_ITEM = range(1, 7)
DUPLICATE, BOT, OUTSIDE, RARE_ITEM, RARE_LISTENER = range(7, 12)
REJECTED = (NO_ID, BAD_TIME, BAD_WEIGHT, UNKNOWN_ITEM, DUPLICATE, BOT)


@dataclass(frozen=True)
class EventRules:
    """The bounds of the rules, and their names.

    Attributes:
        window: the period of the run.
        max_events_per_day: a listener with more events on one UTC day is a bot.
        min_item_events: a training event stays if its item has at least as many; applied first.
        min_user_events: a training event stays if its listener then has at least as many.
        excluding: whether there is a table of exclusions.
        knowing: whether there is a table of items.
    """

    window: Window
    max_events_per_day: int
    min_item_events: int
    min_user_events: int
    excluding: bool
    knowing: bool

    def names(self) -> dict[int, tuple[str, Fate]]:
        """The rules that apply, in order: the name of each, and what becomes of its rows."""
        names: dict[int, tuple[str, Fate]] = {}
        if self.excluding:
            names[EXCLUDED_LISTENER] = "excluded listener", "excluded"
            names[EXCLUDED_ITEM] = "excluded item", "excluded"
        names[NO_ID] = "missing id", "rejected"
        names[BAD_TIME] = "bad timestamp", "rejected"
        names[BAD_WEIGHT] = "bad weight", "rejected"
        if self.knowing:
            names[UNKNOWN_ITEM] = "unknown item", "rejected"
        names[DUPLICATE] = "exact duplicate", "rejected"
        names[BOT] = f"bot (more than {self.max_events_per_day} a day)", "rejected"
        names[OUTSIDE] = "outside the window", "outside"
        rare = "with fewer than {} in training"
        names[RARE_ITEM] = f"items {rare.format(self.min_item_events)}", "not trained on"
        names[RARE_LISTENER] = f"users {rare.format(self.min_user_events)}", "not trained on"
        return names

    @property
    def training(self) -> str:
        """The condition on `ruled` of the events that are trained on."""
        return f"rule = {KEPT} and time < {instant_microseconds(self.window.cutoff)}"

    @property
    def testing(self) -> str:
        """The condition on `ruled` of the events of the test period."""
        return f"rule = {KEPT} and time >= {instant_microseconds(self.window.cutoff)}"


def apply_rules(engine: Engine, rules: EventRules) -> None:
    """Make the tables above from `staged`, `known_items`, `excluded_listeners`, `excluded_items`.

    The last three have one column, `id`, without repetitions.
    """
    dialect = engine.dialect
    for table, column, known in (
        ("listener_codes", "user_id", ""),
        ("item_codes", "item_id", "known_items"),
    ):
        known_join = f"left join {known} k on s.{column} = k.id" if known else ""
        engine.table(
            table,
            f"""
            select s.{column}, s.code, x.id is not null as excluded,
                   {"k.id is not null" if known else "true"} as known
            from (select {column}, row_number() over (order by {column}) - 1 as code
                  from (select distinct {column} from staged where {column} is not null) d) s
            left join excluded_{"listeners" if column == "user_id" else "items"} x
                   on s.{column} = x.id
            {known_join}
            """,
        )
    earliest, latest = map(instant_microseconds, (EARLIEST_EVENT, UNBOUNDED_END))
    engine.table(
        "judged",
        f"""
        select s.place, l.code as u, i.code as i, s.time, s.weight,
               case when l.excluded then {EXCLUDED_LISTENER}
                    when i.excluded then {EXCLUDED_ITEM}
                    when l.code is null or i.code is null then {NO_ID}
                    when s.time is null or s.time < {earliest} or s.time >= {latest} then {BAD_TIME}
                    when s.weight is null or s.weight <= 0 then {BAD_WEIGHT}
                    when {"not i.known" if rules.knowing else "false"} then {UNKNOWN_ITEM}
                    else {KEPT} end as rule
        from staged s
        left join listener_codes l on s.user_id = l.user_id
        left join item_codes i on s.item_id = i.item_id
        where s.size is null
        """,
    )
    engine.table(
        "plays",
        f"""
        select u, i, time, min(place) as place, min_by(weight, place) as weight, count(*) as copies
        from judged where rule = {KEPT} group by u, i, time
        """,
    )
    cutoff, start, end = map(
        instant_microseconds, (rules.window.cutoff, rules.window.start, rules.window.end)
    )
    # The day of the cutoff counts as two, or plays of the test period could reject those before.
    day = dialect.div("time", DAY_MICROSECONDS)
    half_day = f"2 * {day} + case when time >= {cutoff} then 1 else 0 end"
    engine.table(
        "bots",
        f"""
        select u, half_day from (select u, {half_day} as half_day from plays) p
        group by u, half_day having count(*) > {rules.max_events_per_day}
        """,
    )
    engine.table(
        "repeated",
        f"""
        select j.place, j.time, b.u is not null as of_bot
        from (select *, {half_day} as half_day from judged) j
        join plays p on j.u = p.u and j.i = p.i and j.time = p.time
        left join bots b on j.u = b.u and j.half_day = b.half_day
        where j.rule = {KEPT} and p.copies > 1 and j.place <> p.place
        """,
    )
    engine.table(
        "windowed",
        f"""
        select p.u, p.i, p.time, p.place, p.weight,
               case when b.u is not null then {BOT}
                    when p.time < {start} or p.time >= {end} then {OUTSIDE}
                    else {KEPT} end as rule
        from (select *, {half_day} as half_day from plays) p
        left join bots b on p.u = b.u and p.half_day = b.half_day
        """,
    )
    engine.drop("plays")
    _remove_rare(engine, rules, "i", "windowed", "without_rare_items", RARE_ITEM)
    _remove_rare(engine, rules, "u", "without_rare_items", "ruled", RARE_LISTENER)


def _remove_rare(
    engine: Engine, rules: EventRules, code: str, source: str, target: str, rule: int
) -> None:
    least = rules.min_item_events if rule == RARE_ITEM else rules.min_user_events
    if least == 1:  # an event of the training period gives its item and its listener one
        engine.view(target, f"select * from {source}")
        return
    engine.table(
        target,
        f"""
        select s.u, s.i, s.time, s.place, s.weight,
               case when r.code is not null and {rules.training} then {rule} else s.rule end as rule
        from {source} s
        left join (select {code} as code from {source} where {rules.training}
                   group by {code} having count(*) < {least}) r on s.{code} = r.code
        """,
    )


def count_rules(engine: Engine, rules: EventRules) -> list[RuleCount]:
    """The count of the rows read, one for each rule, then one for each of the two periods."""
    removed = dict(
        engine.rows(
            f"""
            select rule, count(*) from judged where rule < {KEPT} group by rule
            union all select {DUPLICATE}, count(*) from repeated
            union all select rule, count(*) from ruled where rule < {KEPT} group by rule
            """
        )
    )
    rows = engine.rows("select count(*) from judged")[0][0]
    left = {code: _last_rules(engine, code) for code in ("u", "i")}

    def count(name: str, after: int, gone: int = 0, fate: Fate | None = None) -> RuleCount:
        users, items = (
            sum(number for last, number in left[code] if last > after) for code in ("u", "i")
        )
        return RuleCount(rule=name, rows=rows, users=users, items=items, removed=gone, fate=fate)

    counts = [count("read", 0)]
    for rule, (name, fate) in rules.names().items():
        rows -= removed.get(rule, 0)
        counts.append(count(name, rule, removed.get(rule, 0), fate))
    for name, condition in (
        ("training period", rules.training),
        ("test period", rules.testing),
    ):
        ((events, users, items),) = engine.rows(
            f"select count(*), count(distinct u), count(distinct i) from ruled where {condition}"
        )
        counts.append(RuleCount(rule=name, rows=events, users=users, items=items))
    return counts


def _last_rules(engine: Engine, code: str) -> list[tuple[int, int]]:
    """How many listeners or items have their last event removed by which rule, or kept."""
    return engine.rows(
        f"""
        select last, count(*) from (
            select {code}, max(last) as last from (
                select {code}, max(rule) as last from judged
                where rule < {KEPT} and {code} is not null group by {code}
                union all select {code}, max(rule) as last from ruled group by {code}) e
            group by {code}) l
        group by last
        """
    )


def rejected_examples(engine: Engine, rules: EventRules) -> dict[str, RejectedExample]:
    """The first row of each rule that rejects any, by the rule's name, and what mends it."""
    first = engine.rows(
        f"""
        select rule, min(place) from ({_rejected_places()}) r group by rule
        """
    )
    starts = file_starts(engine)
    examples = {}
    for rule, place in sorted(first):
        ((user, item, time, weight, raw_time, raw_weight),) = engine.rows(
            f"""
            select user_id, item_id, {engine.dialect.instant("time")}, weight, raw_time, raw_weight
            from staged where place = {place} and size is null
            """
        )
        row = {
            "user_id": user or "",
            "item_id": item or "",
            "timestamp": time or "" if raw_time is None else raw_time,
            "weight": f"{weight:g}" if raw_weight is None else raw_weight,
        }
        name = rules.names()[rule][0]
        number = starts[place // FILE_ROWS] + place % FILE_ROWS + 1
        values = ", ".join(f"{column} {value!r}" for column, value in row.items())
        examples[name] = RejectedExample(
            row=f"row {number}: {values}"[:300], remedy=remedy(name, row)
        )
    return examples


def _rejected_places() -> str:
    of_one_row = ", ".join(map(str, (NO_ID, BAD_TIME, BAD_WEIGHT, UNKNOWN_ITEM)))
    return f"""
        select place, rule from judged where rule in ({of_one_row})
        union all select place, {DUPLICATE} as rule from repeated
        union all select place, rule from ruled where rule = {BOT}
    """


def rejected_query(engine: Engine, rules: EventRules) -> str:
    """Row (from 1, through all files), the values as text, reason; of every rejected row."""
    dialect = engine.dialect
    reasons = " ".join(
        f"when {rule} then {dialect.text(name)}"
        for rule, (name, fate) in rules.names().items()
        if fate == "rejected"
    )
    starts = " ".join(
        f"when {file} then {start}" for file, start in sorted(file_starts(engine).items())
    )
    return f"""
        select (case {dialect.div("s.place", FILE_ROWS)} {starts} end) + s.place % {FILE_ROWS} + 1
                   as row,
               coalesce(s.user_id, '') as user_id, coalesce(s.item_id, '') as item_id,
               coalesce(s.raw_time, {dialect.instant("s.time")}) as timestamp,
               coalesce(s.raw_weight, '') as weight,
               case r.rule {reasons} end as reason
        from ({_rejected_places()}) r join staged s on r.place = s.place
        where s.size is null
        order by s.place
    """


def file_starts(engine: Engine) -> dict[int, int]:
    """How many rows the files before each file have, by the file's number."""
    sizes = engine.rows(
        f"select {engine.dialect.div('place', FILE_ROWS)}, size from staged where size is not null"
    )
    starts, total = {}, 0
    for file, size in sorted(sizes):
        starts[int(file)] = total
        total += size
    return starts


def refuse_empty(engine: Engine, rules: EventRules, counts: list[RuleCount]) -> None:
    """Raise an error where a step of the rules leaves no event.

    Raises:
        DataError: all rows are rejected, or the window or one of its two periods has no event.
    """
    ((first, last),) = engine.rows(f"select min(time), max(time) from ruled where rule > {BOT}")
    if first is None:
        rejected = {count.rule: count.removed for count in counts if count.fate == "rejected"}
        worst = max(rejected, key=lambda reason: rejected[reason])
        example = rejected_examples(engine, rules).get(worst)
        if example is None:
            raise DataError("events: every row is excluded", "see data.exclude")
        raise DataError(
            f"events: all {counts[0].rows:,} rows are rejected, most often for {worst!r} "
            f"({rejected[worst]:,} rows, the first is {example.row})",
            example.remedy,
        )
    span = " to ".join(instant(micros).isoformat() for micros in (first, last))
    window = rules.window
    cutoff = instant_microseconds(window.cutoff)
    ((train, test),) = engine.rows(
        f"""
        select coalesce(sum(case when time < {cutoff} then 1 else 0 end), 0),
               coalesce(sum(case when time >= {cutoff} then 1 else 0 end), 0)
        from ruled where rule > {OUTSIDE}
        """
    )
    for name, events, start, end in (
        ("window", train + test, window.start, window.end),
        ("training period", train, window.start, window.cutoff),
        ("test period", test, window.cutoff, window.end),
    ):
        if not events:
            raise DataError(
                f"window: no event lies in the {name}, {start.isoformat()} to {end.isoformat()}, "
                f"and the data has {span}",
                "set as_of, split_at, train_days or test_days to fit",
            )
    if not counts[-2].rows:
        raise DataError(
            "curation: min_item_events and min_user_events leave no training event", "lower them"
        )


def id_table(ids: pd.Series | set[str] | pd.Index) -> pa.Table:
    """Ids as a table with one column, `id`, without repetitions."""
    return pa.table({"id": pa.array(sorted(set(ids)), pa.large_string())})
