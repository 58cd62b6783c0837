"""Metrics of followers for Prometheus, and the status pages of a process without a server.

Metrics are computed at the moment of the scrape, from the followers' attributes.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from setlist.serving.follower import ModelFollower, RevisionInUse

LABELS = ("name", "follows")
GAUGES = {
    "setlist_model_revision": "The revision in use.",
    "setlist_wanted_revision": "The revision that should be in use.",
    "setlist_last_poll_timestamp_seconds": "When HEAD was polled last.",
    "setlist_last_success_timestamp_seconds": (
        "When the revision in use was last known to be the one that should be in use."
    ),
    "setlist_last_error_timestamp_seconds": "When something failed last.",
    "setlist_faulty": "1 while something is wrong; /healthz says what.",
}
"""Name and help text of the metrics with one value for a follower."""


class FollowerMetrics(Collector):
    """The metrics of followers; the label `follows` is HEAD or the number of a fixed revision."""

    def __init__(self, followers: Sequence[ModelFollower]) -> None:
        """Use it as `registry.register(FollowerMetrics(followers))`."""
        self._followers = followers

    def collect(self) -> Iterator[Metric]:
        """All metrics, each with a sample for every follower that has a value."""
        gauges = {
            name: GaugeMetricFamily(name, text, labels=LABELS) for name, text in GAUGES.items()
        }
        age = GaugeMetricFamily(
            "setlist_model_age_seconds",
            "Age of the model in use, since the end of its training window and since it went live.",
            labels=(*LABELS, "since"),
        )
        swaps = CounterMetricFamily("setlist_swaps", "Models handed over.", labels=LABELS)
        faults = CounterMetricFamily(
            "setlist_faults", "Failures, by stage.", labels=(*LABELS, "stage")
        )
        for follower in self._followers:
            labels = [follower.name, str(follower.pinned) if follower.pinned else "HEAD"]
            for name, value in _gauge_values(follower).items():
                if value is not None:
                    gauges[name].add_metric(labels, value)
            for since, unix_seconds in _ages(follower.in_use):
                age.add_metric([*labels, since], time.time() - unix_seconds)
            swaps.add_metric(labels, follower.swaps)
            for stage, number in follower.faults.items():
                faults.add_metric([*labels, stage.replace(" ", "_")], number)
        yield from (*gauges.values(), age, swaps, faults)


def _gauge_values(follower: ModelFollower) -> dict[str, float | None]:
    """The values by the names in GAUGES; None while a value is unknown."""
    last_fault = follower.last_fault
    return {
        "setlist_model_revision": follower.in_use.revision if follower.in_use else None,
        "setlist_wanted_revision": follower.target,
        "setlist_last_poll_timestamp_seconds": follower.last_poll,
        "setlist_last_success_timestamp_seconds": follower.last_success,
        "setlist_last_error_timestamp_seconds": (
            _unix_seconds(last_fault.when) if last_fault else None
        ),
        "setlist_faulty": float(follower.fault is not None),
    }


def _ages(in_use: RevisionInUse | None) -> Iterator[tuple[str, float]]:
    """The instants that the age counts from, as Unix seconds."""
    if in_use:
        instants = {
            "training": in_use.manifest.training_window.get("end"),
            "promotion": in_use.promoted,
        }
        for since, text in instants.items():
            if (unix_seconds := _unix_seconds(text)) is not None:
                yield since, unix_seconds


def _unix_seconds(text: str | None) -> float | None:
    """Unix seconds of an ISO instant; None for any other text, which a foreign store may hold."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def serve_status(follower: ModelFollower, listener: socket.socket) -> ThreadingHTTPServer:
    """Answer /healthz, /readyz and /metrics in a thread, until `shutdown` of the result is called.

    /healthz is 200 whatever is wrong with the store, so that nobody restarts a process that keeps
    a good model; its body says what is wrong. /readyz is 503 until there is a model.

    Args:
        follower: whose status it is.
        listener: a bound socket.
    """
    registry = CollectorRegistry()
    registry.register(FollowerMetrics([follower]))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path in ("/healthz", "/readyz"):
                ready = self.path == "/healthz" or follower.in_use is not None
                content = json.dumps(follower.health()).encode()
                self._answer(200 if ready else 503, "application/json", content)
            else:
                self.send_error(404)

        def _answer(self, status: int, content_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing: probes come every few seconds."""

    # The server is given a socket that is bound already: a taken port is known before the follower
    # starts.
    server = ThreadingHTTPServer(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_activate()
    threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
    return server
