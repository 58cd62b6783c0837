"""A client that is not the bottleneck: one process, keep-alive connections, each one request.

    python tests/benchmarks/load.py PORT CONNECTIONS SECONDS BODIES OUTPUT

`BODIES` is a file with one JSON body a line, asked in turn. `OUTPUT` gets one row a request:
float64 [ended (Unix seconds), seconds, status (0: no answer), revision, 1 if its list is that
revision's]. Lists are told apart by their first id: "r7-..." is of revision 7, or of any where the
ids say nothing.
"""

import re
import selectors
import socket
import sys
import time
from pathlib import Path

import numpy as np

REVISION = re.compile(rb'"revision": (\d+)')
ITEM = re.compile(rb'"item_id": "([^"]*)"')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Connection:
    """One keep-alive connection, with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.began = 0.0
        self.received = b""
        self.socket = self.connect()

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def send(self, request: bytes) -> None:
        self.began, self.received = time.perf_counter(), b""
        self.socket.sendall(request)

    def answer(self) -> tuple[int, bytes] | None:
        """Status and body when all of it is here; 0 when the server hung up."""
        part = self.socket.recv(1 << 18)
        self.received += part
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not part:
            return 0, b""
        if not found or len(body) < int(LENGTH.search(head)[1]):
            return None
        return int(head.split(b" ", 2)[1]), body


def request(body: bytes, path: str = "/v1/recommend") -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def judge(status: int, body: bytes) -> tuple[float, float, float]:
    """Status, revision, and whether the list is of that revision and nothing else."""
    if status != 200 or not (said := REVISION.search(body)):
        return status, -1, 0
    items = ITEM.findall(body)
    own = b"r%s-" % said[1]
    marked = items and re.match(rb"r\d+-", items[0])
    fits = bool(items) and (not marked or all(item.startswith(own) for item in items))
    return status, int(said[1]), float(fits)


def load(port: int, connections: int, seconds: float, requests: list[bytes]) -> np.ndarray:
    """float64[requests, 5], as `OUTPUT`."""
    waiting = selectors.DefaultSelector()
    sent, rows = 0, []
    for _ in range(connections):
        one = Connection(port)
        waiting.register(one.socket, selectors.EVENT_READ, one)
        one.send(requests[sent % len(requests)])
        sent += 1
    until = time.perf_counter() + seconds
    open_ = connections
    while open_:
        events = waiting.select(timeout=30)
        if not events:  # stalled: whoever waits has failed
            rows += [(time.time(), 30.0, 0, -1, 0)] * open_
            break
        for key, _ in events:
            one = key.data
            try:
                answer = one.answer()
            except OSError:
                answer = (0, b"")
            if answer is None:
                continue
            now = time.perf_counter()
            rows.append((time.time(), now - one.began, *judge(*answer)))
            if answer[0] == 0:
                waiting.unregister(one.socket)
                one.socket.close()
                one.socket = one.connect()
                waiting.register(one.socket, selectors.EVENT_READ, one)
            if now < until:
                one.send(requests[sent % len(requests)])
                sent += 1
            else:
                waiting.unregister(one.socket)
                one.socket.close()
                open_ -= 1
    return np.array(rows)


if __name__ == "__main__":
    port, connections, seconds, bodies, output = sys.argv[1:]
    asked = [request(line) for line in Path(bodies).read_bytes().splitlines()]
    np.save(output, load(int(port), int(connections), float(seconds), asked))
