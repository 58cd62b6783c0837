"""The command line on tables of BigQuery, from the stand-in: what it shows is that of files."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from tests.bigquery_stub import bigquery_stub, connected_to
from typer.testing import CliRunner

from setlist.data import bigquery, sample
from setlist.data.curation import curate, resolve_window
from setlist_pipelines.cli.main import app
from setlist_pipelines.settings.file import SAMPLE, read_settings

TABLES = {"events": "events", "items": "playlists", "users": "listeners"}
"""Ours, and the sample's."""
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    """A fifth of the sample, as text."""
    whole = sample.generate()
    # Without the bot, the last listener: it would be more than 5% of so small a table.
    some = set(whole.listeners["listener"].iloc[:-1:5])
    events = whole.events[whole.events["listener"].isin(some)]
    frames = {"events": events, "playlists": whole.playlists, "listeners": whole.listeners}
    return {
        name: pa.table({each: pa.array(frame[each], pa.string()) for each in frame})
        for name, frame in frames.items()
    }


@pytest.fixture(scope="module")
def stub(tables):
    with bigquery_stub(tables={f"music.logs.{name}": each for name, each in tables.items()}) as it:
        yield it


@pytest.fixture
def connected(stub, monkeypatch):
    server, rest, rows = stub
    monkeypatch.setattr(bigquery, "REST", rest)
    monkeypatch.setattr(bigquery, "STREAM_BYTES", 1_000_000)
    monkeypatch.setattr(bigquery, "connect", connected_to(rows))
    return server


def settings(folder: Path, place) -> Path:
    """The settings of the sample with other paths."""
    document = yaml.safe_load(SAMPLE.read_text())
    for ours, theirs in TABLES.items():
        document["data"][ours]["path"] = place(theirs)
    document |= {"store": "store", "model": {"epochs": 1}, "heuristics": {"fit": ["most_popular"]}}
    document["policy"] = {"limits": {"p99_ms": None}}
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def of_bigquery(name: str) -> str:
    return f"bigquery://music.logs.{name}"


def files(tables: dict[str, pa.Table], folder: Path):
    def place(name: str) -> str:
        tables[name].to_pandas().to_csv(folder / f"{name}.csv", index=False)
        return str(folder / f"{name}.csv")

    return place


def setlist(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def verdict(text: str) -> str:
    """What is shown below the tables, which hold examples and numbers of rows."""
    return text[text.index(" events in the training period") - 10 :]


def test_data_check_shows_what_it_shows_of_files(connected, tables, tmp_path):
    done = setlist("data", "check", "--config", settings(tmp_path, of_bigquery))
    assert done.exit_code == 0, done.output
    of_files = setlist("data", "check", "--config", settings(tmp_path, files(tables, tmp_path)))
    assert "gate for data: warn" in done.output
    assert f"events: {len(tables['events']):,} rows of bigquery://music.logs.events" in done.output
    assert "rejected or left out" in done.output
    assert verdict(done.output) == verdict(of_files.output)


def test_data_infer_infers_what_it_infers_of_files(connected, tables, tmp_path):
    for name, place in (("one", of_bigquery), ("two", files(tables, tmp_path))):
        done = setlist(
            *("data", "infer", "--config", settings(tmp_path, place)),
            *("--output", tmp_path / f"{name}.yaml"),
        )
        assert done.exit_code == 0, done.output
    assert (tmp_path / "one.yaml").read_text() == (tmp_path / "two.yaml").read_text()


def test_init_proposes_what_it_proposes_for_files(connected, tables, tmp_path):
    done = setlist(
        *("init", of_bigquery("events"), "--items", of_bigquery("playlists")),
        *("--users", of_bigquery("listeners"), "--output", tmp_path / "settings.yaml"),
    )
    assert done.exit_code == 0, done.output
    found = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    place = files(tables, tmp_path)
    done = setlist(
        *("init", place("events"), "--items", place("playlists"), "--users", place("listeners")),
        *("--output", tmp_path / "of_files.yaml"),
    )
    expected = yaml.safe_load((tmp_path / "of_files.yaml").read_text())
    for ours, theirs in TABLES.items():
        expected["data"][ours]["path"] = of_bigquery(theirs)
    assert expected.pop("name") == "of-files", "the model is called after the file"
    assert found.pop("name") == "home"
    assert found == expected
    assert found["inputs"] == ["country", "age_band"]


@pytest.mark.slow
def test_a_whole_run_reads_the_events_of_the_sample(stub, tables, tmp_path):
    server, rest, rows = stub
    server.sessions.clear()
    site = ROOT / "tests" / "bigquery_site"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
        "BIGQUERY_STUB_ROOT": str(ROOT),
        "BIGQUERY_STUB_REST": rest,
        "BIGQUERY_STUB_ROWS": rows,
    }
    command = [sys.executable, "-m", "setlist_pipelines", "run", "--workdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "--config", str(settings(tmp_path, of_bigquery))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.sessions) == len(TABLES), "one for each table, in one step"
    assert "pushed" in done.stdout
    (dataset,) = tmp_path.glob("retraining-*/curate/dataset")
    of_files = read_settings(settings(tmp_path, files(tables, tmp_path)))
    window = resolve_window(of_files.window, of_files.as_of, pd.Timestamp.now("UTC"))
    curate(of_files.data, window, of_files.curation, tmp_path / "expected")
    for name in ("train", "test", "items", "users"):
        expected = (tmp_path / "expected" / f"{name}.parquet").read_bytes()
        assert (dataset / f"{name}.parquet").read_bytes() == expected
