"""The workers of one revision, and the requests that wait for them.

A request never waits for others to arrive. The requests that arrive while all workers are busy are
the next batch. A worker that does not answer in time, or dies, is killed and replaced; meanwhile
requests wait as long as their deadlines allow.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from setlist.errors import ModelError
from setlist.models.contract import ModelInfo
from setlist.models.worker import frames
from setlist.models.worker.model_worker import ModelWorker, checked
from setlist.models.worker.query import Query, RankedList
from setlist.serving.messages import GONE, RefusedRequest

MAX_BATCH_LISTENERS = 16
"""Beyond this number the scores of a batch outgrow the processor's cache: each takes longer."""
MAX_WAITING_SECONDS = 0.25
"""A request that would probably wait longer is refused at once: whoever asks for a page has better
use of an answer now, and one that comes too late costs as much as one in time."""
MAX_WAITING_REQUESTS = 256
"""Whatever their time: each holds its body."""
CALL_SECONDS_FLOOR, CALL_FACTOR = 1.0, 10.0
"""A call may take so many times as long as the slowest call of the warm-up, and at least a second:
its process does not come back, or the node has no processor for it."""
ANSWER_BYTES = 64 << 20
"""Of an answer; the largest allowed request has some 6 MB."""
HUNG_QUERIES, HUNG_SECONDS = 1_000, 60.0
"""Queries that are remembered because the model did not come back from them, and for how long: the
node may have been the reason."""
IDLE_SECONDS = 0.5
"""Between two looks whether a worker that is not asked is still there."""
RELOADS = 3
"""After so many attempts to replace a worker the files of the model are fetched again."""
RETRY_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Pauses before a worker that cannot be replaced is tried again."""

FULL = "too many requests wait; come again later"
HUNG = "the model did not come back from this request"

Gone = Callable[[], Awaitable[bool]]
PROBE = Query(history=(), ages=(), exclude=(), inputs={}, k=1)


@dataclass(eq=False)
class _WaitingRequest:
    queries: Sequence[Query]
    with_ids: bool
    answer: "asyncio.Future[list[RankedList]]"
    gone: Gone | None
    alone: bool = False  # it is asked in a batch of its own

    asked: int = 0  # how often a worker was lost over it

    @property
    def key(self) -> int:
        """Equal for equal queries."""
        return hash(repr([vars(query) for query in self.queries]))


class ModelPool:
    """The workers of one revision; its coroutines are for one event loop."""

    def __init__(
        self,
        folder: Path,
        take: Callable[[], ModelWorker],
        number: int = 1,
        allowed: Sequence[str] = (),
        count: Callable[[str], None] = lambda _: None,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is loaded yet; see `load` and `start`.

        Args:
            folder: of the model.
            take: gives a worker that has no model yet.
            number: of the workers.
            allowed: operations of the graph that are allowed beside the usual ones.
            count: called with "hung" or "died" where a worker was lost.
            broken: called where a worker cannot be replaced, as when files of the model are gone.
        """
        self.folder = folder
        self._take, self._number, self._allowed = take, number, allowed
        self._count, self._broken = count, broken
        self._workers: list[ModelWorker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[_WaitingRequest] = deque()
        self._arrived = asyncio.Event()
        self._hung: OrderedDict[int, float] = OrderedDict()  # until when, by key
        self.open_requests = 0
        """Requests that hold this pool."""
        self._at_work = 0  # workers that can be asked
        self._closed = False
        self._seconds_per_listener = 0.0
        self.call_seconds = CALL_SECONDS_FLOOR
        self.last_answer = 0.0
        """When a worker answered last, as `time.monotonic` counts."""

    def load(self) -> ModelInfo:
        """Load and warm up the model in each worker; for a thread outside of the event loop.

        Raises:
            ModelError: it is refused, does not load, or does not answer.
        """
        try:
            self._workers = [self._take() for _ in range(self._number)]
            for worker in self._workers:
                info = self._load_into(worker)
        except BaseException:
            self._kill()
            raise
        self.last_answer = time.monotonic()
        return info

    def _load_into(self, worker: ModelWorker) -> ModelInfo:
        info = worker.load(self.folder, self._allowed)
        slowest = worker.warm_up(self.folder)
        self.call_seconds = max(CALL_SECONDS_FLOOR, CALL_FACTOR * slowest)
        # What the model prints from here on may be of listeners.
        worker.quiet = True
        worker.connection.setblocking(False)
        return info

    def start(self) -> None:
        """Begin to answer, in the running event loop."""
        self._at_work = len(self._workers)
        self._tasks = [
            asyncio.create_task(self._serve(place)) for place in range(len(self._workers))
        ]

    @property
    def unconfined(self) -> str:
        """What its processes could not give up; see `ModelWorker`."""
        return self._workers[0].unconfined or ""

    @property
    def at_work(self) -> bool:
        """Whether a worker can be asked now; False while all are being replaced."""
        return self._at_work > 0

    @property
    def full(self) -> bool:
        """Whether a request that comes now is refused, because it would wait too long."""
        each = sum(len(request.queries) for request in self._waiting) / self._number
        # What fits into the next batch waits for one call only, however long that is.
        long = (
            each >= MAX_BATCH_LISTENERS and each * self._seconds_per_listener > MAX_WAITING_SECONDS
        )
        return long or len(self._waiting) >= MAX_WAITING_REQUESTS

    async def ask(
        self,
        queries: Sequence[Query],
        seconds: float,
        *,
        with_ids: bool = True,
        gone: Gone | None = None,
        first: bool = False,
    ) -> list[RankedList]:
        """The model's list for each query.

        Args:
            queries: of one request.
            seconds: until the caller has no use for the answer.
            with_ids: whether ids and scores are needed beside the rendered list.
            gone: whether the caller has gone meanwhile; asked before the model is.
            first: whether it goes before those that wait.

        Raises:
            RefusedRequest: too many wait (503), or there is no answer in time (504).
            ModelError: what the model raised on these queries; other requests do not see it.
        """
        if self.full and not first:
            raise RefusedRequest(503, FULL)
        request = _WaitingRequest(
            queries, with_ids, asyncio.get_running_loop().create_future(), gone
        )
        (self._waiting.appendleft if first else self._waiting.append)(request)
        self._arrived.set()
        try:
            async with asyncio.timeout(seconds):
                return await request.answer
        except TimeoutError as fault:
            raise RefusedRequest(504, f"no answer within {seconds:.4g} s") from fault

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the pool open until a request is answered that may ask it."""
        self.open_requests += 1
        try:
            yield
        finally:
            self.open_requests -= 1

    async def probe(self) -> bool:
        """Whether the model answers: it has just done so, or it does when it is asked now."""
        if not self.at_work:
            return False
        seconds = self.call_seconds / 2
        if time.monotonic() - self.last_answer < seconds:
            return True
        try:
            await self.ask([PROBE], seconds, with_ids=False, first=True)
        except (RefusedRequest, ModelError):
            return False
        return True

    async def retire(self, seconds: float) -> None:
        """Close when the requests that have it are answered, or after so many seconds."""
        until = time.monotonic() + seconds
        while self.open_requests and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await self.close()

    async def close(self) -> None:
        """End the workers; requests that wait get no answer."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._kill)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.close()

    async def _serve(self, place: int) -> None:
        """Give one worker its batches, and replace it when it is lost."""
        worker = self._workers[place]
        while True:
            try:
                # A duplicate, which the streams close; the worker closes its own.
                reader, writer = await asyncio.open_connection(sock=worker.connection.dup())
                try:
                    await self._answer(reader, writer)
                finally:
                    writer.close()
            except OSError as fault:  # such as too many open files
                print(f"a worker is given up: {fault}", flush=True)
            worker = await self._replaced(place)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer batch after batch, until the worker is lost."""
        while True:
            batch = await self._next_batch(reader)
            if not batch:
                self._count("died")
                return
            try:
                self._deliver(batch, await self._call(reader, writer, batch))
            except ModelError as fault:
                if len(batch) == 1:
                    _fail(batch[0], fault)
                else:  # only the request at fault fails
                    self._again(batch)
            except (TimeoutError, OSError, EOFError, frames.FrameError) as fault:
                hung = isinstance(fault, TimeoutError)
                self._count("hung" if hung else "died")
                self._suspect(batch, hung)
                return

    async def _call(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        batch: Sequence[_WaitingRequest],
    ) -> list[RankedList]:
        """What the worker answers to a batch.

        Raises:
            ModelError: what went wrong there.
            TimeoutError, OSError, EOFError, FrameError: the worker is lost.
        """
        queries = [query for request in batch for query in request.queries]
        asked = {
            "call": "answer",
            "folder": str(self.folder.absolute()),
            "queries": [vars(query) for query in queries],
            "ids": any(request.with_ids for request in batch),
        }
        began = time.monotonic()
        async with asyncio.timeout(self.call_seconds):
            writer.write(frames.pack(frames.Message(asked)))
            await writer.drain()
            sizes = frames.sizes(await reader.readexactly(frames.SIZES.size), ANSWER_BYTES)
            head, body = [await reader.readexactly(size) for size in sizes]
        message = checked(frames.unpack(head, body))
        self.last_answer = time.monotonic()
        each = (self.last_answer - began) / len(queries)
        weight = 0.1 if self._seconds_per_listener else 1.0
        self._seconds_per_listener += weight * (each - self._seconds_per_listener)
        return _ranked_lists(message, len(queries))

    async def _next_batch(self, reader: asyncio.StreamReader) -> list[_WaitingRequest]:
        """Wait for a request, and take those behind it that fit into its batch.

        Nothing is taken where the worker has ended meanwhile.
        """
        batch: list[_WaitingRequest] = []
        size = 0
        while not batch:
            while not self._waiting and not reader.at_eof():
                self._arrived.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), IDLE_SECONDS)
            if reader.at_eof():
                return []
            while self._waiting:
                request = self._waiting[0]
                if batch and (
                    request.alone
                    or batch[0].alone
                    or size + len(request.queries) > MAX_BATCH_LISTENERS
                ):
                    break
                self._waiting.popleft()
                if request.answer.done():  # its deadline has passed
                    continue
                if request.gone and await request.gone():
                    _fail(request, RefusedRequest(GONE, "the client has hung up"))
                    continue
                if self._hung and time.monotonic() < self._hung.get(request.key, 0.0):
                    _fail(request, RefusedRequest(504, HUNG))
                    continue
                batch.append(request)
                size += len(request.queries)
        return batch

    def _deliver(self, batch: Sequence[_WaitingRequest], lists: list[RankedList]) -> None:
        start = 0
        for request in batch:
            stop = start + len(request.queries)
            if not request.answer.done():  # the caller may have gone
                request.answer.set_result(lists[start:stop])
            start = stop

    def _again(self, batch: Sequence[_WaitingRequest]) -> None:
        """Ask each request of a batch alone, after those that wait."""
        for request in batch:
            request.alone = True
            self._waiting.append(request)
        self._arrived.set()

    def _suspect(self, batch: Sequence[_WaitingRequest], hung: bool) -> None:
        """What becomes of the requests over which a worker was lost.

        A process can die of something else than the request: it is asked once more.
        """
        if len(batch) > 1:
            self._again(batch)
            return
        (request,) = batch
        request.asked += 1
        if not hung and request.asked == 1:
            self._again(batch)
            return
        if hung and request.queries != [PROBE]:
            self._hung[request.key] = time.monotonic() + HUNG_SECONDS
            while len(self._hung) > HUNG_QUERIES:
                self._hung.popitem(last=False)
        _fail(request, RefusedRequest(504, HUNG))

    async def _replaced(self, place: int) -> ModelWorker:
        """A new worker with the model; it is tried until there is one."""
        self._at_work -= 1
        attempt = 0
        while True:
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            attempt += 1
            await asyncio.to_thread(self._workers[place].close)
            try:
                worker = await asyncio.to_thread(self._replace, place)
            except (ModelError, OSError, RuntimeError) as fault:
                print(f"the model cannot be loaded again: {fault}", flush=True)
                if attempt % RELOADS == 0:
                    self._broken()
                continue
            self._at_work += 1
            return worker

    def _replace(self, place: int) -> ModelWorker:
        worker = self._workers[place] = self._take()
        if self._closed:  # before this worker was among those that `close` ends
            worker.close()
        self._load_into(worker)
        return worker


def _ranked_lists(message: frames.Message, number: int) -> list[RankedList]:
    """The lists in a worker's answer.

    Raises:
        FrameError: it is none.
    """
    try:
        sizes, rendered = message.head["sizes"], message.arrays["rendered"].tobytes()
        ids = message.head.get("ids") or [[]] * number
        scores = message.head.get("scores") or [[]] * number
        ends = np.cumsum([0, *sizes]).tolist()
        if ends[-1] != len(rendered):
            raise frames.FrameError("lists of other sizes")
        return [
            RankedList(ids[row], scores[row], rendered[ends[row] : ends[row + 1]])
            for row in range(number)
        ]
    except (KeyError, TypeError, ValueError, IndexError) as fault:
        raise frames.FrameError("no lists") from fault


def _fail(request: _WaitingRequest, fault: Exception) -> None:
    if not request.answer.done():
        request.answer.set_exception(fault)
