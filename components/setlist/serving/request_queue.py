"""The requests that wait for a model: how long, in which batch, and which of them are refused.

A request never waits for others to arrive. The requests that arrive while all workers are busy are
the next batch.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from setlist.models.worker.query import Query, RankedList
from setlist.serving.messages import GONE, RefusedRequest

MAX_BATCH_LISTENERS = 16
"""Beyond this number the scores of a batch outgrow the processor's cache: each takes longer."""
MAX_WAITING_SECONDS = 0.25
"""A request that would probably wait longer is refused at once: whoever asks for a page has better
use of an answer now, and one that comes too late costs as much as one in time."""
MAX_WAITING_REQUESTS = 256
"""Whatever their time: each holds its body."""
HUNG_QUERIES, HUNG_SECONDS = 1_000, 60.0
"""Queries that are remembered because the model did not come back from them, and for how long: the
node may have been the reason."""
IDLE_SECONDS = 0.5
"""Between two looks whether a worker that is not asked is still there."""

FULL = "too many requests wait; come again later"
HUNG = "the model did not come back from this request"

Gone = Callable[[], Awaitable[bool]]


@dataclass(eq=False)
class WaitingRequest:
    """Queries of one request, and the future that gets their lists.

    Attributes:
        queries: each for one listener.
        with_ids: whether ids and scores are needed beside the rendered list.
        answer: gets the list of each query.
        gone: whether the client has hung up meanwhile; None: nobody could.
        alone: whether it is asked in a batch of its own.
        losses: how often a worker was lost over it alone.
    """

    queries: Sequence[Query]
    with_ids: bool
    answer: "asyncio.Future[list[RankedList]]"
    gone: Gone | None
    alone: bool = False
    losses: int = 0

    @property
    def key(self) -> int:
        """Equal for equal queries."""
        return hash(repr([vars(query) for query in self.queries]))

    def fail(self, fault: Exception) -> None:
        """Give the fault in place of lists, unless the deadline has passed."""
        if not self.answer.done():
            self.answer.set_exception(fault)


class RequestQueue:
    """The queue of one model; its methods are for one event loop."""

    def __init__(self, workers: int) -> None:
        """Args: workers: that take from it."""
        self._workers = workers
        self._waiting: deque[WaitingRequest] = deque()
        self._arrived = asyncio.Event()
        self._hung: OrderedDict[int, float] = OrderedDict()  # until when, by key
        self._seconds_per_listener = 0.0

    @property
    def full(self) -> bool:
        """Whether a request that comes now is refused, because it would wait too long."""
        listeners = sum(len(request.queries) for request in self._waiting) / self._workers
        seconds = listeners * self._seconds_per_listener
        # What fits into the next batch waits for one call only, however long that is.
        late = listeners >= MAX_BATCH_LISTENERS and seconds > MAX_WAITING_SECONDS
        return late or len(self._waiting) >= MAX_WAITING_REQUESTS

    async def ask(
        self, queries: Sequence[Query], seconds: float, with_ids: bool, gone: Gone | None
    ) -> list[RankedList]:
        """Wait for the lists of a request; see `ModelPool.ask`."""
        if self.full:
            raise RefusedRequest(503, FULL)
        request = self._request(queries, with_ids, gone)
        self._waiting.append(request)
        return await self._answer(request, seconds)

    async def ask_first(self, query: Query, seconds: float) -> None:
        """Wait for the answer to a query that goes before those that wait, full or not."""
        request = self._request([query], with_ids=False, gone=None)
        # A worker that is lost over it says nothing about such queries.
        request.losses = -1
        self._waiting.appendleft(request)
        await self._answer(request, seconds)

    def _request(
        self, queries: Sequence[Query], with_ids: bool, gone: Gone | None
    ) -> WaitingRequest:
        return WaitingRequest(queries, with_ids, asyncio.get_running_loop().create_future(), gone)

    async def _answer(self, request: WaitingRequest, seconds: float) -> list[RankedList]:
        self._arrived.set()
        try:
            async with asyncio.timeout(seconds):
                return await request.answer
        except TimeoutError as fault:
            raise RefusedRequest(504, f"no answer within {seconds:.4g} s") from fault

    async def next_batch(self, lost: Callable[[], bool]) -> list[WaitingRequest]:
        """Wait for a request, and take those behind it that fit into its batch.

        Args:
            lost: whether the worker that asks has ended; then nothing is taken.
        """
        batch: list[WaitingRequest] = []
        while not batch:
            while not self._waiting and not lost():
                self._arrived.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), IDLE_SECONDS)
            if lost():
                return []
            while self._waiting and _fits(self._waiting[0], batch):
                request = self._waiting.popleft()
                if await self._worth_asking(request):
                    batch.append(request)
        return batch

    async def _worth_asking(self, request: WaitingRequest) -> bool:
        """Whether somebody waits for the answer, and the model may be asked for it."""
        if request.answer.done():  # its deadline has passed
            return False
        if request.gone and await request.gone():
            request.fail(RefusedRequest(GONE, "the client has hung up"))
            return False
        if self._hung and time.monotonic() < self._hung.get(request.key, 0.0):
            request.fail(RefusedRequest(504, HUNG))
            return False
        return True

    def deliver(
        self, batch: Sequence[WaitingRequest], lists: Sequence[RankedList], seconds: float
    ) -> None:
        """Give each request of a batch its lists; all of them took so many seconds."""
        start = 0
        for request in batch:
            stop = start + len(request.queries)
            if not request.answer.done():  # its deadline has passed
                request.answer.set_result(list(lists[start:stop]))
            start = stop
        weight = 0.1 if self._seconds_per_listener else 1.0
        self._seconds_per_listener += weight * (seconds / start - self._seconds_per_listener)

    def fail(self, batch: Sequence[WaitingRequest], fault: Exception) -> None:
        """The model failed on a batch: only the request at fault gets the fault."""
        if len(batch) == 1:
            batch[0].fail(fault)
        else:
            self._ask_alone(batch)

    def lose(self, batch: Sequence[WaitingRequest], hung: bool) -> None:
        """A worker was lost over a batch: it did not come back (hung), or its process ended.

        A process can end for another reason than the request, which is asked once more.
        """
        if len(batch) > 1:
            self._ask_alone(batch)
            return
        (request,) = batch
        request.losses += 1
        if not hung and request.losses == 1:
            self._ask_alone(batch)
            return
        if hung and request.losses > 0:
            self._hung[request.key] = time.monotonic() + HUNG_SECONDS
            while len(self._hung) > HUNG_QUERIES:
                self._hung.popitem(last=False)
        request.fail(RefusedRequest(504, HUNG))

    def _ask_alone(self, batch: Sequence[WaitingRequest]) -> None:
        """Let each request of a batch be asked in one of its own, after those that wait."""
        for request in batch:
            request.alone = True
            self._waiting.append(request)
        self._arrived.set()


def _fits(request: WaitingRequest, batch: Sequence[WaitingRequest]) -> bool:
    """Whether a request goes into a batch; any goes into an empty one."""
    if not batch:
        return True
    listeners = sum(len(each.queries) for each in (*batch, request))
    return not (request.alone or batch[0].alone) and listeners <= MAX_BATCH_LISTENERS
