"""What came of a run, told where people and alarms look: a webhook and a Prometheus push gateway.

Both are optional and named by the environment, on a cluster by the Secret `setlist-notifications`.
The run is over when this speaks: a listener that cannot be reached, or not in time, is a printed
line, no failure.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import get_args

import requests  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway
from urllib3.util import Retry

from setlist.errors import SetlistError
from setlist.runs.record import Outcome, RunRecord

WEBHOOK = "SETLIST_WEBHOOK"
GATEWAY = "SETLIST_PUSH_GATEWAY"
TIMEOUT = 10.0
"""Seconds for each attempt to reach a listener."""
PATIENCE = 120.0
"""Seconds for all attempts, whatever a listener asks for; the step has ten minutes."""
AGAIN = Retry(
    total=4, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None
)


def announce(
    store: str, name: str, run_id: str, verdict: Path | None, pushed: Path | None
) -> RunRecord:
    """Record what came of a run that ended well, and tell it.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        run_id: of the run.
        verdict: the gate's; None when the run ended before anything was trained.
        pushed: what push left; None when nothing was pushed.

    Raises:
        SetlistError: when the record cannot be written.
    """
    record = RunRecord.of_run(name, run_id, verdict, pushed)
    record.write(store)
    publish(record)
    return record


def announce_failure(store: str, name: str, run_id: str, message: str) -> RunRecord | None:
    """Tell that a run failed; None, and nothing is told, where it has recorded its end.

    The states of tasks are not asked: on some versions of the backend an exit handler sees a graph
    that has failed as one that still runs.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        run_id: of the run.
        message: what is known of the reason, or "".
    """
    record = RunRecord.of_failure(name, run_id, message)
    try:
        if RunRecord.read(store, name, run_id):
            return None
        record.write(store)
    except SetlistError as fault:
        print(f"not recorded: {fault}", flush=True)
    publish(record)
    return record


def publish(record: RunRecord, environment: Mapping[str, str] = os.environ) -> None:
    """Print the record's line, and send it to whatever listens."""
    print(record.line, flush=True)
    if url := environment.get(WEBHOOK, "").strip():
        _tell("webhook", WEBHOOK, lambda: _post(url, record))
    if gateway := environment.get(GATEWAY, "").strip():
        _tell("push gateway", GATEWAY, lambda: _push(gateway, record))


def _tell(listener: str, variable: str, send: Callable[[], None]) -> None:
    """Send, in a thread that ends with the process: name servers and slow bodies know no time-out.

    What goes wrong is named by its kind, since the address is a secret and stands in most texts.
    """
    told: Future[str] = Future()

    def attempt() -> None:
        fault = ""
        try:
            send()
        except Exception as raised:  # whatever it is, the run has ended well
            answer = getattr(raised, "response", None)
            status = getattr(raised, "code", None) or getattr(answer, "status_code", None)
            fault = f"status {status}" if status else type(raised).__name__
        told.set_result(fault)

    Thread(target=attempt, daemon=True).start()
    try:
        fault = told.result(PATIENCE)
    except TimeoutError:
        fault = f"not in {PATIENCE:.0f} seconds"
    if fault:
        print(f"the {listener} was not reached ({fault}); correct {variable}.", flush=True)


def _post(url: str, record: RunRecord) -> None:
    """One message, in the shape that Slack and its likenesses take; & < > are their markup."""
    text = f"{record.line} (run {record.run_id})"
    for character, escaped in {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.items():
        text = text.replace(character, escaped)
    with requests.Session() as session:
        adapter = requests.adapters.HTTPAdapter(max_retries=AGAIN)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.post(url, json={"text": text}, timeout=TIMEOUT).raise_for_status()


def _push(url: str, record: RunRecord) -> None:
    """The metrics of one model; a revision that stays live keeps its value at the gateway."""
    registry = CollectorRegistry()
    ended = Gauge(
        "setlist_run_ended_timestamp_seconds", "When the last run ended.", registry=registry
    )
    ended.set_to_current_time()
    outcome = Gauge(
        "setlist_run_outcome", "1 for what came of the last run.", ["outcome"], registry=registry
    )
    for one in get_args(Outcome):
        outcome.labels(one).set(one == record.outcome)
    if record.outcome == "promoted" and record.revision:
        live = Gauge("setlist_live_revision", "The last revision made live.", registry=registry)
        live.set(record.revision)
    pushadd_to_gateway(
        url, "setlist", registry, grouping_key={"name": record.name}, timeout=TIMEOUT
    )
