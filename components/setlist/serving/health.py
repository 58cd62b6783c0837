"""/healthz, /readyz and /metrics of a process that serves nothing else."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from setlist.serving.follower import ModelFollower
from setlist.serving.prometheus import FollowerMetrics


def serve_status(follower: ModelFollower, listener: socket.socket) -> ThreadingHTTPServer:
    """Answer at a bound socket, in a thread, until `shutdown` is called on what is returned.

    /healthz is 200 whatever is wrong with the store, so that nobody restarts a process that keeps
    a good model; its body says what is wrong. /readyz is 503 until there is a model.
    """
    registry = CollectorRegistry()
    registry.register(FollowerMetrics([follower]))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path in ("/healthz", "/readyz"):
                ready = self.path == "/healthz" or follower.live is not None
                content = json.dumps(follower.health()).encode()
                self._answer(200 if ready else 503, "application/json", content)
            else:
                self.send_error(404)

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds; nobody reads a line for each."""

    server = ThreadingHTTPServer(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_activate()
    threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
    return server
