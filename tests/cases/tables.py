"""Tables as people export them, each with the outcome that is right.

Every case writes its tables and settings into a folder: 120 listeners, 30 items, 50 days, with a
taste for one of three topics. An outcome is one of

    reads    all rows arrive, and the ids and values are those that were meant
    error    one sentence, before anything is trained, that holds all of the words
    stop     the gate for data stops the run with a sentence that holds all of the words
    warn     the gate for data warns with such a sentence, and the run goes on
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

END = pd.Timestamp("2026-05-01", tz="UTC")
LARGE = 2**53 + 1
"""Ids from here on are no float64 any more."""
Outcome = Literal["reads", "error", "stop", "warn"]


@dataclass(frozen=True)
class Case:
    """A folder of tables, and what has to come of it.

    Attributes:
        outcome: see the head of this module.
        words: what the sentence of an error, a stop or a warning has to hold.
        write: writes the tables into a folder and returns the sections of the settings.
        listeners: how many distinct listeners arrive, where the case reads.
        rejected: how many rows are rejected, where the case reads.
        times: whether the times that arrive are those of SMALL.
    """

    name: str
    outcome: Outcome
    words: tuple[str, ...]
    write: Callable[[Path], dict[str, Any]]
    listeners: int = 120
    rejected: int = 0
    times: bool = False

    def settings(self, folder: Path) -> Path:
        """Write the case into the folder; the path of its settings file."""
        folder.mkdir(parents=True, exist_ok=True)
        sections = self.write(folder)
        document = {
            "name": self.name.replace("_", "-"),
            "store": str(folder / "store"),
            "as_of": "2026-05-01",
            "window": {"train_days": 40, "test_days": 10},
            "heuristics": {"fit": ["most_popular"]},
            "model": {"epochs": 1},
        } | sections
        path = folder / "settings.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        return path


CASES: dict[str, Case] = {}


def case(outcome: Outcome, *words: str, **expected: Any) -> Callable[..., Any]:
    """Register a function that writes a case, under its name."""

    def keep(write: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
        CASES[write.__name__] = Case(write.__name__, outcome, words, write, **expected)
        return write

    return keep


@dataclass(frozen=True)
class Plays:
    """The plays of the world, by the numbers of listener and item; ids start where it is said."""

    frame: pd.DataFrame = field(repr=False)

    @classmethod
    def draw(cls, first_user: int = 1, first_item: int = 1) -> "Plays":
        """120 listeners with some twenty plays each."""
        generator = np.random.default_rng(11)
        taste, topic = generator.integers(0, 3, 120), np.arange(30) % 3
        appeal = 1 / np.arange(1, 31) ** 0.6
        rows = []
        for user in range(120):
            weights = appeal * np.where(topic == taste[user], 9, 1)
            items = generator.choice(30, generator.poisson(20) + 3, p=weights / weights.sum())
            rows += [
                (user + first_user, item + first_item, day)
                for item, day in zip(items, generator.random(len(items)) * 49, strict=True)
            ]
        frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
        days = pd.to_timedelta(frame.pop("day"), unit="D")
        frame["timestamp"] = (END - days).dt.floor("s")
        return cls(frame.sort_values("timestamp", ignore_index=True))


SMALL = Plays.draw().frame
BIG = Plays.draw(first_user=LARGE).frame
SECONDS = (SMALL["timestamp"] - pd.Timestamp(0, tz="UTC")) // pd.Timedelta("1s")


def events(path: str, **options: Any) -> dict[str, Any]:
    return {"data": {"events": {"path": path, **options}}}


def table(frame: pd.DataFrame, **columns: pa.Array) -> pa.Table:
    """The frame as Arrow, some columns replaced."""
    arrays = {name: columns.get(name, pa.array(frame[name])) for name in frame}
    return pa.table(arrays)


def parts(folder: Path, *tables: pa.Table) -> dict[str, Any]:
    (folder / "events").mkdir()
    for number, part in enumerate(tables):
        pq.write_table(part, folder / "events" / f"part-{number}.parquet")
    return events(str(folder / "events"))


def parquet(folder: Path, content: pa.Table) -> dict[str, Any]:
    pq.write_table(content, folder / "events.parquet")
    return events(str(folder / "events.parquet"))


def csv(folder: Path, frame: pd.DataFrame, name: str = "events.csv", **options: Any) -> str:
    frame.to_csv(folder / name, index=False, **options)
    return str(folder / name)


def lines(folder: Path, rows: list[dict[str, Any]], name: str = "events.jsonl") -> str:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"user_id": int(user), "item_id": int(item), "timestamp": instant.isoformat()}
        for user, item, instant in frame.itertuples(index=False)
    ]


# Ids: each column becomes text from its own type.


@case("error", "part-1.parquet", "user_id", "900719925474", "text or integers")
def large_ids_as_floats_in_one_part(folder):
    odd = BIG.tail(10).assign(user_id=BIG["user_id"].tail(10).astype("float64"))
    return parts(folder, table(BIG.head(-10)), pa.Table.from_pandas(odd, preserve_index=False))


@case("error", "items.parquet", "item_id", "text or integers")
def large_item_ids_as_floats_in_the_items_table(folder):
    plays = Plays.draw(first_item=LARGE).frame
    items = pd.DataFrame({"item_id": np.arange(LARGE, LARGE + 30).astype("float64")})
    items.to_parquet(folder / "items.parquet")
    sections = parquet(folder, table(plays))
    sections["data"]["items"] = {"path": str(folder / "items.parquet")}
    return sections


@case("reads")
def small_ids_as_floats_in_one_part(folder):
    odd = SMALL.tail(10).assign(user_id=SMALL["user_id"].tail(10).astype("float64"))
    return parts(folder, table(SMALL.head(-10)), pa.Table.from_pandas(odd, preserve_index=False))


@case("error", "user_id", ".5)", "fraction")
def ids_with_fractions(folder):
    halves = pa.array(SMALL["user_id"] + 0.5)
    return parquet(folder, table(SMALL, user_id=halves))


@case("error", "events.csv", "user_id", "900719925474", "text or integers")
def large_ids_as_floats_in_csv(folder):
    return events(csv(folder, BIG.assign(user_id=BIG["user_id"].astype("float64"))))


@case("error", "events.csv", "user_id", "text or integers")
def ids_in_exponent_form(folder):
    return events(csv(folder, BIG.assign(user_id=[f"{user:.6e}" for user in BIG["user_id"]])))


@case("reads")
def small_ids_as_floats_in_csv(folder):
    return events(csv(folder, SMALL.assign(user_id=SMALL["user_id"].astype("float64"))))


@case("reads")
def ids_with_leading_zeros(folder):
    return events(csv(folder, SMALL.assign(user_id=[f"{user:05d}" for user in SMALL["user_id"]])))


@case("reads")
def unsigned_ids_beside_signed_ones(folder):
    half = len(BIG) // 2
    unsigned = pa.array(BIG["user_id"][half:].to_numpy("uint64"))
    return parts(folder, table(BIG[:half]), table(BIG[half:], user_id=unsigned))


@case("reads", rejected=1)
def unsigned_ids_with_a_missing_one(folder):
    ids = pa.array([None, *BIG["user_id"][1:].tolist()], pa.uint64())
    return parquet(folder, table(BIG, user_id=ids))


@case("reads")
def ids_as_text_beside_integers(folder):
    half = len(BIG) // 2
    texts = pa.array(BIG["user_id"][half:].astype("str"), pa.string())
    return parts(folder, table(BIG[:half]), table(BIG[half:], user_id=texts))


@case("reads")
def ids_as_decimals(folder):
    decimals = pa.array(BIG["user_id"]).cast(pa.decimal128(20, 0))
    return parquet(folder, table(BIG, user_id=decimals))


@case("reads")
def ids_as_a_dictionary(folder):
    encoded = pa.array(SMALL["user_id"].astype("str"), pa.string()).dictionary_encode()
    return parquet(folder, table(SMALL, user_id=encoded))


@case("error", "events.parquet", "user_id", "row 1", "hex or text")
def ids_as_bytes_that_are_no_text(folder):
    keys = pa.array([bytes([0xFF, 0xFE]) + int(u).to_bytes(14, "big") for u in SMALL["user_id"]])
    return parquet(folder, table(SMALL, user_id=keys))


@case("reads")
def ids_as_bytes_that_are_text(folder):
    return parquet(folder, table(SMALL, user_id=pa.array([b"%d" % u for u in SMALL["user_id"]])))


@case("error", "events.jsonl", "user_id", "row 3")
def half_an_emoji(folder):
    rows = records(SMALL)
    rows[2]["user_id"] = "u\ud83d"
    return events(lines(folder, rows))


@case("error", "item_id", "control character", "row")
def a_line_break_in_an_id(folder):
    items = ["a\nb" if item == 5 else str(item) for item in SMALL["item_id"]]
    return parquet(folder, table(SMALL, item_id=pa.array(items)))


@case("error", "item_id", "control character")
def a_null_character_in_an_id(folder):
    items = ["a\x00b" if item == 5 else str(item) for item in SMALL["item_id"]]
    return events(
        lines(folder, [r | {"item_id": i} for r, i in zip(records(SMALL), items, strict=True)])
    )


@case("error", "country", "Country", "case")
def columns_that_differ_in_case_only(folder):
    users = pd.DataFrame({"user_id": np.arange(1, 121), "country": "SE", "Country": "BR"})
    users.to_csv(folder / "users.csv", index=False)
    sections = parquet(folder, table(SMALL))
    sections["data"]["users"] = {"path": str(folder / "users.csv")}
    return sections | {"inputs": ["country"]}


@case("error", "users.parquet", "user_id", "text or integers")
def large_ids_as_floats_in_the_users_table(folder):
    users = pd.DataFrame({"user_id": np.arange(LARGE, LARGE + 120).astype("float64")})
    users.assign(country="SE").to_parquet(folder / "users.parquet")
    sections = parquet(folder, table(BIG))
    sections["data"]["users"] = {"path": str(folder / "users.parquet")}
    return sections | {"inputs": ["country"]}


# Times.


@case("reads", times=True)
def times_of_bigquery(folder):
    times = SMALL["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S UTC")
    return events(csv(folder, SMALL.assign(timestamp=times)))


@case("reads", times=True)
def times_of_bigquery_with_fractions(folder):
    times = SMALL["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    return events(csv(folder, SMALL.assign(timestamp=times)))


@case("error", "timestamp", "timestamp_unit: ms")
def milliseconds_without_a_unit(folder):
    return events(csv(folder, SMALL.assign(timestamp=SECONDS * 1000)))


@case("error", "timestamp", "timestamp_unit: ns")
def nanoseconds_without_a_unit(folder):
    return events(csv(folder, SMALL.assign(timestamp=SECONDS * 10**9)))


@case("reads", times=True)
def nanoseconds(folder):
    path = csv(folder, SMALL.assign(timestamp=SECONDS * 10**9))
    return events(path, timestamp_unit="ns")


@case("stop", "timestamp", "milliseconds")
def milliseconds_among_seconds(folder):
    mixed = [t * 1000 if n % 3 == 0 else t for n, t in enumerate(SECONDS)]
    return events(csv(folder, SMALL.assign(timestamp=mixed)))


@case("stop", "timestamp", "timestamp_format")
def american_dates_among_iso_dates(folder):
    mixed = [
        t.strftime("%m/%d/%Y %H:%M") if n % 5 == 0 else t.isoformat()
        for n, t in enumerate(SMALL["timestamp"])
    ]
    return events(csv(folder, SMALL.assign(timestamp=mixed)))


@case("reads", times=True)
def american_dates_by_their_format(folder):
    times = SMALL["timestamp"].dt.strftime("%m/%d/%Y %H:%M:%S")
    path = csv(folder, SMALL.assign(timestamp=times))
    return events(path, timestamp_format="%m/%d/%Y %H:%M:%S")


@case("reads", times=True)
def local_times_by_their_zone(folder):
    local = SMALL["timestamp"].dt.tz_convert("Europe/Stockholm").dt.strftime("%Y-%m-%d %H:%M:%S")
    return events(csv(folder, SMALL.assign(timestamp=local)), timezone="Europe/Stockholm")


# Files.


@case("reads", times=True)
def european_csv_found_by_itself(folder):
    times = SMALL["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S")
    return events(csv(folder, SMALL.assign(timestamp=times, city="Köln"), sep=";"))


@case("reads", times=True)
def european_csv_by_settings(folder):
    times = SMALL["timestamp"].dt.strftime("%d.%m.%Y %H:%M:%S")
    frame = SMALL.assign(timestamp=times, city="Köln", weight="1,5")
    path = csv(folder, frame, sep=";", encoding="latin-1")
    options = {"delimiter": ";", "encoding": "latin-1", "decimal": ","}
    return events(path, **options, timestamp_format="%d.%m.%Y %H:%M:%S")


@case("error", "events.csv", "encoding")
def latin_1_without_saying_so(folder):
    return events(
        csv(folder, SMALL.assign(user_id="ö" + SMALL["user_id"].astype("str")), encoding="latin-1")
    )


@case("reads")
def tabs(folder):
    return events(csv(folder, SMALL, "events.tsv", sep="\t"))


@case("reads")
def json_lines_in_gzip(folder):
    text = "".join(json.dumps(row) + "\n" for row in records(SMALL))
    (folder / "events.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return events(str(folder / "events.jsonl.gz"))


@case("reads")
def csv_in_zstandard(folder):
    with pa.CompressedOutputStream(str(folder / "events.csv.zst"), "zstd") as file:
        file.write(SMALL.to_csv(index=False).encode())
    return events(str(folder / "events.csv.zst"))


@case("reads")
def a_json_array(folder):
    (folder / "events.json").write_text(json.dumps(records(SMALL), indent=1))
    return events(str(folder / "events.json"))


@case("reads")
def nested_json(folder):
    rows = [{"user": {"id": row.pop("user_id")}, **row} for row in records(SMALL)]
    return events(lines(folder, rows), columns={"user_id": "user.id"})


@case("reads", listeners=60)
def hive_keys(folder):
    frame = SMALL.assign(country=np.where(SMALL["user_id"] % 2, "SE", "BR"))
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_to_dataset(whole, folder / "events", partition_cols=["country"])
    return events(str(folder / "events"), where=[["country", "==", "SE"]])


@case("reads")
def where_in(folder):
    frame = SMALL.assign(kind=np.where(SMALL.index % 2, "play", "save"))
    return events(csv(folder, frame), where=[["kind", "in", ["play", "save"]]])


@case("reads")
def an_empty_part(folder):
    (folder / "events").mkdir()
    csv(folder, SMALL, "events/a.csv")
    (folder / "events" / "b.csv").touch()
    return events(str(folder / "events"))


@case("reads")
def parts_with_different_columns(folder):
    (folder / "events").mkdir()
    csv(folder, SMALL[:500], "events/a.csv")
    csv(folder, SMALL[500:].assign(device="tv"), "events/b.csv")
    return events(str(folder / "events"))


@case("reads")
def a_list_of_paths(folder):
    paths = [csv(folder, SMALL[:500], "a.csv"), csv(folder, SMALL[500:], "b.csv")]
    return {"data": {"events": {"path": paths}}}


@case("reads", listeners=118)
def excluded_listeners(folder):
    pd.DataFrame({"user_id": [1, 2]}).to_csv(folder / "staff.csv", index=False)
    sections = parquet(folder, table(SMALL))
    sections["data"]["exclude"] = {"path": str(folder / "staff.csv")}
    return sections


# Columns.


@case("stop", "country", "no listener")
def an_input_that_nobody_has(folder):
    users = pd.DataFrame({"user_id": [f"x{number}" for number in range(120)], "country": "SE"})
    users.to_parquet(folder / "users.parquet")
    sections = parquet(folder, table(SMALL))
    sections["data"]["users"] = {"path": str(folder / "users.parquet")}
    return sections | {"inputs": ["country"]}


@case("warn", "mail", "different")
def an_input_that_is_different_for_everybody(folder):
    users = pd.DataFrame({"user_id": np.arange(1, 121)})
    users.assign(mail=[f"{user}@example.org" for user in users["user_id"]]).to_parquet(
        folder / "users.parquet"
    )
    sections = parquet(folder, table(SMALL))
    sections["data"]["users"] = {"path": str(folder / "users.parquet")}
    return sections | {"inputs": ["mail"]}


@case("stop", "weight")
def half_of_the_weights_missing(folder):
    weights = [np.nan if number % 2 else 1.0 for number in range(len(SMALL))]
    return events(csv(folder, SMALL.assign(weight=weights)))


@case("warn", "tags", "tags_separator")
def tags_with_another_separator(folder):
    tags = [f"t{number % 3},x{number},all" for number in range(30)]
    items = pd.DataFrame({"item_id": np.arange(1, 31), "tags": tags})
    items.to_csv(folder / "items.csv", index=False)
    sections = parquet(folder, table(SMALL))
    sections["data"]["items"] = {"path": str(folder / "items.csv")}
    return sections


@case("reads")
def tags_as_json_text(folder):
    tags = [json.dumps([f"t{number % 3}", "all"]) for number in range(30)]
    items = pd.DataFrame({"item_id": np.arange(1, 31), "tags": tags})
    items.to_csv(folder / "items.csv", index=False)
    sections = parquet(folder, table(SMALL))
    sections["data"]["items"] = {"path": str(folder / "items.csv")}
    return sections


@case("stop", "item", "match")
def ids_of_another_system_in_the_items_table(folder):
    pd.DataFrame({"item_id": [f"sku-{n}" for n in range(27)] + ["1", "2", "3"]}).to_csv(
        folder / "items.csv", index=False
    )
    sections = parquet(folder, table(SMALL))
    sections["data"]["items"] = {"path": str(folder / "items.csv")}
    return sections
