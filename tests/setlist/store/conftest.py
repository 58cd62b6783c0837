"""The two places a store can be: a folder, and a bucket of the emulator."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import google.cloud.storage
import pytest
from tests.conftest import BUCKET
from tests.http_stub import served

from setlist.store.model_store import ModelStore
from setlist.store.objects import Objects, open_objects

from .process import Worker
from .proxy import Proxy


@pytest.fixture
def gcs_uri(gcs_bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh, empty store in the bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_bucket)
    return f"gs://{BUCKET}/stores/{uuid.uuid4().hex}"


@pytest.fixture
def proxied(gcs_bucket: str, gcs_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a store behind the proxy."""
    Proxy.reset(gcs_bucket)
    with served(Proxy) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield gcs_uri


@pytest.fixture(params=["local", "gcs"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty store: every test that takes it runs over both backends."""
    if request.param == "gcs":
        found = request.getfixturevalue("gcs_uri")
        assert isinstance(found, str)
        return found
    return str(tmp_path / "store")


class Behind:
    """Hands that change a store without asking it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.objects: Objects = open_objects(uri)

    def get(self, key: str) -> bytes:
        found = self.objects.read(key)
        assert found is not None
        return found[0]

    def put(self, key: str, content: bytes) -> None:
        found = self.objects.read(key)
        assert self.objects.write(key, content, expected=found[1] if found else None)

    def remove(self, key: str) -> None:
        if self.uri.startswith("gs://"):
            prefix = self.uri.removeprefix(f"gs://{BUCKET}/")
            google.cloud.storage.Client().bucket(BUCKET).blob(f"{prefix}/{key}").delete()
        else:
            (Path(self.uri) / key).unlink()


@pytest.fixture
def behind(uri: str) -> Behind:
    return Behind(uri)


@pytest.fixture
def store(uri: str) -> ModelStore:
    return ModelStore(open_objects(uri))


Stage = Callable[..., int]


@pytest.fixture
def stage(store: ModelStore, tmp_path: Path) -> Stage:
    """Stages a small model whose bytes tell its run."""

    def stage(run_id: str, name: str = "home", **more: object) -> int:
        model = write_model(tmp_path / "models" / run_id, {"saved_model.pb": run_id.encode()})
        values = {"run_id": run_id, "digest": f"of-{run_id}", "training_window": {}, "metadata": {}}
        return store.stage(name, model, **(values | more))  # type: ignore[arg-type]

    return stage


def write_model(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def workers(uri: str) -> Iterator[Callable[..., Worker]]:
    """Starts workers on the store, and stops them."""
    started: list[Worker] = []

    def start(die_after: int | None = None) -> Worker:
        started.append(Worker(uri, die_after))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()
