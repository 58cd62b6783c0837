"""What became of faults around a store and a run, as rows of a table.

    python -m tests.benchmarks.operations

`faults.py` prints these rows, too. Commands are processes of their own; buckets are the emulator's,
behind a proxy that answers in its place.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cases.gcs_answers import ANSWERS
from tests.emulator import emulator, make_bucket
from tests.hostile_text import raw
from tests.http_stub import served
from tests.setlist.runs.test_cleaning import model, promote
from tests.setlist.store.conftest import write_model
from tests.setlist.store.proxy import Proxy
from tests.setlist.store.test_refusals import LOSES
from tests.setlist_pipelines.kubeflow import kfp_stub
from tests.setlist_pipelines.kubeflow.test_submission import IMAGE, STORE
from tests.setlist_pipelines.laptop.small_run import finish, write_settings

from setlist.errors import StoreError
from setlist.runs.cleaning import clean_store
from setlist.runs.record import RunRecord
from setlist.store import bucket
from setlist.store.model_store import ModelStore, open_store
from setlist.store.objects import open_objects
from setlist.store.pins import pin, pins
from setlist.store.retention import prune

HOSTILE = "calm\x1b[2J\r\nrevision 99 of home is live\u202e"
PINS = 60
SETTINGS = (
    "name=../x",
    "name=''",
    "name=дом",
    "store=file:///etc",
    "store=http://169.254.169.254/x",
    "as_of=tomorrow",
    "model.learning_rate=.inf",
    "model.epochs=1e30",
    "store=~nosuchuser/x",
)
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


class Bench:
    """Stores in folders and, behind the proxy, in a bucket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def store(self, uri: str = "", revisions: int = 2) -> str:
        """The address of a store whose revision 1 is live."""
        uri = uri or str(self.new() / "store")
        models = open_store(uri)
        for number in range(1, revisions + 1):
            stage(models, self.new(), number)
        models.promote("home", 1, expected=None, why=HOSTILE)
        return uri

    @contextlib.contextmanager
    def proxied(self) -> Iterator[str]:
        """The address of such a store behind the proxy, for this process and those it starts."""
        with emulator() as server:
            make_bucket(server, "faults")
            Proxy.reset(server)
            with served(Proxy) as url:
                os.environ["STORAGE_EMULATOR_HOST"] = url
                try:
                    yield self.store("gs://faults/store")
                finally:
                    del os.environ["STORAGE_EMULATOR_HOST"]


def stage(models: ModelStore, folder: Path, number: int) -> int:
    """A small revision."""
    model = write_model(folder / "model", {"a": f"{number}".encode()})
    some = {"digest": f"{number}", "training_window": {}, "metadata": {}}
    return models.stage("home", model, run_id=f"run-{number}", **some)


def of_a_store(bench: Bench, uri: str, *command: str) -> tuple[int, str]:
    """A command of `setlist models`: its exit code, and what it shows."""
    return finish(bench.new(), "models", *command, "--store", uri)


def refused_writes(bench: Bench) -> str:
    (answer,) = (each for each in ANSWERS if each.name == "constraint")
    with bench.proxied() as uri:
        before = open_store(uri).objects.keys("")
        Proxy.answer_writes, Proxy.requests = (answer.status, answer.body), 0
        code, shown = of_a_store(bench, uri, "pin", "1")
        requests = Proxy.requests
        changed = open_store(uri).objects.keys("") != before
    return f"`models pin` ends with {code} after {requests} requests, changed: {changed}: {shown}"


def answers(bench: Bench) -> str:
    fit, losing = 0, 0
    bucket.RETRY_SECONDS, bucket.WRITE_PAUSE_SECONDS = 0.1, 0.0
    with bench.proxied() as uri:
        place = open_objects(uri)
        for answer in ANSWERS:
            Proxy.answer_all = answer.status, answer.body
            try:
                place.write("home/x", b"1", expected=None)
            except StoreError as fault:
                fit += isinstance(fault, answer.error) and all(
                    part in str(fault) for part in answer.says
                )
                losing += bool(LOSES.search(fault.remedy))
    return (
        f"{fit} of {len(ANSWERS)} answers get the server's reason and the remedy that fits; "
        f"{losing} of the remedies lose history"
    )


def large_head(bench: Bench) -> str:
    uri = bench.store()
    (Path(uri) / "home" / "HEAD").write_bytes(b" " * 60_000_000)
    return of_a_store(bench, uri, "list")[1]


def read_only(bench: Bench) -> str:
    uri, target = bench.store(), bench.new()
    mount = 'mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" && shift && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mount.replace("shift", "shift 2"), "sh", uri, target]
    listed = [
        subprocess.run(
            [
                *command,
                sys.executable,
                "-m",
                "setlist_pipelines",
                "models",
                what,
                "--store",
                target,
            ],
            check=False,
            stdout=subprocess.DEVNULL,
        ).returncode
        for what in ("list", "history")
    ]
    return f"`models list` and `models history` on a read-only mount end with {listed}"


def pins_and_prunes(bench: Bench) -> str:
    uri, ended = bench.store(), threading.Event()

    def prune_again() -> None:
        while not ended.is_set():
            with contextlib.suppress(StoreError):
                prune(open_store(uri), "home", 1, lambda _: None)

    pruner = threading.Thread(target=prune_again)
    models, acknowledged, refused = open_store(uri), [], 0
    pruner.start()
    for number in range(3, 3 + PINS):
        # The one before has just become one of those that a prune removes.
        before = stage(models, bench.new(), number) - 1
        try:
            pin(models, "home", before, "kept")
            acknowledged.append(before)
        except StoreError:
            refused += 1
    ended.set()
    pruner.join()
    kept = set(pins(models, "home")) & set(models.revisions("home"))
    lost = set(acknowledged) - kept
    return f"{len(acknowledged)} pins acknowledged, {refused} refused, {len(lost)} lost"


def hostile_texts(bench: Bench) -> str:
    uri = bench.store()
    shown = of_a_store(bench, uri, "history")[1]
    return f"{len(raw(shown))} raw control characters in `models history`"


def evil_modules(bench: Bench) -> str:
    folder = bench.new()
    for name in ("yaml", "statistics", "typing"):
        (folder / f"{name}.py").write_text("open('done', 'w')\nraise SystemExit('it was run')\n")
    code, _ = finish(folder, "models", "list", "--store", bench.store())
    return f"`setlist` ends with {code}; a module there was run: {(folder / 'done').exists()}"


def refused_settings(bench: Bench) -> str:
    folder = bench.new()
    seconds, codes = [], []
    for change in SETTINGS:
        began = time.monotonic()
        codes.append(finish(folder, "run", "--set", change)[0])
        seconds.append(time.monotonic() - began)
    (folder / "aliases.yaml").write_text(ALIASES)
    began = time.monotonic()
    codes.append(finish(folder, "run", "--config", "aliases.yaml")[0])
    aliases = time.monotonic() - began
    return (
        f"{codes.count(1)} of {len(codes)} end with 1 in one sentence, the slowest in "
        f"{max(seconds):.1f} s, the aliases in {aliases:.1f} s; runs begun: "
        f"{len(list(folder.glob('.setlist/retraining-*')))}"
    )


def refused_machines(bench: Bench) -> str:
    folder = bench.new()
    (folder / "list.json").write_text("[]")
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "list.json")}
    codes = [
        finish(folder, "run", "--workdir", "a[x]")[0],
        finish(folder, "run", "--workdir", "a\\b")[0],
        finish(folder, "run", "--set", "store=gs://bucket/x", **named)[0],
        finish(folder, "run", "--workdir", "ö", LC_ALL="C", PYTHONUTF8="0",
               PYTHONCOERCECLOCALE="0")[0],
    ]  # fmt: skip
    begun = len(list(folder.glob("**/run-*.log")))
    long = write_settings(bench.new(), inputs=[f"{'x' * 4_000}{n}" for n in range(50)])
    shown = finish(folder, "run", "--config", str(long))[1]
    return (
        f"`[x]`, a backslash, a list as credentials, ö in an ASCII locale: {codes}, {begun} runs "
        f"begun; settings of {long.stat().st_size:,} bytes start: "
        f"{'Plan the run' in shown}"
    )


def arabic_digit(bench: Bench) -> str:
    uri = bench.store()
    (Path(uri) / "home" / "revisions" / "٣").mkdir()
    (Path(uri) / "home" / "revisions" / "٣" / "manifest.json").write_text("{}")
    code, _ = of_a_store(bench, uri, "prune", "--keep", "0")
    return f"revisions {open_store(uri).revisions('home')} stay, `models prune` ends with {code}"


def expired_token(bench: Bench) -> str:
    codes = []
    with kfp_stub.serve() as stub:
        named = {"KF_PIPELINES_ENDPOINT": stub.url, "SETLIST_IMAGE": IMAGE}
        for refusals in (1, 2):
            stub.faults = [kfp_stub.Fault("GET", f"runs/0000000{refusals}-0000", 401)] * refusals
            folder = bench.new()
            codes.append(finish(folder, "submit", "--set", STORE, "--wait", **named)[0])
    assert not stub.faults
    return (
        f"`submit --wait` ends with {codes[0]} after one 401, and with {codes[1]}, which says that "
        "the run goes on, after two in a row"
    )


def without_anchor(bench: Bench) -> str:
    folder, heuristics = bench.new(), bench.new()
    model(heuristics / "most_popular", "most_popular")
    uri = str(folder / "store")
    for number in range(1, 11):
        promote(uri, folder, heuristics, number)
    before = open_store(uri).revisions("home")
    code, _ = of_a_store(bench, uri, "prune", "--keep", "0")
    after = open_store(uri).revisions("home")
    return f"`models prune --keep 0` ends with {code}; of {len(before)} revisions {after} stay"


def killed_before_the_record(bench: Bench) -> str:
    folder, heuristics = bench.new(), bench.new()
    model(heuristics / "most_popular", "most_popular")
    uri = str(folder / "store")
    promote(uri, folder, heuristics, 1)
    (shown,) = RunRecord.all(uri, "home")
    made_up = clean_store(open_store(uri), "home").made_up
    stored = RunRecord.read(uri, "home", "run-1")
    return (
        f"shown as {shown.outcome}; whoever comes next writes the record of {', '.join(made_up)} "
        f"({stored and stored.outcome})"
    )


ROWS: tuple[tuple[str, Callable[[Bench], str]], ...] = (
    ("a bucket answers every write with 412 (8)", refused_writes),
    ("a bucket or a proxy refuses (9)", answers),
    ("a HEAD of 60 MB (10)", large_head),
    ("a store on a read-only mount (12)", read_only),
    ("pins while another process prunes again and again (13)", pins_and_prunes),
    ("ESC, line ends and marks of direction in a store (14)", hostile_texts),
    ("`yaml.py`, `statistics.py`, `typing.py` in the working folder (15)", evil_modules),
    ("settings that nobody can mean, eight lines of aliases (16)", refused_settings),
    ("a machine on which a run would fail (17)", refused_machines),
    ("`٣/manifest.json` among the revisions (21)", arabic_digit),
    ("the token expires while `submit --wait` looks (22)", expired_token),
    ("ten promotions without an anchor (24)", without_anchor),
    ("a run is killed between its promotion and its record (27)", killed_before_the_record),
)


def operations(folder: Path) -> None:
    """Print the rows."""
    print("\n| around a store and a run | seen |\n|---|---|")
    bench = Bench(folder)
    for fault, look in ROWS:
        seen = look(bench).replace(str(folder), "FOLDER")
        print(f"| {fault} | {seen} |", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        operations(Path(name))
