"""The request log: whole files, never in the way, and a way back into training."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from prometheus_client import CollectorRegistry
from tests.setlist.serving.test_http_app import client_of, ready, recommend
from tests.waiting import PATIENCE, until

from setlist.data.curation import CurationSettings, DataSettings, curate
from setlist.data.schema import Window
from setlist.models.worker.query import RankedList
from setlist.serving import request_log
from setlist.serving.request_log import LoggedList, RequestLog
from setlist.store.objects import open_objects

NOON = 1_780_000_000.25


def entry(number, role="live"):
    ranked = RankedList([f"i{number}", f"i{number + 1}"], [1.5, 0.5])
    return LoggedList(
        request_id=f"request {number}",
        listener=f"u{number % 7}",
        name="home",
        revision=3,
        role=role,
        k=2,
        history=["i1", "i2"],
        ages=[2.0, 0.5],
        inputs={"country": "SE"},
        exclude=["i9"],
        ranked=ranked,
        time=NOON + number,
    )


class Written:
    """A log that is written at once, and what came of it."""

    def __init__(self, to, every=60.0, **more):
        self.registry = CollectorRegistry()
        self.log = RequestLog(str(to), 1.0, self.registry, every, **more)

    def count(self, outcome):
        return self.registry.get_sample_value("setlist_log_lists_total", {"outcome": outcome})


def read(folder, name):
    tables = [pd.read_parquet(file) for file in sorted((folder / name).rglob("*.parquet"))]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def test_what_was_put_is_what_is_read(tmp_path):
    written = Written(tmp_path)
    written.log.start()
    for number in range(250):
        written.log.put(entry(number))
    written.log.stop()
    requests, impressions = (read(tmp_path, name) for name in ("requests", "impressions"))
    assert written.count("written") == len(requests) == 250
    first = requests.iloc[0]
    assert first["timestamp"] == pd.Timestamp(NOON, unit="s", tz="UTC")
    assert (first["user_id"], first["revision"], first["k"]) == ("u0", 3, 2)
    assert [list(first[name]) for name in ("history", "history_age_days", "exclude")] == [
        ["i1", "i2"],
        [2.0, 0.5],
        ["i9"],
    ]
    assert list(first["inputs"]) == [("country", "SE")]
    assert list(first["item_ids"]) == ["i0", "i1"]
    assert len(impressions) == 500
    assert impressions.iloc[3].drop("timestamp").to_dict() == {
        "user_id": "u1",
        "item_id": "i2",
        "position": 2,
        "score": 0.5,
        "revision": 3,
        "role": "live",
        "request_id": "request 1",
    }


def test_it_is_written_by_size_and_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "MAX_FILE_LISTS", 200)
    written = Written(tmp_path, every=3600)
    written.log.start()
    for number in range(250):
        written.log.put(entry(number))
    until(lambda: written.count("written") == 200)
    written.log.stop()
    assert written.count("written") == 250
    quick = Written(tmp_path / "quick", every=0.05)
    quick.log.start()
    quick.log.put(entry(1))
    until(lambda: quick.count("written") == 1)
    quick.log.stop()


def test_when_too_many_wait_they_are_dropped_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "MAX_WAITING_LISTS", 10)
    written = Written(tmp_path)

    def put():
        for number in range(1_000):
            written.log.put(entry(number))

    putting = threading.Thread(target=put, daemon=True)
    putting.start()
    putting.join(PATIENCE)
    assert not putting.is_alive(), "nobody takes them out yet: who waits would wait forever"
    assert written.count("dropped") == 990
    written.log.start()
    written.log.stop()
    assert written.count("written") == 10


def test_a_place_that_is_away_is_tried_again(tmp_path, monkeypatch):
    place = tmp_path / "log"
    place.write_text("a file is in the way")
    written = Written(place, every=0.05)
    written.log.start()
    written.log.put(entry(1))
    until(lambda: written.count("failed") >= 2)
    assert str(place) in written.log.fault
    place.unlink()
    until(lambda: written.count("written") == 1)
    assert written.log.fault is None
    written.log.stop()
    assert len(read(place, "requests")) == 1


def test_a_part_that_fails_is_written_alone(tmp_path):
    """The other one is there already, and may not be there twice."""
    (tmp_path / "impressions").write_text("a file is in the way")
    written = Written(tmp_path, every=0.05)
    written.log.start()
    written.log.put(entry(1))
    until(lambda: written.count("failed") >= 2)
    (tmp_path / "impressions").unlink()
    until(lambda: written.count("written") == 1)
    written.log.stop()
    assert len(read(tmp_path, "requests")) == 1
    assert len(read(tmp_path, "impressions")) == 2


def test_a_place_that_is_away_is_not_asked_at_every_list(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "MAX_FILE_LISTS", 200)
    monkeypatch.setattr(request_log, "MAX_WAITING_LISTS", 1_000)
    (tmp_path / "log").write_text("a file is in the way")
    written = Written(tmp_path / "log", every=3600)
    written.log.start()
    for number in range(3_000):
        while written.log._waiting.qsize() > 900:
            time.sleep(0.001)
        written.log.put(entry(number))
    until(lambda: written.log._waiting.empty())
    assert written.count("failed") == 1
    (tmp_path / "log").unlink()
    written.log.stop()
    assert written.count("written") + written.count("dropped") == 3_000
    assert written.count("written") == 1_200, "the file that failed, and the latest"


def test_what_never_could_be_written_is_counted_in_the_end(tmp_path):
    (tmp_path / "log").write_text("a file is in the way")
    written = Written(tmp_path / "log")
    written.log.start()
    written.log.put(entry(1))
    written.log.stop()
    assert written.count("dropped") == 1


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_it_goes_to_a_bucket_as_well(gcs_uri):
    written = Written(f"{gcs_uri}/log")
    written.log.start()
    written.log.put(entry(1))
    written.log.stop()
    keys = open_objects(f"{gcs_uri}/log").keys("")
    assert [key.partition("/")[0] for key in keys] == ["impressions", "requests"]


def test_days_that_are_long_over_are_removed_and_nothing_else(tmp_path):
    today = datetime.now(UTC).date()
    days = {age: today - timedelta(days=age) for age in (0, 10, 11, 400)}
    kept = [f"requests/date={days[10]}/a.parquet", "requests/date=soon/b.parquet", "notes.txt"]
    gone = [
        f"{part}/date={days[age]}/c.parquet"
        for part in ("requests", "impressions")
        for age in (11, 400)
    ]
    for key in (*kept, *gone):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text("x")
    written = Written(tmp_path, keep_days=10)
    written.log.start()
    written.log.put(entry(1))
    written.log.stop()
    assert all((tmp_path / key).is_file() for key in kept)
    assert not any((tmp_path / key).exists() for key in gone)
    assert len([*(tmp_path / f"requests/date={today}").glob("*.parquet")]) == 1


def test_the_server_logs_a_share_of_its_requests(uri, tmp_path):
    with client_of(uri, tmp_path / "kept", log=str(tmp_path / "log"), rate=0.3) as client:
        ready(client)
        for _ in range(300):
            recommend(client, {"k": 1})
    assert 50 < len(read(tmp_path / "log", "requests")) < 130


def test_features_are_logged_as_the_model_saw_them(uri, tmp_path):
    more = {"log": str(tmp_path / "log"), "any_input": True}
    with client_of(uri, tmp_path / "kept", **more) as client:
        ready(client)
        plays = [{"item": f"r1-{n % 60:05d}", "age_days": 80 - n} for n in range(80)]
        told = {"history": plays, "inputs": {"device": "phone"}, "exclude": ["r1-00000"], "k": 4}
        said = recommend(client, told)
    (logged,) = read(tmp_path / "log", "requests").to_dict("records")
    assert logged["request_id"] == said["request_id"]
    assert list(logged["history"]) == [play["item"] for play in plays[-50:]]
    assert list(logged["history_age_days"]) == [play["age_days"] for play in plays[-50:]]
    assert list(logged["inputs"]) == [("country", "")], "what the model takes, and nothing else"
    assert list(logged["item_ids"]) == [item["item_id"] for item in said["items"]]


def test_curate_reads_the_impressions(tmp_path):
    """As the settings of a run name them: `data.events.path` and `where`."""
    written = Written(tmp_path / "log")
    written.log.start()
    for number in range(40):
        written.log.put(entry(number))
        written.log.put(entry(number, role="shadow"))
    written.log.stop()
    data = DataSettings.model_validate(
        {
            "events": {
                "path": str(tmp_path / "log" / "impressions"),
                "where": [["role", "!=", "shadow"]],
            }
        }
    )
    window = Window(
        *(pd.Timestamp(NOON + s, unit="s", tz="UTC").as_unit("us") for s in (-1, 30, 60))
    )
    report = curate(data, window, CurationSettings(), tmp_path / "dataset")
    assert report.read == 80
    assert (report.train, report.test) == (60, 20)
    train = pd.read_parquet(tmp_path / "dataset" / "train.parquet")
    assert set(train["user_id"]) == {f"u{number}" for number in range(7)}
