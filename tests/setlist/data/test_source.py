import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pydantic
import pytest
from google.cloud import storage
from pydantic import ValidationError

from setlist.data import sample
from setlist.data.keys import label_text
from setlist.data.source import TableSource, fingerprint, listing, read_parts
from setlist.errors import SetlistError

KEYS = ("user_id", "item_id", "timestamp")
PLAYS = pd.DataFrame(
    {
        "listener": ["007", "NA", "ünï"],
        "item_id": ["a,b", 'say "hi"', "two\nlines"],
        "timestamp": ["2026-05-01", "2026-05-02T03:04:05.123456Z", ""],
        "rating": [3, 4, 5],
        "exact": [True, False, True],
    }
)
RENAMED = {"user_id": "listener"}


def read(source, *, required, optional):
    """The rows of all files as text, by their number; a column that a file lacks is missing."""
    tables, start = [], 0
    with read_parts(source, required=required, optional=optional) as parts:
        for part in parts:
            assert part.number == len(tables)
            columns = {name: label_text(part[name]).to_pandas().fillna("") for name in part.names}
            table = pd.DataFrame(columns, index=range(len(part.rows)))
            tables.append(table.set_axis(start + part.rows))
            start += part.size
    return pd.concat(tables)


def write(frame: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.name.endswith((".csv", ".csv.gz")):
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    return path


def read_plays(path: Path | str, **settings) -> pd.DataFrame:
    source = TableSource(path=str(path), columns=RENAMED, **settings)
    return read(source, required=KEYS, optional=("weight",))


def fault(path: Path | str, **settings) -> str:
    with pytest.raises(SetlistError) as caught:
        read_plays(path, **settings)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


SUFFIXES = ["parquet", "csv", "csv.gz", "jsonl", "ndjson", "json"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_reads_the_same(tmp_path, suffix):
    plays = read_plays(write(PLAYS, tmp_path / f"plays.{suffix}"))
    assert tuple(plays.columns) == KEYS
    assert plays["user_id"].tolist() == PLAYS["listener"].tolist()
    assert plays["item_id"].tolist() == PLAYS["item_id"].tolist()
    assert plays["timestamp"].tolist() == PLAYS["timestamp"].tolist()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ([["rating", ">=", 4]], [1, 2]),
        ([["rating", ">=", 4.0], ["exact", "==", True]], [2]),
        ([["exact", "!=", True]], [1]),
        ([["rating", "<", 5], ["rating", "!=", 3]], [1]),
        ([["listener", "==", "007"]], [0]),
        ([["timestamp", ">", "2026-05-01T12"]], [1]),
        ([["rating", ">", 9]], []),
    ],
)
def test_where_keeps_rows_and_their_numbers(tmp_path, suffix, where, rows):
    plays = read_plays(write(PLAYS, tmp_path / f"plays.{suffix}"), where=where)
    assert plays.index.tolist() == rows


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_missing_value_fulfils_no_condition_but_unequal(tmp_path, suffix):
    path = write(PLAYS.assign(rating=[None, 4, 5]), tmp_path / f"plays.{suffix}")
    assert read_plays(path, where=[["rating", "<=", 4]]).index.tolist() == [1]
    assert read_plays(path, where=[["rating", "!=", 4]]).index.tolist() == [0, 2]


def test_where_compares_instants(tmp_path):
    at = pd.to_datetime(["2026-05-01", "2026-05-02", None]).tz_localize("Europe/Berlin")
    path = write(PLAYS.assign(timestamp=at), tmp_path / "plays.parquet")
    assert read_plays(path, where=[["timestamp", ">=", "2026-04-30T22:00:01Z"]]).index.tolist() == [
        1
    ]


def test_a_folder_is_read_in_order_of_name_without_hidden_files(tmp_path):
    write(PLAYS.iloc[2:], tmp_path / "day=2" / "part-0.csv")
    write(PLAYS.iloc[:2], tmp_path / "day=1" / "part-1.csv.gz")
    for name in ("_SUCCESS", ".part-0.csv.crc", "_metadata/x.parquet", ".tmp/part-9.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"junk")
    plays = read_plays(tmp_path)
    assert plays["user_id"].tolist() == PLAYS["listener"].tolist()
    assert plays.index.tolist() == [0, 1, 2]
    names = [name for name, _, _ in listing(TableSource(path=str(tmp_path)))]
    assert names == ["day=1/part-1.csv.gz", "day=2/part-0.csv"]


def test_every_other_column_is_read_when_asked(tmp_path):
    path = write(PLAYS, tmp_path / "users.parquet")
    source = TableSource(path=str(path), columns={"user_id": "listener", "age": "rating"})
    users = read(source, required=["user_id"], optional=None)
    assert set(users) == {"user_id", "age", "item_id", "timestamp", "exact"}
    assert users["age"].tolist() == ["3", "4", "5"]


def test_a_mapped_column_wins_over_one_of_that_name(tmp_path):
    path = write(PLAYS.assign(user_id="wrong"), tmp_path / "plays.csv")
    assert read_plays(path)["user_id"].tolist() == PLAYS["listener"].tolist()


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_long_integers_survive_beside_a_missing_one(tmp_path, suffix):
    long = 2**53 + 1
    path = tmp_path / f"plays.{suffix}"
    if suffix == "parquet":
        write(PLAYS.assign(listener=pd.array([long, None, 1], dtype="Int64")), path)
    else:
        rows = [{"listener": long}, {}, {"listener": 1, "late": 1}]
        row = {"item_id": "a", "timestamp": 1}
        path.write_text("\n\n".join(json.dumps(row | r) for r in rows))
    users = read_plays(path)["user_id"]
    assert users.tolist() == [str(long), "", "1"]


def test_a_csv_may_have_a_byte_order_mark_or_be_unpacked_already(tmp_path):
    path = tmp_path / "plays.csv.gz"
    path.write_text("listener,item_id,timestamp\nu,i,1\n", "utf-8-sig")
    assert read_plays(path)["user_id"].tolist() == ["u"]


def test_dictionaries_of_parquet_are_plain_values(tmp_path):
    path = write(
        PLAYS.assign(listener=PLAYS["listener"].astype("category")), tmp_path / "p.parquet"
    )
    assert read_plays(path)["user_id"].dtype == "str"


def test_faults_of_the_path(tmp_path):
    assert "no such file" in fault(tmp_path / "none.csv")
    assert "no files" in fault(tmp_path)
    (tmp_path / "README.txt").write_text("x")
    assert "README.txt is in no known format" in fault(tmp_path / "README.txt")
    assert "README.txt is in no known format" in fault(tmp_path)
    (tmp_path / "README.txt").unlink()
    write(PLAYS, tmp_path / "a.csv")
    write(PLAYS, tmp_path / "b.jsonl")
    assert "a.csv and b.jsonl are in different formats" in fault(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.parquet", b"PAR1 but not really", "cannot be read as Parquet"),
        ("a.parquet", b"", "all of its files are empty"),
        ("a.csv", b"", "all of its files are empty"),
        ("a.csv", b"listener,item_id,timestamp\na,b\n", "Expected 3 columns, got 2"),
        ("a.csv", b"listener,item_id,timestamp\na,b,1,2\n", "Row #2"),
        (
            "a.csv",
            b"listener,item_id,timestamp\n\xff,b,1\n",
            "column listener, row 1: bytes that are not UTF-8",
        ),
        ("a.csv", b"listener,listener\na,b\n", "two columns 'listener'"),
        ("a.csv", b"listener,item_id,timestamp\ra,b,1\r", "a carriage return without"),
        ("a.csv", b"listener,item_id,timestamp\na,Buch\r3,1\n", "a carriage return without"),
        (
            "a.csv.gz",
            gzip.compress(b"listener,item_id,timestamp\n" * 99, mtime=0)[:-9],
            "cannot be read",
        ),
        ("a.jsonl", b'{"listener": 1}\n{"listener": \n', "line 2 is not JSON"),
        ("a.json", b'[{"listener": 1}, 2]', "object 2 is not an object"),
        ("a.json", b'{"listener": "\xff"}', "is not written in this encoding"),
    ],
)
def test_faults_of_a_file(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    sentence = fault(tmp_path / name)
    assert reason in sentence
    assert str(tmp_path / name) in sentence


def test_a_carriage_return_in_quotes_is_text_under_any_delimiter(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'listener;item_id;timestamp\na;"two\rlines";1\n')
    assert read_plays(tmp_path / "a.csv")["item_id"].tolist() == ["two\rlines"]
    (tmp_path / "a.csv").write_bytes(b"listener;item_id;timestamp\ra;b;1\r")
    assert "a carriage return without" in fault(tmp_path / "a.csv", delimiter=";")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_faults_of_the_columns(tmp_path, suffix):
    path = write(PLAYS.drop(columns="item_id"), tmp_path / f"a.{suffix}")
    sentence = fault(path)
    assert f"no column 'item_id' in {path} (it has: listener, timestamp, rating, exact)" in sentence
    assert "columns: {item_id: NAME}" in sentence
    assert "no column 'stars'" in fault(path, where=[["stars", ">", 3]])
    with pytest.raises(pydantic.ValidationError, match="Input should be '=='"):
        TableSource(path=str(path), where=[["rating", "=", 3]])


def test_faults_of_the_settings(tmp_path):
    path = write(PLAYS, tmp_path / "a.parquet")
    assert "without quotes" in fault(path, where=[["rating", ">", "3"]])
    source = TableSource(path=str(path), columns={"user": "listener"})
    with pytest.raises(SetlistError, match="'user' is no column of this table"):
        read(source, required=KEYS, optional=())
    with pytest.raises(SetlistError, match="no column 'score'"):
        read(
            TableSource(path=str(path), columns={**RENAMED, "weight": "score"}),
            required=KEYS,
            optional=["weight"],
        )
    with pytest.raises(pydantic.ValidationError):
        TableSource(path="x", colums={})


def test_the_fingerprint_follows_files_and_settings(tmp_path):
    path = write(PLAYS, tmp_path / "a.csv")

    def mark(**settings) -> str:
        return fingerprint({"events": TableSource(path=str(tmp_path), **settings)})

    first = mark()
    assert first == mark()
    assert len(first) == 64
    assert first != mark(where=[["rating", ">", 3]])
    assert first != fingerprint({"items": TableSource(path=str(tmp_path))})
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    touched = mark()
    assert touched != first
    write(PLAYS, tmp_path / "b.csv")
    assert mark() not in (first, touched)


def test_the_sample_is_a_source(monkeypatch):
    source = TableSource(
        path="sample://events?seed=3",
        columns={"user_id": "listener", "item_id": "playlist", "timestamp": "played_at"},
    )
    made = []
    real = sample.generate
    monkeypatch.setattr(sample, "generate", lambda *a: made.append(a) or real(*a))
    events = read(source, required=KEYS, optional=["weight"])
    listeners = TableSource(path="sample://listeners?seed=3", columns={"user_id": "listener"})
    users = read(listeners, required=["user_id"], optional=None)
    assert made == [(3, "none")]  # once for all tables
    assert len(events) > 100_000
    assert set(users) == {"user_id", "country", "age_band", "joined"}
    ((name, _, version),) = listing(source)
    assert name == "events"
    assert version.startswith("seed=3&planted=none&code=")
    other = source.model_copy(update={"path": "sample://events?seed=3&planted=one_region"})
    assert fingerprint({"events": source}) != fingerprint({"events": other})


@pytest.mark.parametrize(
    "path",
    [
        "sample://songs",
        "sample://events/2026",
        "sample://events?sed=7",
        "sample://events?seed=x",
        "sample://events?planted=two_regions",
    ],
)
def test_faults_of_the_sample(path):
    with pytest.raises(ValidationError, match="sample:// and events, playlists or listeners"):
        TableSource(path=path)


@pytest.mark.parametrize(
    "path", ["s3://bucket/x.csv", "http://host/x", "gs:///x", "", "~nobody-x/y"]
)
def test_an_address_that_no_table_has_is_refused_before_anything_is_read(path):
    with pytest.raises(ValidationError, match=r"; (write|give) "):
        TableSource(path=path)


@pytest.fixture
def bucket(gcs_emulator, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    client = storage.Client.create_anonymous_client()
    client.project = "p"
    bucket = client.create_bucket("listening")
    yield bucket
    for blob in bucket.list_blobs():
        blob.delete()
    bucket.delete()
    client.close()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_object_is_read(tmp_path, bucket, suffix):
    local = write(PLAYS, tmp_path / f"plays.{suffix}")
    bucket.blob(f"raw/plays.{suffix}").upload_from_filename(local)
    plays = read_plays(f"gs://listening/raw/plays.{suffix}")
    assert plays.equals(read_plays(local))


def test_a_prefix_is_read_like_a_folder(tmp_path, bucket):
    for name, rows in (("day=1/a.csv", [0]), ("day=2/a.csv", [1, 2])):
        local = write(PLAYS.iloc[rows], tmp_path / "x.csv")
        bucket.blob(f"plays/{name}").upload_from_filename(local)
        bucket.blob(f"plays-old/{name}").upload_from_filename(local)
    bucket.blob("plays/").upload_from_string(b"")  # how the console makes a folder
    bucket.blob("plays/_SUCCESS").upload_from_string(b"")
    for path in ("gs://listening/plays", "gs://listening/plays/"):
        assert read_plays(path)["user_id"].tolist() == PLAYS["listener"].tolist()
    source = TableSource(path="gs://listening/plays")
    files = listing(source)
    assert [name for name, _, _ in files] == ["day=1/a.csv", "day=2/a.csv"]
    before = fingerprint({"events": source})
    assert before == fingerprint({"events": source})
    bucket.blob("plays/day=2/a.csv").upload_from_filename(local)  # equal bytes, new generation
    assert before != fingerprint({"events": source})


def test_faults_of_a_bucket(bucket):
    assert "gs://listening/none: there are no files in it" in fault("gs://listening/none")
    assert "gs://nobody/x: cannot be read" in fault("gs://nobody/x")
    bucket.blob("bad.parquet").upload_from_string(b"junk")
    assert "gs://listening/bad.parquet: cannot be read as Parquet" in fault(
        "gs://listening/bad.parquet"
    )
