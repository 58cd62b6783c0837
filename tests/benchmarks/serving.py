"""How fast the server is on one core, with a two-tower of 27,000 items.

    python -m tests.benchmarks.serving [SECONDS]

The model has 64 dimensions; a request has a history of 50, a named input, and asks for 100 items.
Every server runs on core 0 with one TensorFlow thread, the client on core 1; each is loaded for
`SECONDS` (5) at a time, in turn, ROUNDS times, and medians are shown.

- one call: the model asked and its list rendered in this process, and in a worker, in turn.
- memory: proportional set size of the server and its workers: with one model, the most during a
  swap, and with a candidate.
- over HTTP: ours against a bare FastAPI function that calls the same SavedModel and returns ids and
  scores, without titles, limits, metrics or swaps. "ratio" is the median over rounds. Processor
  time a request is the one that other work on the machine disturbs least.
- swap: from HEAD moved to the first answer of the new revision, HEAD looked at every 0.2 s.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.processes import serving
from tests.waiting import until

ITEMS, DIMENSION, HISTORY, K = 27_000, 64, 50, 100
ONE_CORE = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
LOAD = Path(__file__).with_name("load.py")
CONNECTIONS = (1, 4, 16)
ROUNDS, ASKED, BARE_PORT = 5, 2_000, 18_433


def histories(number: int) -> list[list[str]]:
    """Random ones."""
    rng = np.random.default_rng(1)
    return [[f"r1-{item:05d}" for item in rng.integers(0, ITEMS, HISTORY)] for _ in range(number)]


def one_call(model: Path) -> None:
    """Print p50 and p99 in ms, in process and in a worker; the process is for this alone."""
    from setlist.models.saved_model import SavedModel
    from setlist.models.worker.answers import AnsweringModel
    from setlist.models.worker.model_worker import ModelWorker
    from setlist.models.worker.query import Query

    here = AnsweringModel(SavedModel(model), model)
    here.warm_up()
    ages = [float(age) for age in range(HISTORY)]
    seconds: dict[str, list[float]] = {"in process": [], "in a worker": []}
    with ModelWorker() as worker:
        worker.load(model)
        worker.warm_up(model)
        for history in histories(ASKED):
            query = Query(history, ages, [], {"country": "Chile"}, K)
            for which, taken in seconds.items():
                began = time.perf_counter()
                if which == "in process":
                    here.lists([query])
                else:
                    worker.ask(
                        "answer", model, {"queries": [vars(query)], "ids": False}, seconds=60
                    )
                taken.append(time.perf_counter() - began)
    rows = {which: np.percentile(taken, (50, 99)) * 1e3 for which, taken in seconds.items()}
    print(json.dumps({which: row.tolist() for which, row in rows.items()}))


def bare(model: Path) -> None:
    """The least that answers the same question."""

    # isort: split
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    from setlist.models.tf import tf

    recommend = tf.saved_model.load(str(model / "saved_model")).signatures["recommend"]
    app = FastAPI()

    class Asked(BaseModel):
        history: list[str]
        ages: list[float]
        country: str
        k: int

    @app.post("/v1/recommend")
    async def answer(asked: Asked) -> dict[str, list[str] | list[float]]:
        found = recommend(
            history=tf.constant([asked.history]),
            history_age_days=tf.constant([asked.ages]),
            exclude=tf.zeros([1, 0], tf.string),
            country=tf.constant([asked.country]),
            k=tf.constant(asked.k),
        )
        ids = [item.decode() for item in found["item_ids"].numpy()[0]]
        return {"item_ids": ids, "scores": found["scores"].numpy()[0].tolist()}

    uvicorn.run(app, port=BARE_PORT, log_level="warning", access_log=False)


def processor_seconds(process: int) -> float:
    """Of all its threads so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(process: int) -> list[int]:
    """A process and all that it has started."""
    found = [process]
    with contextlib.suppress(OSError):  # a thread, or all of it, has just ended
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def megabytes(process: int) -> float:
    """Proportional set size of the process and all that it has started."""
    total = 0
    for each in family(process):
        with contextlib.suppress(OSError):  # it has just ended
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def most_megabytes(process: int, while_: Callable[[], object]) -> float:
    """The most that is seen of it while something runs."""
    seen, ended = [megabytes(process)], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen.append(megabytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    while_()
    ended.set()
    watcher.join()
    return max(seen)


def memory(folder: Path, uri: str) -> None:
    """The line of memory."""
    promote(uri, 1)
    options = ("--store", uri, "--every", "0.2s", "--folder")
    with serving(*options, str(folder / "alone")) as server:
        server.wait(1)
        time.sleep(8)  # the spare has started
        alone = megabytes(server.process.pid)

        def swap() -> None:
            promote(uri, 2)
            server.wait(2)
            time.sleep(8)

        swapping = most_megabytes(server.process.pid, swap)
        parent = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text().splitlines()
        own = next(int(line.split()[1]) for line in parent if line.startswith("Pss:")) / 1024
    promote(uri, 1)
    with serving(*options, str(folder / "both"), "--shadow", "2") as server:
        server.wait(1)
        until(lambda: server.get("/v1/model")[1]["candidate"] == 2)
        time.sleep(8)
        both = megabytes(server.process.pid)
    print(
        f"\nmemory: {alone:.0f} MB with one model ({own:.0f} MB of it the server itself), at most "
        f"{swapping:.0f} MB during a swap, {both:.0f} MB with a candidate in the shadow\n"
    )


def measure(
    process: int, port: int, connections: int, seconds: float, bodies: Path
) -> tuple[float, float, float, float]:
    """Requests a second, p50 and p99 in ms, processor ms a request."""
    output = bodies.with_suffix(".npy")
    before = sum(map(processor_seconds, family(process)))
    command = [sys.executable, str(LOAD), str(port), str(connections), str(seconds)]
    subprocess.run(["taskset", "-c", "1", *command, str(bodies), str(output)], check=True)
    spent = sum(map(processor_seconds, family(process))) - before
    answers = np.load(output)
    assert (answers[:, 2] == 200).all(), "every request has to be answered"
    p50, p99 = np.percentile(answers[:, 1], [50, 99]) * 1e3
    return len(answers) / seconds, float(p50), float(p99), spent / len(answers) * 1e3


def write_bodies(folder: Path) -> dict[str, Path]:
    """The same 200 requests for ours and for the bare function, one a line."""
    ages = list(range(HISTORY))
    lines: dict[str, list[object]] = {"ours": [], "bare": []}
    for history in histories(200):
        plays = [{"item": i, "age_days": a} for i, a in zip(history, ages, strict=True)]
        lines["ours"].append({"history": plays, "inputs": {"country": "Chile"}, "k": K})
        lines["bare"].append({"history": history, "ages": ages, "country": "Chile", "k": K})
    for which, bodies in lines.items():
        (folder / which).write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return {which: folder / which for which in lines}


@contextlib.contextmanager
def bare_server(model: Path) -> Iterator[int]:
    """The bare function on core 0, ready; its process."""
    command = [sys.executable, "-m", "tests.benchmarks.serving", "bare", str(model)]
    process = subprocess.Popen(["taskset", "-c", "0", *command], env=os.environ | ONE_CORE)

    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{BARE_PORT}/docs", timeout=5).close()
        except OSError:
            return False
        return True

    try:
        until(answers)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def over_http(folder: Path, model: Path, uri: str, seconds: float) -> None:
    """The table of ours and the bare one, and the swap."""
    bodies = write_bodies(folder)
    options = ("--store", uri, "--every", "0.2s", "--folder", str(folder / "kept"))
    with bare_server(model) as bare, serving(*options, cores="0", **ONE_CORE) as server:
        server.wait(1)
        ports = {"ours": (server.process.pid, server.port), "bare": (bare, BARE_PORT)}
        print(
            "| connections | | requests a second | p50 ms | p99 ms | processor ms | ratio |\n"
            "|--:|---|--:|--:|--:|--:|--:|"
        )
        for connections in CONNECTIONS:
            found: dict[str, list[tuple[float, float, float, float]]] = {}
            for name in ("bare", "ours") * (ROUNDS + 1):
                row = measure(*ports[name], connections, seconds, bodies[name])
                found.setdefault(name, []).append(row)
            ours_, bare_ = (np.array(found[name][1:]) for name in ("ours", "bare"))
            ratio = np.median(ours_[:, 0] / bare_[:, 0])
            for name, rows, said in (("ours", ours_, f"{ratio:.2f}"), ("bare", bare_, "")):
                rps, p50, p99, spent = np.median(rows, axis=0)
                print(
                    f"| {connections} | {name} | {rps:.0f} | {p50:.1f} | {p99:.1f} | "
                    f"{spent:.2f} | {said} |",
                    flush=True,
                )
        took = []
        for revision in (2, 1, 2, 1, 2):
            promote(uri, revision)
            took.append(server.wait(revision))
        print(
            f"\nHEAD moved to first answer: median {np.median(took):.2f} s, longest "
            f"{max(took):.2f} s; the first of them with the download {took[0]:.2f} s"
        )


def main(seconds: float) -> None:
    """Print all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = str(folder / "store")
        for revision in (1, 2):
            model = write_towers(folder / f"r{revision}", f"r{revision}", ITEMS, DIMENSION)
            stage(uri, model, f"run-{revision}")
        promote(uri, 1)
        command = [sys.executable, "-m", "tests.benchmarks.serving", "call", str(folder / "r1")]
        done = subprocess.run(
            ["taskset", "-c", "0", *command],
            env=os.environ | ONE_CORE,
            stdout=subprocess.PIPE,
            check=True,
        )
        for which, (p50, p99) in json.loads(done.stdout.splitlines()[-1]).items():
            print(f"one call {which}: p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
        memory(folder, uri)
        promote(uri, 1)
        over_http(folder, folder / "r1", uri, seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["call"]:
        one_call(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["bare"]:
        bare(Path(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
