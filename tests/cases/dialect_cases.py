"""What each word of `setlist.data.dialect` makes of values, the same on every engine."""

from collections.abc import Callable, Iterator
from math import inf

from setlist.data.dialect import Dialect

SHA_OF_A = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
ODD = 'od`d "name'


def _first_of_pairs(*pairs: tuple[float, int]) -> Callable[[Dialect], str]:
    """The second value of the largest pair."""

    def expression(d: Dialect) -> str:
        rows = " union all ".join(f"select {d.real(a)} as a, {b} as b" for a, b in pairs)
        return (
            "b from (select b, row_number() over (order by "
            f"{d.pair('a', 'b')} desc) as place from ({rows}) t) r where place = 1"
        )

    return expression


DIALECT_CASES: dict[str, tuple[Callable[[Dialect], str], object]] = {
    "sha256": (lambda d: d.sha256("'a'"), SHA_OF_A),
    "sha256 of letters beyond ASCII": (
        lambda d: d.sha256(d.text("é🎵")),
        "0f78105c4242ab7577e55bfe0e75d5cc8af7c7f9b255ae8aa8b34f5dda76c2e2",
    ),
    "sha256 of NULL": (lambda d: d.sha256("cast(null as varchar(1))"), None),
    "div": (lambda d: d.div("7", 2), 3),
    "div of an instant": (lambda d: d.div("1777593600000000", 86_400_000_000), 20_574),
    "div of an expression": (lambda d: d.div("3 + 4", 2), 3),
    "div of NULL": (lambda d: d.div("cast(null as bigint)", 2), None),
    "ratio": (lambda d: d.ratio("1", 3), 1 / 3),
    "ratio of instants": (lambda d: d.ratio("1777593600000001 - 1", 86_400_000_000), 20_574.0),
    "micros": (lambda d: d.micros("timestamp '2026-05-01 00:00:00+00'"), 1_777_593_600_000_000),
    "instant": (lambda d: d.instant("1777593600000001"), "2026-05-01T00:00:00.000001Z"),
    "instant before 2000": (lambda d: d.instant("631152000000000"), "1990-01-01T00:00:00.000000Z"),
    "instant of NULL": (lambda d: d.instant("cast(null as bigint)"), None),
    "text": (lambda d: d.text("it's"), "it's"),
    "text with a backslash": (lambda d: d.text("a\\nb\\"), "a\\nb\\"),
    "text with a percent sign": (lambda d: d.text('%_"x"'), '%_"x"'),
    "text beyond ASCII": (lambda d: d.text("e\u0301 日本 🎵"), "e\u0301 日本 🎵"),
    "empty text": (lambda d: d.text(""), ""),
    "name": (lambda d: f"{d.name(ODD)} from (select 1 as {d.name(ODD)}) t", 1),
    "each": (lambda d: f"count(*) from (select {d.each(_list(d, 'a', 'b'))} as e) t", 2),
    "each of none": (lambda d: f"count(*) from (select {d.each(d.no_texts())} as e) t", 0),
    "gathered": (
        lambda d: (
            f"count(*) from (select {d.each('l')} as e from "
            f"(select {d.gathered('n')} as l from (select 1 as n union all select 1) t) g) s"
        ),
        2,
    ),
    "gathered by group": (
        lambda d: (
            f"sum(e * k) from (select k, {d.each('l')} as e from (select k, "
            f"{d.gathered('n')} as l from (select 1 as k, 2 as n union all select 10, 3) t "
            "group by k) g) s"
        ),
        32,
    ),
    "pair by the first": (_first_of_pairs((0.5, 9), (0.25, 1)), 9),
    "pair by the second": (_first_of_pairs((0.5, -9), (0.5, -1), (0.25, 0)), -1),
    "real": (lambda d: d.real(0.1), 0.1),
    "real of a small number": (lambda d: d.real(1e-7), 1e-7),
    "real without end": (lambda d: f"count(*) from (select 1) t where 1e300 < {d.real(inf)}", 1),
    "cosine as float32": (
        lambda d: "cast(cast(7 / sqrt(cast(11 * 13 as double)) as float) as double)",
        0.5853694081306458,
    ),
    "order of texts": (
        lambda d: f"min(t) from (select {d.text('a')} as t union select {d.text('B')}) u",
        "B",
    ),
    "order of texts beyond ASCII": (
        lambda d: f"max(t) from (select {d.text('é')} as t union select {d.text('🎵')}) u",
        "🎵",
    ),
}
"""An expression, or more of a query, behind `select`; and the one value that it gives."""


def _list(dialect: Dialect, *texts: str) -> str:
    values = ", ".join(map(dialect.text, texts))
    return f"[{values}]" if dialect.engine == "duckdb" else f"array({values})"


def broken_cases(rows: Callable[[str], list[tuple]], dialect: Dialect) -> Iterator[str]:
    """The cases that an engine answers otherwise.

    Args:
        rows: runs a query.
        dialect: of the engine.
    """
    for name, (expression, expected) in DIALECT_CASES.items():
        ((value,),) = rows(f"select {expression(dialect)}")
        if value != expected:
            yield f"{name}: {value!r} instead of {expected!r}"
