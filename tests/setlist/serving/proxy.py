"""A TCP proxy before a store, which can fail in the ways that networks do."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Literal

from tests.waiting import PATIENCE
from urllib3 import Timeout

Mode = Literal["pass", "500", "reset", "stall", "drip", "away"]
DRIP_SECONDS = 0.05
"""Between two bytes: each read of a client succeeds, and an answer takes minutes."""
REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


Send = Callable[[socket.socket, bytes, int], None]
"""Sends a part of an answer, of which so many bytes have passed already."""


class TimeOut(Timeout):
    """A time-out that passes soon while the proxy stalls, and otherwise never.

    So a busy machine does not make a fault of an answer that is only late.
    """

    def __init__(self, proxy: "Proxy") -> None:
        super().__init__(connect=PATIENCE, read=PATIENCE)
        self._proxy = proxy

    def clone(self) -> "TimeOut":
        return TimeOut(self._proxy)

    @property
    def read_timeout(self) -> float:
        return 0.1 if self._proxy.mode == "stall" else PATIENCE


class Proxy:
    """Passes bytes on to a port of this machine, or answers 500, resets, stalls, drips, is away.

    A connection drips after its first `drip_after` bytes.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.mode: Mode = "pass"
        self.refused = 0
        self.drip_after = 0
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def time_out(self) -> TimeOut:
        """For clients of this proxy."""
        return TimeOut(self)

    def be(self, mode: Mode) -> None:
        """Change, for the connections that are open, too."""
        if self.mode == "away":
            self._listener = self._listen(self.port)
        self.mode = mode
        if mode == "away":
            self._close(self._listener)
        with self._lock:
            cut, self._open = self._open, set()
        for one in cut:
            _reset(one)

    def close(self) -> None:
        self.be("away")

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    @staticmethod
    def _close(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.mode != "pass":
                self.refused += 1
            if self.mode == "reset":
                _reset(client)
                continue
            with self._lock:
                self._open.add(client)
            if self.mode == "stall":
                continue  # held open until the mode changes
            target = self._refuse if self.mode == "500" else self._connect
            threading.Thread(target=target, args=(client,), daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            asked = b""
            while b"\r\n\r\n" not in asked and (part := client.recv(1 << 16)):
                asked += part
            client.sendall(REFUSAL)

    def _connect(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        with self._lock:
            self._open.add(server)
        out = self._drip if self.mode == "drip" else self._pass
        for one, other, send in ((client, server, self._pass), (server, client, out)):
            threading.Thread(target=self._pump, args=(one, other, send), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, send: Send) -> None:
        with contextlib.suppress(OSError):
            passed = 0
            while part := source.recv(1 << 12):
                send(sink, part, passed)
                passed += len(part)
        for one in (source, sink):
            with self._lock:
                self._open.discard(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    @staticmethod
    def _pass(sink: socket.socket, part: bytes, passed: int) -> None:
        sink.sendall(part)

    def _drip(self, sink: socket.socket, part: bytes, passed: int) -> None:
        free = max(self.drip_after - passed, 0)
        sink.sendall(part[:free])
        for byte in part[free:]:
            time.sleep(DRIP_SECONDS)
            sink.sendall(bytes([byte]))


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN; a pump that waits in it wakes up."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
