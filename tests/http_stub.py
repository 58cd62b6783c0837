"""Servers of this machine that answer as a test tells them, and fail that test when they fail."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.waiting import PATIENCE


class Handler(BaseHTTPRequestHandler):
    """A handler without log lines, which gives up on a client that sends nothing."""

    timeout = PATIENCE

    def respond(self, status: int, content: bytes = b"", **headers: str) -> None:
        """Send an answer; its length is told as well."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing it waits for the answers that are under way

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.failures: list[BaseException] = []
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what a handler raised; the base class prints it from the handler's thread.

        Beside the noise, printing parses source in a second thread while pytest may be doing so
        for a test that failed, and `ast` of CPython 3.11 raises SystemError when two threads parse
        at once: pytest then ends with an INTERNALERROR.
        """
        fault = sys.exception()
        assert fault is not None
        if not isinstance(fault, ConnectionError):  # the client has gone, which is its affair
            self.failures.append(fault)


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on a free port, which ends with the block.

    Args:
        handler: each request is answered in a thread of its own.

    Raises:
        AssertionError: at the end, when a handler has raised anything but ConnectionError.
    """
    server = _Server(handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    for fault in server.failures:
        raise AssertionError(f"the server failed: {fault!r}") from fault
