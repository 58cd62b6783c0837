"""Announces the result of a run: to a webhook and to a Prometheus push gateway.

The addresses are optional variables of the environment; on a cluster they come from the Secret
`setlist-notifications`. The run has ended when it is announced, so a recipient that does not answer
in time is a printed line, and no failure.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any, get_args

import requests  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway
from urllib3.util import Retry

from setlist.data.verdict import DataOutcome, DataVerdict
from setlist.errors import StoreError
from setlist.printable import one_line
from setlist.runs.cleaning import clean_after_run
from setlist.runs.failed_run import explain_failure
from setlist.runs.record import Kind, MonitoringRecord, Record, RunRecord, write_missing_records
from setlist.runs.run_pods import NAMESPACE_VARIABLE, read_run_pods
from setlist.runs.step_failure import (
    NAME_VARIABLE,
    STORE_VARIABLE,
    StepFailure,
    read_failures,
    remove_failures,
)
from setlist.store.kept_report import fits, page_base, run_path, with_links, write_over
from setlist.store.model_store import open_store
from setlist.store.objects import open_objects
from setlist.store.reader import checked_name

WEBHOOK_VARIABLE = "SETLIST_WEBHOOK"
PUSH_GATEWAY_VARIABLE = "SETLIST_PUSH_GATEWAY"
PAGE_VARIABLE = "SETLIST_PAGE"
"""The address of Kubeflow's page, as people reach it."""
ATTEMPT_TIMEOUT_SECONDS = 10.0
"""For each attempt to reach a recipient."""
TOTAL_TIMEOUT_SECONDS = 120.0
"""For all attempts, even if a recipient asks to wait longer; the step has ten minutes."""
# allowed_methods=None: a POST is repeated, too; a message that arrives twice does no harm.
RETRIES = Retry(
    total=4, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None
)


def announce(
    store: str,
    name: str,
    run_id: str,
    verdict: Path | None,
    pushed: Path | None,
    data_verdict: Path | None = None,
    report: Path | None = None,
) -> RunRecord:
    """Record the result of a completed run, announce it, and remove what killed runs have left.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        run_id: of the run.
        verdict: the gate's; None when the run ended before anything was trained.
        pushed: the document that push wrote; None when nothing was pushed.
        data_verdict: that of the gate for data; None when the run ended before it.
        report: of a run that pushed nothing, to be kept with its record; a revision has its own.

    Raises:
        EvaluationError: the verdict cannot be read.
        StoreError: the record cannot be written.
    """
    # Before the record, which names it: who reads the record finds the report.
    sha256 = _keep_report(store, name, run_id, report) if report else ""
    record = RunRecord.of_run(name, run_id, verdict, pushed, data_verdict, sha256)
    record = _write(record, store)
    notify(record)
    clean_after_run(store, name)
    return record


def announce_skew(store: str, name: str, run_id: str, verdict: Path) -> MonitoringRecord:
    """Record the result of a monitoring run, announce it, and fail where a bound is exceeded.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        run_id: of the run.
        verdict: on the requests.

    Raises:
        DataError: the verdict cannot be read, or is to stop; then the result is announced before.
        StoreError: the record cannot be written.
    """
    judged = DataVerdict.read(verdict)
    record = _write(MonitoringRecord.of_run(name, run_id, judged), store)
    notify(record)
    judged.refuse("the model is not asked what it was trained on")
    return record


def announce_failure(
    store: str, name: str, run_id: str, message: str, kind: type[Record] = RunRecord
) -> Record | None:
    """Announce that a run failed; do nothing and return None if the run has recorded its result.

    A run that promoted and was killed before it recorded that has not failed: its record is made
    up, and announced.

    The record decides, not the states of the tasks: on some versions of the backend, an exit
    handler sees a graph that has failed as a graph that still runs.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        run_id: of the run.
        message: what is known about the reason, or "".
        kind: of the record, by the pipeline.
    """
    record: Record | None = None
    try:
        if (recorded := kind.read(store, name, run_id)) and not recorded.made_up:
            return None
        # It may have done what it was to do, and been killed before it could say so.
        record = recorded or _made_up(store, name, run_id, kind)
        if record is None:
            failures = _failures(store, name, run_id)
            record = _of_failure(kind, name, run_id, message, failures)
            record.write(store)
            _remove_failures(store, name, run_id)
    except StoreError as fault:
        # The store may be the reason of the failure; then people have to hear of it all the more.
        print(f"not recorded: {fault}", flush=True)
        record = record or _of_failure(kind, name, run_id, message, [])
    notify(record)
    return record


def _made_up(store: str, name: str, run_id: str, kind: type[Record]) -> Record | None:
    """The record of a run that promoted, written for it."""
    written = write_missing_records(open_store(store), name) if kind is RunRecord else []
    return next((record for record in written if record.run_id == run_id), None)


def _of_failure(
    kind: type[Record], name: str, run_id: str, message: str, failures: list[StepFailure]
) -> Record:
    """The record of a failed run, with what its steps have written and what their pods say."""
    namespace = os.environ.get(NAMESPACE_VARIABLE)
    cluster = read_run_pods(run_id, namespace) if namespace else None
    sentence, failures = explain_failure(run_id, failures, cluster)
    record = kind.of_failure(name, run_id, sentence or message, failures)
    return record.model_copy(update={"link": _link(run_id)})


def _keep_report(store: str, name: str, run_id: str, report: Path) -> str:
    """Put the report of a run that pushed nothing into the store; its SHA-256, "" if too large."""
    objects = open_objects(store)
    page = with_links(report.read_text("utf-8"), page_base(objects.uri, name)).encode()
    if not fits(page, run_id):
        return ""
    return write_over(objects, f"{checked_name(name)}/{run_path(run_id)}", page)


def _write(record: Kind, store: str) -> Kind:
    """Write a record with the steps that failed and were repeated; return it."""
    failures = _failures(store, record.name, record.run_id)
    update = {"failures": tuple(failures), "link": _link(record.run_id)}
    record = record.model_copy(update=update)
    record.write(store)
    _remove_failures(store, record.name, record.run_id)
    return record


def _places(store: str, name: str) -> list[tuple[str, str]]:
    """Where the steps of a run write: into the store for which it was compiled.

    A run that was started with another one as an argument has two.
    """
    compiled = (os.environ.get(STORE_VARIABLE) or store, os.environ.get(NAME_VARIABLE) or name)
    return list(dict.fromkeys([(store, name), compiled]))


def _failures(store: str, name: str, run_id: str) -> list[StepFailure]:
    return [
        failure
        for place, model in _places(store, name)
        for failure in read_failures(open_objects(place), model, run_id)
    ]


def _remove_failures(store: str, name: str, run_id: str) -> None:
    for place, model in _places(store, name):
        remove_failures(open_objects(place), model, run_id)


def _link(run_id: str) -> str:
    page = os.environ.get(PAGE_VARIABLE, "").strip().rstrip("/")
    return f"{page}/#/runs/details/{run_id}" if page else ""


def notify(record: Record, environment: Mapping[str, str] = os.environ) -> None:
    """Print the record's line, and send it to the recipients that the environment names."""
    print(record.line, flush=True)
    if url := environment.get(WEBHOOK_VARIABLE, "").strip():
        _send("webhook", WEBHOOK_VARIABLE, lambda: _post(url, record))
    if gateway := environment.get(PUSH_GATEWAY_VARIABLE, "").strip():
        _send("push gateway", PUSH_GATEWAY_VARIABLE, lambda: _push_metrics(gateway, record))


def _send(recipient: str, variable: str, send: Callable[[], None]) -> None:
    """Call `send` with a time limit, and print a line if it fails.

    It runs in a daemon thread, because neither a name server nor a slowly sent answer counts
    towards the time-out of a request. A fault is printed as its type: most texts of faults contain
    the address, which is a secret.
    """
    result: Future[str] = Future()

    def attempt() -> None:
        reason = ""
        try:
            send()
        except Exception as fault:  # whatever it is, the run has ended well
            answer = getattr(fault, "response", None)
            status = getattr(fault, "code", None) or getattr(answer, "status_code", None)
            reason = f"status {status}" if status else type(fault).__name__
        result.set_result(reason)

    Thread(target=attempt, daemon=True).start()
    try:
        reason = result.result(TOTAL_TIMEOUT_SECONDS)
    except TimeoutError:
        reason = f"not in {TOTAL_TIMEOUT_SECONDS:.0f} seconds"
    if reason:
        print(f"the {recipient} was not reached ({reason}); correct {variable}.", flush=True)


def _post(url: str, record: Record) -> None:
    """Post one message in the format of Slack and compatible services."""
    place = f" {record.link}" if record.link else ""
    text = one_line(f"{record.line} (run {record.run_id}){place}")
    # Slack reads these three as markup. & comes first, because the others are written with it.
    for character, escaped in {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.items():
        text = text.replace(character, escaped)
    _request("POST", url, json={"text": text})


def _request(method: str, url: str, **content: Any) -> None:  # noqa: ANN401 - what requests takes
    """Send one request, again where the fault may pass."""
    with requests.Session() as session:
        adapter = requests.adapters.HTTPAdapter(max_retries=RETRIES)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.request(method, url, timeout=ATTEMPT_TIMEOUT_SECONDS, **content).raise_for_status()


def _push_metrics(url: str, record: Record) -> None:
    """Add the metrics of one model to those that the gateway has.

    A metric that is not sent keeps its value there, as the live revision does after a refusal.
    """
    registry = CollectorRegistry()
    run = "run" if isinstance(record, RunRecord) else "monitoring"
    ended = Gauge(
        f"setlist_{run}_ended_timestamp_seconds", f"When the last {run} ended.", registry=registry
    )
    ended.set_to_current_time()
    outcomes = Gauge(
        f"setlist_{run}_outcome",
        f"1 for what came of the last {run}.",
        ["outcome"],
        registry=registry,
    )
    for outcome in get_args(type(record).model_fields["outcome"].annotation):
        outcomes.labels(outcome).set(outcome == record.outcome)
    if isinstance(record, RunRecord):
        of_data = Gauge(
            "setlist_data_gate_outcome",
            "1 for what the gate for data said in the last run.",
            ["outcome"],
            registry=registry,
        )
        for outcome in get_args(DataOutcome):
            of_data.labels(outcome).set(outcome == record.data_outcome)
    if isinstance(record, RunRecord) and record.outcome == "promoted" and record.revision:
        live = Gauge("setlist_live_revision", "The last revision made live.", registry=registry)
        live.set(record.revision)
    pushadd_to_gateway(url, "setlist", registry, grouping_key={"name": record.name}, handler=_push)


def _push(
    url: str,
    method: str,
    timeout: float | None,  # noqa: ARG001 - ours counts
    headers: list[tuple[str, str]],
    data: bytes,
) -> Callable[[], None]:
    """How Prometheus's client sends; its own way tries once."""
    return lambda: _request(method, url, headers=dict(headers), data=data)
