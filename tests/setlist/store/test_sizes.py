"""Nothing is read without a limit, over both backends."""

import gzip
from pathlib import Path

import google.cloud.storage
import pytest
from tests.conftest import BUCKET

from setlist.errors import StoreDamagedError, StoreRefusedError
from setlist.store import folder as folder_module
from setlist.store.manifest import Manifest
from setlist.store.model_store import ModelStore
from setlist.store.sizes import DOCUMENT_VALUES, HEAD_BYTES, REVISION_DIGITS

from .conftest import Behind, Stage, write_model


def test_a_head_that_is_too_large_is_not_read(store: ModelStore, behind: Behind, tmp_path: Path):
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(60_000_000)
    behind.objects.upload(file, "home/HEAD")
    with pytest.raises(StoreDamagedError, match=rf"home/HEAD.*can have {HEAD_BYTES:,} at most"):
        store.head("home")


def test_a_compressed_document_is_refused(gcs_uri: str, tmp_path: Path):
    """Fault 10: 200 kB that become 200 MB."""
    prefix = gcs_uri.removeprefix(f"gs://{BUCKET}/")
    blob = google.cloud.storage.Client().bucket(BUCKET).blob(f"{prefix}/home/HEAD")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b" " * 200_000_000))
    place = Behind(gcs_uri).objects
    with pytest.raises(StoreDamagedError, match="content encoding gzip"):
        ModelStore(place).head("home")
    place.download("home/HEAD", tmp_path / "as it is stored")
    assert (tmp_path / "as it is stored").stat().st_size < 300_000


def test_a_file_of_another_size_is_named_before_a_byte_is_fetched(
    store: ModelStore, stage: Stage, behind: Behind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stage("run-1")
    file = write_model(tmp_path, {"large": b"0" * 1_000_000}) / "large"
    behind.objects.upload(file, "home/revisions/1/saved_model.pb")

    def fail(*_: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr(store.objects, "download", fail)
    with pytest.raises(StoreDamagedError, match="it has 1000000 bytes, its manifest says 5"):
        store.fetch("home", 1, tmp_path / "to")
    (fault,) = store.verify("home", 1)
    assert isinstance(fault, StoreDamagedError)


def test_a_download_stops_at_its_limit(behind: Behind, tmp_path: Path):
    file = write_model(tmp_path, {"a": b"0" * 3_000_000}) / "a"
    behind.objects.upload(file, "a")
    with pytest.raises(StoreDamagedError, match="a is damaged"):
        behind.objects.download("a", tmp_path / "to", limit=1_000_000)
    assert not (tmp_path / "to").exists() or (tmp_path / "to").stat().st_size <= 1_000_000


def test_a_listing_has_a_limit(behind: Behind, monkeypatch: pytest.MonkeyPatch):
    for key in ("x/a", "x/b", "x/c"):
        behind.put(key, b"1")
    monkeypatch.setattr(folder_module, "LISTED_KEYS", 2)
    with pytest.raises(StoreRefusedError, match="more than 2 objects lie below"):
        behind.objects.keys("x/")


def test_what_could_not_be_read_again_is_not_written(
    store: ModelStore, stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage("run-1")
    with pytest.raises(StoreRefusedError, match="HEAD cannot be written: it has"):
        store.promote("home", 1, expected=None, why="x" * 2 * HEAD_BYTES)
    assert store.head("home") is None
    monkeypatch.setattr(Manifest, "limit", 1000)
    with pytest.raises(StoreRefusedError, match="can have 1,000 at most"):
        stage("run-2", metadata={"notes": "x" * 1000})
    assert store.revisions("home") == [1]


@pytest.mark.parametrize("number", ["٣", "007", "0", "1" * 16, "-1", "1.0"])
def test_other_keys_are_no_revisions(store: ModelStore, stage: Stage, behind: Behind, number: str):
    """Fault 21: an Arabic digit is a digit, and no number of a revision."""
    stage("run-1")
    behind.put(f"home/revisions/{number}/manifest.json", b"{}")
    behind.put(f"home/revisions/{number}.claim", b"{}")
    assert store.revisions("home") == [1]
    assert list(store.manifests("home")) == [1]
    assert stage("run-2") == 2


def test_a_document_of_too_many_values_is_refused_before_one_is_made(
    store: ModelStore, stage: Stage, behind: Behind
):
    """A manifest of empty lists took 4 GB and two minutes, also of whoever verifies signatures."""
    stage("run-1")
    store.promote("home", 1, expected=None)
    key = "home/revisions/1/manifest.json"
    many = b"[]," * DOCUMENT_VALUES + b"[]"
    behind.put(key, behind.get(key).replace(b'"metadata": {}', b'"metadata": {"x": [%b]}' % many))
    with pytest.raises(StoreDamagedError, match="values, and can have 1,000,000 at most"):
        store.manifest("home", 1)
    with pytest.raises(StoreRefusedError, match="values, and can have 1,000,000 at most"):
        stage("run-2", metadata={"x": [[]] * DOCUMENT_VALUES})


def test_the_last_number_is_said(store: ModelStore, stage: Stage, behind: Behind):
    stage("run-1")
    behind.put(f"home/revisions/{10**REVISION_DIGITS - 1}/x", b"")
    with pytest.raises(StoreRefusedError, match="999999999999999, and there is none above it"):
        stage("run-2")
