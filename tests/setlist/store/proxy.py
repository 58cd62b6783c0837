"""A proxy before the emulator that refuses requests, or loses answers."""

import urllib.error
import urllib.request
from typing import ClassVar

from tests.http_stub import Handler
from tests.waiting import PATIENCE


class Proxy(Handler):
    """Passes requests on to the real server, except where a test asks for trouble."""

    server_address_of_gcs: ClassVar[str]
    refuse_with: ClassVar[int]
    drop_answer_to: ClassVar[bytes | None]

    def pass_on(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if self.command == "POST" else None
        if Proxy.refuse_with:
            # Without a body, which the client would leave unread, and its connection open.
            self.respond(Proxy.refuse_with)
            return
        request = urllib.request.Request(
            Proxy.server_address_of_gcs + self.path, body, dict(self.headers), method=self.command
        )
        try:
            answer = urllib.request.urlopen(request, timeout=PATIENCE)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            content = answer.read()
        if body and Proxy.drop_answer_to and Proxy.drop_answer_to in body:
            Proxy.drop_answer_to = None
            self.close_connection = True
            return
        hop_headers = ("content-length", "transfer-encoding", "connection")
        headers = {
            key: value for key, value in answer.headers.items() if key.lower() not in hop_headers
        }
        self.respond(answer.status, content, **headers)

    do_GET = do_POST = pass_on  # noqa: N815
