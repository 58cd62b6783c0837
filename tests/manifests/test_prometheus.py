"""A real Prometheus watches a running server, and the runs that a real push gateway knows of."""

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cases import hostile_models
from tests.manifests.prometheus import Prometheus, free_port, prometheus, push_gateway
from tests.manifests.test_alerts import PANELS, RULES
from tests.setlist.serving.models import write_towers
from tests.setlist.serving.processes import Server, serving
from tests.setlist.serving.test_lost_workers import workers
from tests.waiting import until

from setlist.data.verdict import DataReason, DataVerdict
from setlist.errors import DataError
from setlist.models.contract import folder_digest
from setlist.runs.announcement import PUSH_GATEWAY_VARIABLE, notify
from setlist.runs.record import MonitoringRecord, Record, RunRecord
from setlist.runs.step_failure import StepFailure
from setlist.serving.http_app import DEADLINE_HEADER
from setlist.store.model_store import open_store

pytestmark = pytest.mark.slow

FRESH, OLD, OTHER, DAMAGED = 1, 2, 3, 4
"""Revisions: the training data of the second end 40 days ago, a file of the last is damaged."""
SERIES = re.compile(r"\b(?:setlist|process)_\w+(?:\{[^}]*\})?")


@dataclass
class Watched:
    """A server of `home`, and the Prometheus that scrapes it and the push gateway."""

    server: Server
    store: str
    gateway: str
    prometheus: Prometheus

    def announce(self, record: Record) -> None:
        """What a run does at its end."""
        notify(record, {PUSH_GATEWAY_VARIABLE: f"http://{self.gateway}"})

    def value(self, series: str) -> float | None:
        """What was scraped last; None where there is no such series."""
        samples = self.prometheus.ask(series)
        return float(samples[0]["value"][1]) if samples else None

    def wait_for_scrapes(self) -> None:
        """Until each target was scraped three times more: all that there is now is in then."""
        counted = "min(count_over_time(up[1h]))"
        before = self.value(counted) or 0
        until(lambda: (self.value(counted) or 0) >= before + 3)

    def swap(self, revision: int) -> None:
        """Make it live; returns once the server's word of it was scraped."""
        promote(self.store, revision)
        until(lambda: self.value('setlist_model_revision{follows="HEAD"}') == revision)


def run(outcome: str, revision: int | None = None) -> RunRecord:
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return RunRecord.model_validate(
        {
            "name": "home",
            "run_id": "a",
            "outcome": outcome,
            "sentence": "It ended.",
            "revision": revision,
            "ended": ended,
        }
    )


def promote(store: str, revision: int) -> None:
    """Make it live, however old its data."""
    opened = open_store(store)
    opened.promote("home", revision, expected=opened.head("home"), allow_older=True)


def fill(store: str, folder: Path) -> None:
    """Stage the revisions; the first goes live."""
    models = {
        FRESH: write_towers(folder / "fresh", "fresh"),
        OLD: hostile_models.write_fails_on(folder / "old"),
        OTHER: write_towers(folder / "other", "other"),
        DAMAGED: hostile_models.write_harmless(folder / "damaged"),
    }
    for revision, model in models.items():
        days = 40 if revision == OLD else 15
        ends = [datetime.now(UTC) - timedelta(days=days + more) for more in (90, 0)]
        window = {key: end.isoformat() for key, end in zip(("start", "end"), ends, strict=True)}
        staged = open_store(store).stage(
            "home",
            model,
            run_id=f"run-{revision}",
            digest=folder_digest(model),
            training_window=window,
            metadata={},
        )
        assert staged == revision
    file = Path(store, "home", "revisions", str(DAMAGED), "catalogue.txt")
    file.write_bytes(file.read_bytes().replace(b"I", b"J"))
    promote(store, FRESH)


def ask_of_all_kinds(server: Server) -> None:
    """Requests that are answered, late and failed, and a worker that is lost."""
    for number in range(20):
        assert server.post({"history": [str(number)], "k": 3})[0] == 200
    late = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v1/recommend",
        json.dumps({"k": 3}).encode(),
        {"Content-Type": "application/json", DEADLINE_HEADER: "1"},
    )
    until(lambda: server.ask(late)[0] == 504)
    until(lambda: len(workers(server)) >= 2)
    os.kill(workers(server)[0], signal.SIGKILL)
    until(lambda: "setlist_workers_lost_total" in server.get("/metrics")[1])
    until(lambda: server.post({"k": 3})[0] == 200)


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    store = str(folder / "store")
    options = ["--store", store, "--every", "0.3s", "--folder", str(folder / "kept")]
    options += ["--log", str(folder / "log"), "--shadow", str(OLD)]
    with push_gateway(folder) as gateway, serving(*options) as server:
        address = f"127.0.0.1:{server.port}"
        pod = {
            "name": "setlist-server-0",
            "annotation_prometheus_io_scrape": "true",
            "annotation_prometheus_io_port": str(server.port),
            "container_port_number": str(server.port),
        }
        # What is not to be scraped: another port of it, and a pod that says nothing.
        closed = f"127.0.0.1:{free_port()}"
        pods = {address: pod, closed: pod | {"container_port_number": "1"}, gateway: {}}
        with prometheus(folder, pods, gateway) as started:
            everything = Watched(server, store, gateway, started)
            refused = urllib.request.Request(
                f"http://{address}/v1/recommend", b"{}", {"Content-Type": "application/json"}
            )
            until(lambda: answered(server, refused) == 503)
            fill(store, folder / "models")
            server.wait(FRESH)
            until(lambda: server.get("/healthz")[1]["candidate"]["fault"] is None)
            ask_of_all_kinds(server)
            everything.swap(OLD)
            assert server.post({"history": ["poison"], "k": 3})[0] == 500
            everything.swap(FRESH)
            everything.announce(run("promoted", FRESH))
            everything.announce(MonitoringRecord.of_failure("home", "m", ""))
            until(lambda: "setlist_shadow_overlap_count 0.0" not in server.get("/metrics")[1])
            everything.wait_for_scrapes()
            yield everything


def answered(server: Server, request: urllib.request.Request) -> int:
    """The status, 0 as long as nobody listens."""
    assert server.process.poll() is None, server.lines
    try:
        return server.ask(request)[0]
    except OSError:
        return 0


def test_every_rule_is_loaded_and_evaluated(watched):
    until(lambda: all(rule["health"] == "ok" for rule in watched.prometheus.rules()))
    assert {rule["name"] for rule in watched.prometheus.rules()} == {
        rule["alert"] for rule in RULES
    }


def test_pods_that_ask_for_it_are_scraped_and_no_others(watched):
    targets = watched.prometheus.get("targets", state="active")["activeTargets"]
    assert {each["labels"]["instance"] for each in targets} == {
        "setlist-server-0",
        watched.gateway,
    }
    until(lambda: watched.value("min(up)") == 1)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_series_that_a_rule_names_is_there(watched, rule):
    """With the values of its labels: some request was refused, late and failed."""
    names = SERIES.findall(rule["expr"])
    assert names
    assert [name for name in names if not watched.prometheus.ask(name)] == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_shows_something(watched, panel):
    for target in panel["targets"]:
        shown = target["expr"].replace("$name", ".*").replace("$__rate_interval", "5m")
        samples = watched.prometheus.ask(shown)
        assert samples, shown
        labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        for sample in samples:
            assert labels <= sample["metric"].keys(), "its legend would have gaps"


def test_a_stale_model_is_told_and_a_fresh_one_is_not(watched):
    watched.swap(OLD)
    until(lambda: watched.prometheus.firing("SetlistModelStale"))
    assert watched.prometheus.firing("SetlistModelStale") == [
        {"alertname": "SetlistModelStale", "severity": "warning", "name": "home"}
    ]
    watched.swap(OTHER)
    until(lambda: not watched.prometheus.firing("SetlistModelStale"))


def test_a_revision_that_cannot_be_served_is_told(watched):
    promote(watched.store, DAMAGED)
    until(lambda: watched.prometheus.firing("SetlistFollowerFaulty"))
    [labels] = watched.prometheus.firing("SetlistFollowerFaulty")
    assert (labels["name"], labels["instance"]) == ("home", "setlist-server-0")
    watched.swap(FRESH)
    until(lambda: not watched.prometheus.firing("SetlistFollowerFaulty"))


def test_a_run_that_failed_is_told_until_a_run_succeeds(watched):
    watched.announce(RunRecord.of_failure("home", "b", "Train: the memory is full"))
    until(lambda: watched.prometheus.firing("SetlistRunFailed"))
    assert watched.prometheus.firing("SetlistRunFailed")[0]["name"] == "home"
    assert watched.value("setlist_live_revision") == FRESH, "the gateway keeps it"
    watched.announce(run("refused"))
    until(lambda: not watched.prometheus.firing("SetlistRunFailed"))
    assert not watched.prometheus.firing("SetlistRunsUnknown")


def test_a_stop_of_the_gate_for_data_has_an_alert_of_its_own(watched):
    reason = DataReason(
        rule="3 days", outcome="stop", value=3, bound=0,
        sentence="3 days have no plays", remedy="load them",
    )  # fmt: skip
    with pytest.raises(DataError) as fault:
        DataVerdict.of([reason]).refuse()
    failure = StepFailure.of_fault("check-data", "Check the data", fault.value)
    watched.announce(RunRecord.of_failure("home", "b", failure.sentence, [failure]))
    until(lambda: watched.prometheus.firing("SetlistDataGateStopped"))
    assert watched.prometheus.firing("SetlistDataGateStopped")[0]["name"] == "home"
    assert not watched.prometheus.firing("SetlistRunFailed")
    watched.announce(RunRecord.of_failure("home", "c", "Train: the memory is full"))
    until(lambda: watched.prometheus.firing("SetlistRunFailed"))
    assert not watched.prometheus.firing("SetlistDataGateStopped")
    watched.announce(run("refused"))
    until(lambda: not watched.prometheus.firing("SetlistRunFailed"))


def test_swaps_add_no_series(watched):
    turns = (OTHER, FRESH)
    for revision in turns:
        watched.swap(revision)
    watched.wait_for_scrapes()
    before = watched.prometheus.series("setlist")
    for revision in turns * 3:
        watched.swap(revision)
        assert watched.server.post({"k": 3})[0] == 200
    watched.wait_for_scrapes()
    assert watched.prometheus.series("setlist") == before
    assert len(before) < 200
