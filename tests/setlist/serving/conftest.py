"""A store with two real revisions of `home`, the first of them live."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator import make_bucket
from tests.setlist.serving.models import promote, stage, write_towers
from tests.setlist.serving.proxy import Proxy


@pytest.fixture(scope="session")
def towers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The model folders by revision; the items of revision 1 are called r1-..."""
    folder = tmp_path_factory.mktemp("towers")
    return {number: write_towers(folder / f"r{number}", f"r{number}") for number in (1, 2)}


def fill(uri: str, towers: dict[int, Path]) -> str:
    """Stage both, promote the first."""
    for revision, model in towers.items():
        assert stage(uri, model, f"run-{revision}") == revision
    promote(uri, 1)
    return uri


@pytest.fixture(scope="session")
def filled(towers: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to copy from."""
    return Path(fill(str(tmp_path_factory.mktemp("filled") / "store"), towers))


@pytest.fixture
def uri(filled: Path, tmp_path: Path) -> str:
    """A store of one's own."""
    return str(shutil.copytree(filled, tmp_path / "store"))


@pytest.fixture
def proxy(gcs_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between this process and the emulator."""
    with contextlib.closing(Proxy(int(gcs_emulator.rpartition(":")[2]))) as made:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", made.url)
        yield made


@pytest.fixture
def gcs_uri(proxy: Proxy, gcs_emulator: str, towers: dict[int, Path]) -> str:
    """The same store in a bucket, behind the proxy."""
    bucket = f"b{uuid.uuid4().hex[:12]}"
    make_bucket(gcs_emulator, bucket)
    return fill(f"gs://{bucket}/models", towers)
