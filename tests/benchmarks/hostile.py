"""What became of a service under hostile models, stores and clients, as rows of a table.

    python -m tests.benchmarks.hostile

`faults.py` prints these rows, too. The server is a process of its own, on folders of its own.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cases import hostile_models
from tests.emulator import emulator, make_bucket
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.processes import BusyClients, Server, serving
from tests.setlist.serving.proxy import Proxy
from tests.waiting import until

from setlist.errors import ModelError

PATIENCE = 200.0
"""Seconds; the deadlines of a load and of a poll are a minute and less."""


class Bench:
    """Two models, and stores and servers over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = [write_towers(folder / f"m{n}", f"r{n}", 3_000, 32) for n in (1, 2)]

    def store(self, name: str, hostile: Path | None = None) -> str:
        """A store in which revision 1 is live, 2 is the other, and 3 the hostile model."""
        uri = str(self.folder / name)
        for number, model in enumerate([*self.models, *([hostile] if hostile else [])], 1):
            assert stage(uri, model, f"run-{number}") == number
        promote(uri, 1)
        return uri

    @contextlib.contextmanager
    def server(self, uri: str, *more: str, **environment: str) -> Iterator[Server]:
        """`setlist serve`, ready."""
        kept = tempfile.mkdtemp(dir=self.folder)
        options = ("--store", uri, "--every", "0.2s", "--folder", kept, *more)
        open_files = int(environment.pop("open_files", "0"))
        with serving(*options, open_files=open_files, **environment) as server:
            server.wait()
            yield server

    @contextlib.contextmanager
    def hostile_server(self, kind: str, *more: object) -> Iterator[Server]:
        """`setlist serve` with that hostile model live, and the spare ready, as it usually is."""
        uri = self.store(kind, self.hostile(kind, *more))
        promote(uri, 3)
        with self.server(uri) as server:
            server.wait(3)
            time.sleep(8)
            yield server

    def hostile(self, kind: str, *more: object) -> Path:
        """A hostile model."""
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / kind
        return getattr(hostile_models, f"write_{kind}")(folder, *more)


def fault_of(server: Server) -> str | None:
    """What /healthz says of the live model."""
    status, health = server.get("/healthz")
    assert status == 200
    return health["live"]["fault"]


def seconds_until(holds: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    until(holds, PATIENCE)
    return time.monotonic() - began


def endless_warm_up(bench: Bench) -> str:
    uri = bench.store("warm", bench.hostile("works_on", hostile_models.IDS[0]))
    with bench.server(uri) as server:
        promote(uri, 3)
        named = seconds_until(lambda: fault_of(server))
        answered = server.post({"k": 5})[1]["revision"]
        promote(uri, 2)
        followed = server.wait(2)
    return (
        f"the fault is named after {named:.0f} s, revision {answered} answers meanwhile, the next "
        f"HEAD is followed in {followed:.1f} s"
    )


def poisoned_request(bench: Bench) -> str:
    with bench.hostile_server("works_on", "poison") as server, ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        hung = pool.submit(server.post, {"history": ["poison"]})
        noticed = seconds_until(lambda: server.get("/readyz")[0] == 503)
        status = hung.result()[0]
        waited = time.monotonic() - began
        back = waited + seconds_until(lambda: server.get("/readyz")[0] == 200)
        others = [server.post({"history": [f"I{n % 10}"], "k": 5})[0] for n in range(200)]
        began = time.monotonic()
        code = server.stop()
        ended = time.monotonic() - began
    return (
        f"{status} for it after {waited:.1f} s, /readyz 503 after {noticed:.1f} s, the next answer "
        f"after {back:.1f} s; {others.count(200)} of {len(others)} others answered; SIGTERM ends "
        f"with {code} in {ended:.1f} s"
    )


def refused(bench: Bench, kind: str, *more: object) -> str:
    uri = bench.store(kind, bench.hostile(kind, *more))
    with bench.server(uri) as server:
        promote(uri, 3)
        seconds_until(lambda: fault_of(server))
        said = fault_of(server) or ""
        answered = server.post({"k": 5})[1]["revision"]
    operation = said.partition("the operation '")[2].partition("'")[0]
    reason = f"`{operation}`" if operation else said
    return f"refused before anything of it runs ({reason}); revision {answered} answers"


def hostile_name(bench: Bench) -> str:
    try:
        bench.store("name", bench.hostile("hostile_name"))
    except ModelError as fault:
        return f"refused when it is staged: {fault.message.rpartition(': ')[2]}"
    return "staged"


def thief(bench: Bench) -> str:
    secret, stolen = bench.folder / "secret.txt", bench.folder / "stolen.py"
    secret.write_text("token")
    seen = refused(bench, "reads_secret", secret, stolen)
    return f"{seen}; nothing was {'' if stolen.exists() else 'read or '}written"


def all_memory(bench: Bench) -> str:
    with bench.hostile_server("allocates", 1.5, "huge") as server:
        status = server.post({"history": ["huge"]})[0]
        back = seconds_until(lambda: server.get("/readyz")[0] == 200)
    return f"{status} for that request; its process is ended and replaced in {back:.1f} s"


def remade_store(bench: Bench) -> str:
    uri = bench.store("remade")
    with bench.server(uri) as server:
        shutil.rmtree(uri)
        assert stage(uri, bench.models[1], "another run") == 1
        promote(uri, 1)

        def first() -> str:
            return server.post({"k": 1})[1]["items"][0]["item_id"]

        took = seconds_until(lambda: first().startswith("r2-"))
    return f"revision 1 is noticed to be another model, and swapped in {took:.1f} s"


def older_head(bench: Bench) -> str:
    uri = bench.store("older")
    head = Path(uri) / "home" / "HEAD"
    with bench.server(uri) as server:
        old = head.read_bytes()
        promote(uri, 2)
        server.wait(2)
        new = head.read_bytes()
        draws = random.Random(1)
        until_ = time.monotonic() + 20
        while time.monotonic() < until_:
            copy = head.with_name(".HEAD")
            copy.write_bytes(draws.choice([old, new]))
            copy.replace(head)
            time.sleep(0.05)
        head.write_bytes(new)
        swaps = len(server.swaps())
        promote(uri, 1)
        server.wait(1)
    return f"{swaps - 2} swaps in 20 s of changing reads; a rollback after it is followed"


def dripping_store(bench: Bench) -> str:
    with emulator() as url, contextlib.closing(Proxy(int(url.rpartition(":")[2]))) as proxy:
        make_bucket(url, "drips")
        os.environ["STORAGE_EMULATOR_HOST"] = url
        uri = "gs://drips/models"
        for number, model in enumerate(bench.models, 1):
            stage(uri, model, f"run-{number}")
        promote(uri, 1)
        with bench.server(uri, STORAGE_EMULATOR_HOST=proxy.url) as server:
            proxy.be("drip")
            named = seconds_until(lambda: fault_of(server))
            answered = server.post({"k": 5})[0]
            proxy.be("pass")
            promote(uri, 2)
            followed = server.wait(2)
    return (
        f"faulty after {named:.0f} s, requests are answered ({answered}); mended and HEAD moved, "
        f"the new revision is live after {followed:.0f} s"
    )


def silent_connections(bench: Bench) -> str:
    uri = bench.store("silent")
    held: list[socket.socket] = []
    with bench.server(uri, open_files="1024") as server:
        for _ in range(1_100):
            held.append(socket.create_connection(("127.0.0.1", server.port)))
            held[-1].sendall(b"GET /h")
        began = time.monotonic()
        statuses = server.get("/healthz")[0], server.post({"k": 5})[0]
        took = time.monotonic() - began
        for each in held:
            each.close()
    return f"/healthz and a request are answered ({statuses[0]}, {statuses[1]}) in {took:.2f} s"


def many_swaps(bench: Bench) -> str:
    uri = bench.store("swaps")
    lines = []
    with bench.server(uri) as server:
        for number in range(40):
            promote(uri, 2 - number % 2)
            server.wait(2 - number % 2)
            server.post({"k": 5})
            lines.append(len(server.get("/metrics")[1].splitlines()))
    return f"/metrics has {lines[1]} lines after 2 swaps and {lines[-1]} after 40"


def unknown_input(bench: Bench) -> str:
    with bench.server(bench.store("input")) as server:
        status, said = server.post({"inputs": {"contry": "Chile"}})
    return f"{status}, {said['error']['where']}: {said['error']['message']}"


def end_of_busy_connections(bench: Bench) -> str:
    with bench.server(bench.store("busy")) as server:
        clients = BusyClients(server.port)
        clients.start(8)
        until(lambda: len(clients.answered) > 1_000)
        server.process.send_signal(signal.SIGTERM)
        clients.join()
        code = server.process.wait(timeout=PATIENCE)
    answered = clients.answered
    return (
        f"{len(answered):,} requests, {len(clients.lost)} lost, "
        f"{len(answered) - answered.count(200)} not answered with a list; exit code {code}"
    )


FAULTS: dict[str, Callable[[Bench], str]] = {
    "a revision whose warm-up does not end goes live": endless_warm_up,
    "one request from which the live model does not come back": poisoned_request,
    "a model that reads a secret and writes a file": thief,
    "a model with `while true`": lambda bench: refused(bench, "hangs_always"),
    "a model that prints what looks like ours": lambda bench: refused(
        bench, "prints", "revision 99 of home is live here"
    ),
    "a model that takes 1.5 GB for one id": all_memory,
    "a model whose name holds escape sequences": hostile_name,
    "a store that was made anew": remade_store,
    "reads that return an older HEAD": older_head,
    "a store that sends a byte every 2 s": dripping_store,
    "1,100 connections that never end their request, 1,024 open files": silent_connections,
    "40 swaps": many_swaps,
    "an input `contry`": unknown_input,
    "SIGTERM with eight busy connections": end_of_busy_connections,
}


def hostile(folder: Path) -> None:
    """Print the table."""
    bench = Bench(folder)
    print("\n| hostile | seen |\n|---|---|")
    for fault, become in FAULTS.items():
        print(f"| {fault} | {become(bench)} |", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        hostile(Path(name))
