"""The server as a process of its own."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from tests.waiting import PATIENCE, until

from setlist.serving.http_app import Door
from setlist.serving.http_connections import BoundedConnection

SETLIST = [sys.executable, "-m", "setlist_pipelines"]


class Server:
    """`setlist serve` on a port that was free; its lines with the moments at which they came."""

    def __init__(
        self, *arguments: str, cores: str = "", open_files: int = 0, **environment: str
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        pinned = ["taskset", "-c", cores] if cores else []
        if open_files:
            pinned += ["prlimit", f"--nofile={open_files}:{open_files}"]
        self.process = subprocess.Popen(
            [*pinned, *SETLIST, "serve", "--port", str(self.port), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )
        self.lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.lines.extend((time.time(), line.rstrip()) for line in lines)

    def swaps(self) -> list[tuple[float, int]]:
        """When each revision went live here."""
        found = (
            (when, re.match(r"revision (\d+) of .* is live here", line))
            for when, line in list(self.lines)
        )
        return [(when, int(match[1])) for when, match in found if match]

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON (or text, of /metrics)."""
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def post(self, body: object) -> tuple[int, Any]:
        """Status and JSON of a recommendation."""
        return self.ask(
            urllib.request.Request(
                f"http://127.0.0.1:{self.port}/v1/recommend",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
        )

    @staticmethod
    def ask(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                status, content = refusal.code, refusal.read()
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content.decode()

    def wait(self, revision: int | None = None, seconds: float = PATIENCE) -> float:
        """Until it is ready, and serves this revision; seconds it took."""
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            assert self.process.poll() is None, self.lines
            with contextlib.suppress(OSError):
                status, said = self.get("/v1/model")
                if status == 200 and revision in (None, said["revision"]):
                    return time.perf_counter() - began
            time.sleep(0.02)
        raise AssertionError(f"revision {revision} is not served after {seconds} s: {self.lines}")

    def end(self) -> None:
        """Kill it if it still runs; all its lines are read."""
        self.process.kill()
        self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


@dataclass
class BusyClients:
    """Threads with a connection each; they ask until the server asks them to close it."""

    port: int
    answered: list[int] = field(default_factory=list)
    closed: int = 0
    lost: list[str] = field(default_factory=list)

    def start(self, number: int) -> None:
        """Begin to ask."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the last of them was asked to close, or lost a request."""
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            while True:
                connection.request("POST", "/v1/recommend", b'{"k": 5}')
                answer = connection.getresponse()
                answer.read()
                self.answered.append(answer.status)
                if answer.will_close:
                    self.closed += 1
                    return
        except (OSError, http.client.HTTPException) as fault:
            self.lost.append(repr(fault))


@contextlib.contextmanager
def serving(
    *arguments: str, cores: str = "", open_files: int = 0, **environment: str
) -> Iterator[Server]:
    """A server, ended at the end."""
    server = Server(*arguments, cores=cores, open_files=open_files, **environment)
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def in_thread(app: FastAPI | Door) -> Iterator[httpx.Client]:
    """The app behind uvicorn, in this process, where tests reach into it."""
    config = uvicorn.Config(app, port=0, log_level="warning", ws="none", http=BoundedConnection)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=PATIENCE)
