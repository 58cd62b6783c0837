"""A proxy before the emulator that refuses requests, loses answers, or answers in its place."""

import urllib.error
import urllib.request
from typing import ClassVar

from tests.http_stub import Handler
from tests.waiting import PATIENCE


class Proxy(Handler):
    """Passes requests on to the real server, except where a test asks for trouble.

    Attributes:
        refuse_with: a status for every request; 0 for none.
        answer_all: status and body for every request.
        answer_writes: status and body for every request that would write; reads pass.
        drop_answer_to: the first request with these bytes in it is passed on, and not answered.
        requests: how many there were.
        paths: of the requests.
    """

    server_address_of_gcs: ClassVar[str]
    refuse_with: ClassVar[int]
    answer_all: ClassVar[tuple[int, bytes] | None]
    answer_writes: ClassVar[tuple[int, bytes] | None]
    drop_answer_to: ClassVar[bytes | None]
    requests: ClassVar[int]
    paths: ClassVar[list[str]]

    @classmethod
    def reset(cls, server: str) -> None:
        """Pass everything on to this server."""
        cls.server_address_of_gcs, cls.refuse_with, cls.drop_answer_to = server, 0, None
        cls.answer_all, cls.answer_writes, cls.requests, cls.paths = None, None, 0, []

    def pass_on(self) -> None:
        """Answer one request."""
        Proxy.requests += 1
        Proxy.paths.append(self.path)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if self.command == "POST" else None
        if Proxy.refuse_with:
            # Without a body, which the client would leave unread, and its connection open.
            self.respond(Proxy.refuse_with)
            return
        answer = Proxy.answer_all or (Proxy.answer_writes if self.command != "GET" else None)
        if answer:
            self.respond(*answer)
            return
        request = urllib.request.Request(
            Proxy.server_address_of_gcs + self.path, body, dict(self.headers), method=self.command
        )
        try:
            passed = urllib.request.urlopen(request, timeout=PATIENCE)
        except urllib.error.HTTPError as refusal:
            passed = refusal
        with passed:
            content = passed.read()
        if body and Proxy.drop_answer_to and Proxy.drop_answer_to in body:
            Proxy.drop_answer_to = None
            self.close_connection = True
            return
        hop_headers = ("content-length", "transfer-encoding", "connection")
        headers = {
            key: value for key, value in passed.headers.items() if key.lower() not in hop_headers
        }
        self.respond(passed.status, content, **headers)

    do_GET = do_POST = do_DELETE = pass_on  # noqa: N815
