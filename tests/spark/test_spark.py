"""Curation, transformation, counting on Spark: in threads of this machine, and on a server.

Threads and server run in the environment .venv-spark, which `make test` makes; they need a Java.
The interpreter of the tests has the client of Spark Connect alone, as the image of the steps does.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-spark" / "bin" / "python"
CLIENT = Path(sys.executable)
SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
DIGESTS = 21
"""16 files of a dataset and its features, and five counts."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason="`make test` makes .venv-spark"),
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs a Java"),
]
NAMESPACE = ["unshare", "--map-root-user", "--mount"]
"""Before a command whose mounts nobody else sees."""
ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{ROOT / 'components'}:{ROOT}",
    "PYSPARK_PYTHON": str(PYTHON),
    "SPARK_LOCAL_IP": "127.0.0.1",
}


def started(
    engine: dict[str, str], *worlds: str, python: Path = PYTHON, apart: Path | None = None
) -> subprocess.CompletedProcess:
    """A run of tests/spark/compare.py, to its end; a warning in it is an error.

    Args:
        engine: the settings.
        worlds: what is compared.
        python: the interpreter.
        apart: keep the scratch files of the step in memory below this folder, where no other
            process sees them; and the tables beside it.
    """
    command = [python, "-W", "error", ROOT / "tests" / "spark" / "compare.py", json.dumps(engine)]
    environment = dict(ENVIRONMENT)
    if apart:
        apart.mkdir()
        environment |= {"TMPDIR": str(apart), "TABLES": str(apart.parent)}
        hidden = 'mount -t tmpfs none "$TMPDIR" && exec "$@"'
        command = [*NAMESPACE, "sh", "-c", hidden, "sh", *command]
    return subprocess.run(
        [*command, *worlds],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=1_200,
    )


def compare(engine: dict[str, str], *worlds: str, **how: Path) -> dict[str, dict]:
    """What tests/spark/compare.py prints; the arguments are those of `started`."""
    done = started(engine, *worlds, **how)
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout.splitlines()[-1])


needs_namespace = pytest.mark.skipif(
    not shutil.which(NAMESPACE[0])
    or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0,
    reason="mounts of a process's own are refused here",
)


def test_rows_are_those_of_duckdb_in_threads_of_this_machine():
    found = compare({"spark": "local[2]"}, "dialect", "1", "2", "fault")
    # What a worker cannot read is the sentence that DuckDB's reader says, and no traceback.
    sentence = found.pop("fault")["sentence"]
    assert sentence.count("\n") == 0
    assert "1.jsonl: column user_id, row 1: a control character or line break in an id" in sentence
    assert {world: one["differ"] for world, one in found.items()} == {world: [] for world in found}
    assert found["dialect"]["equal"] > 20
    assert [found[world]["equal"] for world in ("1", "2")] == [DIGESTS] * 2


def test_a_server_that_is_not_there_is_one_sentence():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = started({"spark": f"sc://127.0.0.1:{port}"}, "dialect")
    assert done.returncode == 1
    assert f"engine.spark: sc://127.0.0.1:{port} cannot be reached or started" in done.stderr


@pytest.fixture(scope="module")
def connect_server(tmp_path_factory) -> Iterator[str]:
    """The address of a server of Spark Connect on the loopback."""
    folder = tmp_path_factory.mktemp("connect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spark = PYTHON.parents[1] / "lib"
    (submit,) = spark.glob("python3.*/site-packages/pyspark/bin/spark-submit")
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": folder,
        "spark.sql.shuffle.partitions": 4,
        "spark.ui.enabled": "false",
    }
    command = [submit, "--master", "local[2]"]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    command += [
        "--class",
        SERVER_CLASS,
        "spark-internal",
    ]
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log, cwd=folder)

    def answers() -> bool:
        assert server.poll() is None, (folder / "server.log").read_text()[-4_000:]
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)
        log.close()


def test_rows_are_those_of_duckdb_on_a_server_of_spark_connect(connect_server):
    found = compare({"spark": connect_server}, "3")
    assert found == {"3": {"differ": [], "equal": DIGESTS}}


def test_the_client_alone_is_enough_for_a_server(connect_server):
    command = [CLIENT, "-c", "from pyspark.util import is_remote_only as only; print(only())"]
    assert subprocess.check_output(command, text=True) == "True\n"
    found = compare({"spark": connect_server}, "dialect", "4", python=CLIENT)
    assert {world: one["differ"] for world, one in found.items()} == {"dialect": [], "4": []}
    assert found["4"]["equal"] == DIGESTS


@needs_namespace
def test_a_server_on_another_disk_hands_over_in_the_scratch(connect_server, tmp_path):
    """Server and step share a folder, and the step's own scratch files are not to be seen."""
    (shared := tmp_path / "shared").mkdir()
    engine = {"spark": connect_server, "scratch": f"file://{shared}"}
    found = compare(engine, "dialect", "5", "fault", python=CLIENT, apart=tmp_path / "step")
    assert "control character" in found.pop("fault")["sentence"]
    assert {world: one["differ"] for world, one in found.items()} == {"dialect": [], "5": []}
    assert found["5"]["equal"] == DIGESTS
    assert [*shared.iterdir()] == []


@needs_namespace
def test_a_server_on_another_disk_without_a_scratch_is_one_sentence(connect_server, tmp_path):
    engine = {"spark": connect_server}
    done = started(engine, "dialect", python=CLIENT, apart=tmp_path / "step")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "DataError: engine.scratch: " in last
    assert "set engine.scratch to a bucket" in last


def test_a_scratch_that_the_server_may_not_write_is_one_sentence(connect_server, tmp_path):
    (blocked := tmp_path / "blocked").write_text("a file")
    engine = {"spark": connect_server, "scratch": f"file://{blocked}/below"}
    done = started(engine, "dialect", python=CLIENT)
    assert done.returncode == 1
    assert "DataError: engine.scratch: store" in done.stderr.splitlines()[-1]
