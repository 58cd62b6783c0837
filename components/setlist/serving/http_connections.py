"""Connections with limits, and a server that ends without losing a request.

uvicorn waits without end for a client that has connected and says nothing. Here such a client is
cut off, and gives way to another when the place is needed.
"""

import asyncio
import re
import resource
import signal
import time
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from setlist.serving.http_app import HOLD
from setlist.serving.service import Service

REQUEST_READ_SECONDS = 5.0
"""From a request's first byte, or from the connection, to the end of its body."""
RESPONSE_READ_SECONDS = 10.0
"""To read a response; until then it is held in memory."""
UPGRADE = re.compile(rb"(\r\n)upgrade:", re.IGNORECASE)
KEEP_ALIVE_SECONDS = 75
"""Longer than a load balancer keeps an idle connection: it should be the one that closes it."""
MAX_CONNECTIONS = 1_000
OTHER_FILES = 200
"""Open files that are kept for all else than connections."""
REFUSALS_PER_SECOND = 300
"""A refusal costs 70 us, and with a large body 200 us. Clients that ask again at once could have so
many of them that nothing is left for answers; they took two thirds of the processor."""
DRAIN_SECONDS = 10.0
"""The longest time from SIGTERM until connections are closed."""
DRAINED_SECONDS = 1.0
"""Without a request for so long, whoever had a connection has found another server."""


class BoundedConnection(HttpToolsProtocol):
    """One connection: a request has to arrive in time, and who only waits may be turned out."""

    most = MAX_CONNECTIONS
    _next_refusal = 0.0

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*args, **more)
        self._timer: asyncio.TimerHandle | None = None
        self.waits_since: float | None = None
        """Since when there is no whole request to answer; None while one is answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, and make room where there are too many connections."""
        super().connection_made(transport)
        self._wait()
        self._begin_timer()
        if len(self.connections) > self.most:
            self._make_room()

    def _make_room(self) -> None:
        """Turn out who has waited longest; this connection, where all others are answered."""
        waiting = [
            each
            for each in self.connections
            if isinstance(each, BoundedConnection) and each.waits_since is not None
        ]
        min(waiting, key=lambda each: each.waits_since or 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, without offers of another protocol: httptools would drop the body after one.

        Java's client makes them by default. The name of the header keeps its length.
        """
        super().data_received(UPGRADE.sub(rb"\1xpgrade:", data))

    def on_message_begin(self) -> None:
        """A request begins, and has to arrive in time."""
        super().on_message_begin()
        self.scope["extensions"] = {HOLD: {"call": self._hold}}
        self._end_timer()
        self._begin_timer()

    def _hold(self) -> None:
        """Do not read on before the refusals of all connections are few enough."""
        now = self.loop.time()
        kind = type(self)
        kind._next_refusal = max(kind._next_refusal, now) + 1 / REFUSALS_PER_SECOND
        self.flow.pause_reading()
        self.loop.call_later(kind._next_refusal - now, self.flow.resume_reading)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._end_timer()
        self.waits_since = None

    def on_response_complete(self) -> None:
        """Wait for the next request, and until the client has read this response."""
        super().on_response_complete()
        self._wait()
        if self._timer is None and self.transport.get_write_buffer_size():
            self._timer = self.loop.call_later(RESPONSE_READ_SECONDS, self._cut_off_if_unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._end_timer()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        # Not `close`, which waits for a client that does not read.
        self.transport.abort()

    def _wait(self) -> None:
        self.waits_since = time.monotonic()

    def _begin_timer(self) -> None:
        self._timer = self.loop.call_later(REQUEST_READ_SECONDS, self._cut_off)

    def _end_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _cut_off_if_unread(self) -> None:
        self._timer = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _cut_off(self) -> None:
        self._timer = None
        self.transport.abort()


class DrainingServer(uvicorn.Server):
    """At SIGTERM it answers on, asks every client to close, and ends when none comes any more."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._drain_until = 0.0
        self._busy_at = 0.0
        self._answered = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM begins to drain; a second one, or Ctrl-C, ends the server at once."""
        if sig == signal.SIGTERM and self.started and not self._service.draining:
            self._service.draining = True
            self._drain_until = time.monotonic() + DRAIN_SECONDS
            self._busy_at = time.monotonic()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Look ten times a second whether requests still come."""
        if self._service.draining:
            now, answered = time.monotonic(), self.server_state.total_requests
            if self.server_state.tasks or answered != self._answered:
                self._busy_at, self._answered = now, answered
            if now > min(self._drain_until, self._busy_at + DRAINED_SECONDS):
                self.should_exit = True
        return await super().on_tick(counter)


def allow_connections() -> int:
    """Let this process open as many files as it may; how many of them can be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(MAX_CONNECTIONS, soft - OTHER_FILES), 1)
