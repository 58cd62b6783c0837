"""What came of a run, told where people and alarms look: a webhook and a Prometheus push gateway.

Both are optional and named by the environment, on a cluster by the Secret `setlist-notifications`.
The run is over when this speaks: a listener that cannot be reached is a printed line, no failure.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import requests  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway
from urllib3.util import Retry

from components.errors import SetlistError
from components.record import Outcome, RunRecord

WEBHOOK = "SETLIST_WEBHOOK"
GATEWAY = "SETLIST_PUSH_GATEWAY"
TIMEOUT = 10.0
"""Seconds for each attempt to reach a listener."""
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
        try:
            _post(url, record)
        except requests.RequestException as fault:
            _unheard("webhook", WEBHOOK, fault)
    if url := environment.get(GATEWAY, "").strip():
        try:
            _push(url, record)
        except (OSError, ValueError) as fault:
            _unheard("push gateway", GATEWAY, fault)


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


def _unheard(listener: str, variable: str, fault: Exception) -> None:
    """The address is a secret, and stands in the text of most faults."""
    answer = getattr(fault, "response", None)
    status = getattr(fault, "code", None) or getattr(answer, "status_code", None)
    reason = f"status {status}" if status else type(fault).__name__
    print(f"the {listener} was not reached ({reason}); correct {variable}.", flush=True)
