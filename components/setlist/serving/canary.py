"""Another revision before it is promoted to all: in the shadow, or on a share of listeners."""

import hashlib
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from setlist.serving.served_model import Listed, Question, ServedModel

WAITING = 64
"""Requests that wait for the shadow; more are left out, so that it never holds up the live one."""
NICE = 10


def chosen(listener: str | None, revision: int, share: float) -> bool:
    """Whether a listener gets the candidate: always the same answer for the same revision.

    Another revision is given to another share of the listeners. Who has no id gets the live model.
    """
    if listener is None:
        return False
    digest = hashlib.sha256(f"{revision}:{listener}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True)
class Shown:
    """What the live model answered."""

    revision: int
    question: Question
    listed: Listed
    listener: str | None
    request_id: str


class Shadow:
    """Asks the candidate what the live model was asked, after the answer; shows it to nobody."""

    def __init__(
        self,
        candidate: Callable[[], ServedModel | None],
        log: Callable[[ServedModel, Shown], None],
        registry: CollectorRegistry,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            candidate: the model, or None while there is none.
            log: is told the candidate and what it listed.
            registry: for overlap@k and the requests left out.
        """
        self._candidate, self._log = candidate, log
        self._waiting: queue.Queue[Shown | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        labels = ("revision", "live")
        self._overlap = Histogram(
            "setlist_shadow_overlap",
            "Share of the live list that the candidate lists too, at the k that was asked for.",
            labels,
            buckets=[number / 10 for number in range(11)],
            registry=registry,
        )
        self._missed = Counter(
            "setlist_shadow_missed", "Requests that the shadow left out.", registry=registry
        )
        self._failed = Counter(
            "setlist_shadow_failed", "Requests that the candidate failed.", registry=registry
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, then end."""
        self._waiting.put(None)
        self._thread.join(timeout=10)

    def show(self, shown: Shown) -> None:
        """Compare when there is time for it; never waits."""
        try:
            self._waiting.put_nowait(shown)
        except queue.Full:
            self._missed.inc()

    def _run(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while shown := self._waiting.get():
            model = self._candidate()
            if model is None or model.revision == shown.revision:
                continue
            try:
                (listed,) = model.lists([shown.question])
            except Exception as fault:  # a stranger's graph may raise anything
                self._failed.inc()
                print(f"shadow: revision {model.revision} failed: {fault}", flush=True)
                continue
            both = len(set(listed.item_ids) & set(shown.listed.item_ids))
            self._overlap.labels(model.revision, shown.revision).observe(
                both / max(len(shown.listed.item_ids), 1)
            )
            again = Shown(model.revision, shown.question, listed, shown.listener, shown.request_id)
            self._log(model, again)
