"""The workers of one revision: they are given batches of requests, and are replaced when lost.

A worker that does not answer in time, or dies, is killed and replaced; meanwhile requests wait as
long as their deadlines allow.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from setlist.errors import ModelError
from setlist.models.contract import ModelInfo
from setlist.models.worker import frames
from setlist.models.worker.model_worker import ModelWorker, checked
from setlist.models.worker.query import Query, RankedList
from setlist.serving.messages import RefusedRequest
from setlist.serving.request_queue import Gone, RequestQueue, WaitingRequest

CALL_SECONDS_FLOOR, CALL_FACTOR = 1.0, 10.0
"""A call may take so many times as long as the slowest call of the warm-up, and at least a second:
its process does not come back, or the node has no processor for it."""
ANSWER_BYTES = 64 << 20
"""Of an answer; the largest allowed request has some 6 MB."""
RELOADS = 3
"""After so many attempts to replace a worker the files of the model are fetched again."""
RETRY_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Pauses before a worker that cannot be replaced is tried again."""
PROBE = Query(history=(), ages=(), exclude=(), inputs={}, k=1)


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
        self._queue = RequestQueue(number)
        self.open_requests = 0
        """Requests that hold this pool."""
        self._at_work = 0  # workers that can be asked
        self._closed = False
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
        return self._queue.full

    async def ask(
        self,
        queries: Sequence[Query],
        seconds: float,
        *,
        with_ids: bool = True,
        gone: Gone | None = None,
    ) -> list[RankedList]:
        """The model's list for each query.

        Args:
            queries: of one request.
            seconds: until the caller has no use for the answer.
            with_ids: whether ids and scores are needed beside the rendered list.
            gone: whether the caller has gone meanwhile; asked before the model is.

        Raises:
            RefusedRequest: too many wait (503), or there is no answer in time (504).
            ModelError: what the model raised on these queries; other requests do not see it.
        """
        return await self._queue.ask(queries, seconds, with_ids, gone)

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
            await self._queue.ask_first(PROBE, seconds)
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
        queue = self._queue
        while batch := await queue.next_batch(reader.at_eof):
            began = time.monotonic()
            try:
                lists = await self._call(reader, writer, batch)
            except ModelError as fault:
                queue.fail(batch, fault)
            except (TimeoutError, OSError, EOFError, frames.FrameError) as fault:
                hung = isinstance(fault, TimeoutError)
                self._count("hung" if hung else "died")
                queue.lose(batch, hung)
                return
            else:
                self.last_answer = time.monotonic()
                queue.deliver(batch, lists, self.last_answer - began)
        self._count("died")

    async def _call(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        batch: Sequence[WaitingRequest],
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
        async with asyncio.timeout(self.call_seconds):
            writer.write(frames.pack(frames.Message(asked)))
            await writer.drain()
            sizes = frames.sizes(await reader.readexactly(frames.SIZES.size), ANSWER_BYTES)
            head, body = [await reader.readexactly(size) for size in sizes]
        return _ranked_lists(checked(frames.unpack(head, body)), len(queries))

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
