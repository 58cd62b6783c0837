"""The words in which the SQL of DuckDB and that of Spark differ, one function each.

Everything else in the statements of this package means the same to both: integers, comparisons,
joins, `case`, `count`, `sum` of integers, `min`, `max`, `min_by` without ties, `row_number` over a
total order, `lag`, `coalesce`, `substr`, `cast` of integers, `sqrt` and quotients of doubles, and
their `cast` to float32. Statements keep to that: no order without a rule for ties and for NULL, no
float sums, no dates (instants are microseconds), no engine's own hash or sample.
"""

from dataclasses import dataclass
from typing import Literal

EngineName = Literal["duckdb", "spark"]


@dataclass(frozen=True)
class Dialect:
    """The expressions of one engine; every argument is an expression, too."""

    engine: EngineName

    def _choose(self, duckdb: str, spark: str) -> str:
        return duckdb if self.engine == "duckdb" else spark

    def sha256(self, text: str) -> str:
        """The SHA-256 of a text as 64 lower-case hex digits."""
        return self._choose(f"sha256({text})", f"sha2({text}, 256)")

    def div(self, dividend: str, divisor: int) -> str:
        """A quotient of integers, cut towards zero; the dividends here are never negative."""
        return self._choose(f"(({dividend}) // {divisor})", f"(({dividend}) div {divisor})")

    def ratio(self, dividend: str, divisor: int) -> str:
        """A quotient of integers as a double."""
        return f"(cast({dividend} as double) / cast({divisor} as double))"

    def micros(self, timestamp: str) -> str:
        """A timestamp of a Parquet file as microseconds since 1970."""
        return self._choose(f"epoch_us({timestamp})", f"unix_micros({timestamp})")

    def instant(self, micros: str) -> str:
        """Microseconds since 1970 as text, such as 2026-05-01T05:00:00.000000Z."""
        return self._choose(
            f"strftime(make_timestamp({micros}), '%Y-%m-%dT%H:%M:%S.%fZ')",
            f"date_format(timestamp_micros({micros}), \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\")",
        )

    def each(self, values: str) -> str:
        """A row for each value of a list; none for an empty list."""
        return self._choose(f"unnest({values})", f"explode({values})")

    def no_texts(self) -> str:
        """An empty list of texts."""
        return self._choose("cast([] as varchar[])", "cast(array() as array<string>)")

    def gathered(self, value: str) -> str:
        """The values of a group as a list, in any order."""
        return self._choose(f"list({value})", f"collect_list({value})")

    def pair(self, first: str, second: str) -> str:
        """Two values as one, which is ordered by the first, then by the second."""
        return self._choose(f"row({first}, {second})", f"struct({first}, {second})")

    def real(self, value: float) -> str:
        """A literal double, exactly; `inf` too."""
        return f"cast('{float(value)!r}' as double)"

    def text(self, value: str) -> str:
        """A literal."""
        quoted = value.replace("'", "''")
        # Spark reads a backslash as the beginning of an escape.
        return self._choose(f"'{quoted}'", "'" + quoted.replace("\\", "\\\\") + "'")

    def name(self, name: str) -> str:
        """A column whose name is a user's."""
        return self._choose(
            '"' + name.replace('"', '""') + '"', "`" + name.replace("`", "``") + "`"
        )
