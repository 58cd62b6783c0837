"""What a server answers in time when more is asked than it can do, on one core.

    python -m tests.benchmarks.overload [SECONDS]

A two-tower of 27,000 items, 64 dimensions; histories of 50, 100 items asked for. The server and its
workers run on core 0, the client on core 1. Each client waits a second for its answer, then hangs
up and asks the next: what comes later is worth nothing. Goodput is the answers with a list within
that second.

- connections: 4 is one times the load, 40 ten times, 200 fifty times.
- patient: after a 503 a client waits as long as Retry-After says; else it asks again at once.
- bare: a FastAPI function over the same SavedModel, as in `serving.py`.
"""

import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.benchmarks.load import LENGTH, request
from tests.benchmarks.serving import (
    BARE_PORT,
    DIMENSION,
    ITEMS,
    ONE_CORE,
    bare_server,
    write_bodies,
)
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.processes import serving

WAITS = 1.0
LOADS = (4, 40, 200)
BATCH = 16
"""Listeners of a heavy request."""


@dataclass
class Client:
    """One connection; it waits a second for each answer."""

    port: int
    patient: bool
    began: float = 0.0
    sleeps_until: float = 0.0
    received: bytes = b""

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def send(self, content: bytes) -> None:
        self.began, self.received = time.perf_counter(), b""
        self.socket.send(content)

    def answer(self) -> int | None:
        """The status, 0 where the server hung up; None while it is not complete."""
        try:
            part = self.socket.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        if not part:
            return 0
        self.received += part
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or len(body) < int(LENGTH.search(head)[1]):
            return None
        return int(head.split(b" ", 2)[1])


def load(port: int, connections: int, seconds: float, bodies: list[bytes], patient: bool) -> dict:
    """Numbers by outcome: good, refused (503), late, other; and the seconds of the good ones."""
    waiting = selectors.DefaultSelector()
    clients = [Client(port, patient) for _ in range(connections)]
    sent, outcomes, took = 0, dict.fromkeys(("good", "refused", "late", "other"), 0), []

    def begin(client: Client, anew: bool) -> None:
        nonlocal sent
        if anew:
            if client.began:
                waiting.unregister(client.socket)
                client.socket.close()
            client.connect()
            waiting.register(client.socket, selectors.EVENT_READ, client)
        client.send(bodies[sent % len(bodies)])
        sent += 1

    for client in clients:
        begin(client, anew=True)
    until = time.perf_counter() + seconds
    swept = 0.0
    while (now := time.perf_counter()) < until:
        for key, _ in waiting.select(timeout=0.01):
            client = key.data
            if (status := client.answer()) is None:
                continue
            now = time.perf_counter()
            if status == 200:
                outcomes["good"] += 1
                took.append(now - client.began)
            else:
                outcomes["refused" if status == 503 else "other"] += 1
            if status == 503 and client.patient:
                client.sleeps_until = now + 1.0
            else:
                begin(client, anew=status == 0)
        if now - swept > 0.01:
            swept = now
            for client in clients:
                if client.sleeps_until:
                    if now >= client.sleeps_until:
                        client.sleeps_until = 0.0
                        begin(client, anew=False)
                elif now - client.began > WAITS:
                    outcomes["late"] += 1
                    begin(client, anew=True)
    for client in clients:
        client.socket.close()
    return outcomes | {"p50": np.median(took) * 1e3 if took else np.nan}


def measured(port: int, connections: int, seconds: float, bodies: Path, patient: bool) -> dict:
    """`load` in a process on core 1."""
    command = [sys.executable, "-m", "tests.benchmarks.overload", "load"]
    done = subprocess.run(
        ["taskset", "-c", "1", *command, str(port), str(connections), str(seconds), str(bodies),
         str(int(patient))],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def rows(name: str, port: int, seconds: float, bodies: Path) -> None:
    """The rows of one server."""
    measured(port, 4, seconds / 2, bodies, patient=False)  # warm
    single = 0.0
    for connections in LOADS:
        for patient in (False, True) if connections > LOADS[0] else (False,):
            found = measured(port, connections, seconds, bodies, patient)
            good = found["good"] / seconds
            single = single or good
            print(
                f"| {name} | {connections} | {'yes' if patient else 'no'} | {good:.0f} | "
                f"{good / single:.2f} | {found['refused'] / seconds:.0f} | "
                f"{found['late'] / seconds:.0f} | {found['other']} | {found['p50']:.0f} |",
                flush=True,
            )


def main(seconds: float) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = str(folder / "store")
        model = write_towers(folder / "r1", "r1", ITEMS, DIMENSION)
        stage(uri, model, "run-1")
        promote(uri, 1)
        bodies = write_bodies(folder)
        batches = folder / "batches"
        with batches.open("w") as lines:
            for line in bodies["ours"].read_text().splitlines():
                lines.write(json.dumps({"requests": [json.loads(line)] * BATCH}) + "\n")
        print(
            "| | connections | patient | goodput a second | of that at 4 | refused a second | "
            "late a second | other | p50 ms |\n|---|--:|---|--:|--:|--:|--:|--:|--:|"
        )
        options = ("--store", uri, "--folder", str(folder / "kept"))
        with serving(*options, cores="0", **ONE_CORE) as server:
            server.wait(1)
            rows("one listener", server.port, seconds, bodies["ours"])
            rows("16 listeners", server.port, seconds, batches)
        with bare_server(model):
            rows("bare, one listener", BARE_PORT, seconds, bodies["bare"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        port, connections, seconds, path, patient = sys.argv[2:]
        asked = [request(line) for line in Path(path).read_bytes().splitlines()]
        print(json.dumps(load(int(port), int(connections), float(seconds), asked, patient == "1")))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
