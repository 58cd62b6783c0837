"""A TCP proxy before a store, which can fail in the ways that networks do."""

import contextlib
import socket
import struct
import threading
from typing import Literal

from tests.waiting import PATIENCE
from urllib3 import Timeout

Mode = Literal["pass", "500", "reset", "stall", "away"]
REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


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
    """Passes bytes on to a port of this machine, or answers 500, resets, stalls, is away."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.mode: Mode = "pass"
        self.refused = 0
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
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(1 << 16):
                sink.sendall(part)
        for one in (source, sink):
            with self._lock:
                self._open.discard(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN; a pump that waits in it wakes up."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
