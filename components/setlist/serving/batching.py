"""Ask a model for several waiting requests at once.

A request never waits for others to arrive. The requests that arrive while the model is busy are
its next batch.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from setlist.serving.served_model import Query, RankedList, ServedModel

MAX_BATCH_LISTENERS = 16
"""Beyond this number the scores of a batch outgrow the processor's cache: each takes longer."""


@dataclass(frozen=True)
class _WaitingRequest:
    model: ServedModel
    queries: Sequence[Query]
    answer: "asyncio.Future[list[RankedList]]"
    loop: asyncio.AbstractEventLoop


class Batching:
    """The thread in which models compute; TensorFlow releases the interpreter's lock meanwhile."""

    def __init__(self) -> None:
        """Create it; the thread starts with `start`."""
        self._waiting: deque[_WaitingRequest] = deque()
        self._arrived = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer all waiting requests, then end the thread."""
        with self._arrived:
            self._stopped = True
            self._arrived.notify()
        self._thread.join(timeout=10)

    async def ask(self, model: ServedModel, queries: Sequence[Query]) -> list[RankedList]:
        """The model's list for each query.

        Raises:
            Exception: what the model raised on these queries; other requests do not see it.
        """
        loop = asyncio.get_running_loop()
        request = _WaitingRequest(model, queries, loop.create_future(), loop)
        with self._arrived:
            self._waiting.append(request)
            self._arrived.notify()
        return await request.answer

    def _run(self) -> None:
        while batch := self._next_batch():
            queries = [query for request in batch for query in request.queries]
            try:
                lists = batch[0].model.lists(queries)
            except Exception as fault:  # a foreign SavedModel may raise anything
                if len(batch) == 1:
                    _deliver(batch[0], fault)
                else:
                    _ask_separately(batch)
                continue
            start = 0
            for request in batch:
                _deliver(request, lists[start : start + len(request.queries)])
                start += len(request.queries)

    def _next_batch(self) -> list[_WaitingRequest]:
        """Wait for a request and take those after it for the same model; [] after `stop`."""
        with self._arrived:
            while not self._waiting:
                if self._stopped:
                    return []
                self._arrived.wait()
            batch = [self._waiting.popleft()]
            size = len(batch[0].queries)
            # Requests for another model end the batch: their order of arrival is kept.
            while self._waiting and self._waiting[0].model is batch[0].model:
                size += len(self._waiting[0].queries)
                if size > MAX_BATCH_LISTENERS:
                    break
                batch.append(self._waiting.popleft())
            return batch


def _ask_separately(batch: list[_WaitingRequest]) -> None:
    """Repeat a batch that failed request by request, so that only the faulty request fails."""
    for request in batch:
        try:
            _deliver(request, request.model.lists(request.queries))
        except Exception as fault:  # as above
            _deliver(request, fault)


def _deliver(request: _WaitingRequest, result: list[RankedList] | Exception) -> None:
    """Set the request's future in its event loop: futures are not thread-safe."""

    def set_result() -> None:
        if request.answer.cancelled():  # the client hung up
            return
        if isinstance(result, Exception):
            request.answer.set_exception(result)
        else:
            request.answer.set_result(result)

    request.loop.call_soon_threadsafe(set_result)
