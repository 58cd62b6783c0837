"""Curation, transformation, counting on Spark: in threads of this machine, and on a server.

Both run in the environment .venv-spark, which `make test` makes; they need a Java.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-spark" / "bin" / "python"
SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
DIGESTS = 21
"""16 files of a dataset and its features, and five counts."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason="`make test` makes .venv-spark"),
    pytest.mark.skipif(not shutil.which("java"), reason="Spark needs a Java"),
]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{ROOT / 'components'}:{ROOT}",
    "PYSPARK_PYTHON": str(PYTHON),
    "SPARK_LOCAL_IP": "127.0.0.1",
}


def compare(engine: str, *worlds: str) -> dict[str, dict]:
    """What tests/spark/compare.py prints."""
    done = subprocess.run(
        [PYTHON, ROOT / "tests" / "spark" / "compare.py", engine, *worlds],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=1_200,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_rows_are_those_of_duckdb_in_threads_of_this_machine():
    found = compare("local[2]", "dialect", "1", "2", "fault")
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
    command = [PYTHON, ROOT / "tests" / "spark" / "compare.py", f"sc://127.0.0.1:{port}", "dialect"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 1
    assert f"engine.spark: sc://127.0.0.1:{port} cannot be reached or started" in done.stderr


@pytest.fixture
def connect_server(tmp_path) -> Iterator[str]:
    """The address of a server of Spark Connect on the loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spark = PYTHON.parents[1] / "lib"
    (submit,) = spark.glob("python3.*/site-packages/pyspark/bin/spark-submit")
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": tmp_path,
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
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log, cwd=tmp_path)

    def answers() -> bool:
        assert server.poll() is None, (tmp_path / "server.log").read_text()[-4_000:]
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
    found = compare(connect_server, "3")
    assert found == {"3": {"differ": [], "equal": DIGESTS}}
