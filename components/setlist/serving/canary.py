"""Try a revision before it is promoted: as a shadow, or on a share of the listeners.

A shadow is asked the same as the live model, after the answer, and nobody sees its lists.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from setlist.errors import ModelError
from setlist.models.worker.query import Query, RankedList
from setlist.serving.messages import RefusedRequest
from setlist.serving.served_model import ServedModel

MAX_WAITING_QUERIES = 64
"""Queries that wait for the shadow; further ones are left out, so that memory stays bounded."""
SHADOW_NICENESS = 10
"""Priority of the shadow's process (0 to 19): the live model gets the processor first."""
SHADOW_SECONDS = 10.0
"""Nobody waits for its lists."""


def gets_candidate(listener: str | None, revision: int, share: float) -> bool:
    """Whether a listener gets the candidate; a listener without an id gets the live model.

    The answer for a listener and a revision is always the same. Each revision gets a new sample of
    the listeners.

    Args:
        listener: the id.
        revision: of the candidate.
        share: of the listeners who get it, from 0 to 1.
    """
    if listener is None:
        return False
    # The hash is a uniform number from 0 to 2^64, the same in every process and replica.
    digest = hashlib.sha256(f"{revision}:{listener}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True)
class AnsweredQuery:
    """A query and the list that a revision answered.

    Attributes:
        identity: of the revision, see `ServedModel`.
        query: what was asked.
        ranked: the list.
        listener: the id, where it was sent.
        request_id: of the request.
    """

    identity: str
    query: Query
    ranked: RankedList
    listener: str | None
    request_id: str


class Shadow:
    """Asks the candidate what the live model has answered, and compares the two lists."""

    def __init__(
        self,
        candidate: Callable[[], ServedModel | None],
        log: Callable[[ServedModel, AnsweredQuery], None],
        registry: CollectorRegistry,
    ) -> None:
        """Create it; it begins with `start`.

        Args:
            candidate: returns the candidate's model, None while it is not loaded.
            log: called with the candidate's model and its answer.
            registry: for overlap@k, and the numbers of queries left out and failed.
        """
        self._candidate, self._log = candidate, log
        self._waiting: asyncio.Queue[AnsweredQuery] = asyncio.Queue(MAX_WAITING_QUERIES)
        self._task: asyncio.Task[None] | None = None
        self._overlap = Histogram(
            "setlist_shadow_overlap",
            "Share of the live list that the candidate lists too, at the requested k.",
            buckets=[number / 10 for number in range(11)],
            registry=registry,
        )
        self._missed = Counter(
            "setlist_shadow_missed", "Queries that the shadow left out.", registry=registry
        )
        self._failed = Counter(
            "setlist_shadow_failed", "Queries on which the candidate failed.", registry=registry
        )

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ask the candidate the waiting queries for a while, then end."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(SHADOW_SECONDS):
                await self._waiting.join()
        except TimeoutError:
            self._missed.inc(self._waiting.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def compare(self, live: AnsweredQuery) -> None:
        """Compare with the candidate later; returns at once, also when too many queries wait."""
        try:
            self._waiting.put_nowait(live)
        except asyncio.QueueFull:
            self._missed.inc()

    async def _run(self) -> None:
        while True:
            live = await self._waiting.get()
            try:
                await self._compare(live)
            finally:
                self._waiting.task_done()

    async def _compare(self, live: AnsweredQuery) -> None:
        model = self._candidate()
        # After its promotion the candidate is the live model: there is nothing to compare.
        if model is None or model.identity == live.identity:
            return
        try:
            with model.pool.held():
                (ranked,) = await model.pool.ask([live.query], SHADOW_SECONDS)
        except (RefusedRequest, ModelError):
            self._failed.inc()
            return
        in_both = len(set(ranked.item_ids) & set(live.ranked.item_ids))
        self._overlap.observe(in_both / max(len(live.ranked.item_ids), 1))
        answer = AnsweredQuery(model.identity, live.query, ranked, live.listener, live.request_id)
        self._log(model, answer)
