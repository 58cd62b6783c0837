"""A caller can tell by its class what a fault of a store means, over both backends."""

import errno
import os
import re
import shutil
import uuid
from pathlib import Path

import google.cloud.storage
import pytest
from google.api_core.exceptions import (
    GoogleAPICallError,
    RetryError,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from google.auth.exceptions import RefreshError, TransportError
from google.cloud.storage.exceptions import DataCorruption
from tests.emulator import make_bucket

from setlist.errors import (
    StoreConflictError,
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreRefusedError,
    StoreUnreachableError,
)
from setlist.store import bucket
from setlist.store.model_store import ModelStore, open_store
from setlist.store.objects import open_objects
from setlist.store.retention import prune

from .conftest import Behind, Stage, write_model
from .proxy import Proxy


def test_a_head_that_moved_is_a_conflict(store: ModelStore, stage: Stage):
    stage("run-1"), stage("run-2")
    store.promote("home", 1, expected=None)
    with pytest.raises(StoreConflictError, match="HEAD of home moved"):
        store.promote("home", 2, expected=None)


def test_what_does_not_exist_is_not_found(store: ModelStore, stage: Stage, tmp_path: Path):
    with pytest.raises(StoreNotFoundError):
        store.manifest("home", 1)
    with pytest.raises(StoreNotFoundError):
        prune(store, "home", 1, lambda _: None)
    with pytest.raises(StoreNotFoundError):
        store.objects.download("no/such/key", tmp_path / "to")
    stage("run-1"), stage("run-2")
    store.promote("home", 2, expected=None)
    prune(store, "home", 0, lambda _: None)
    with pytest.raises(StoreNotFoundError, match="was pruned"):
        store.fetch("home", 1, tmp_path / "to")


@pytest.mark.parametrize("change", ["file", "missing file", "manifest", "HEAD"])
def test_what_was_changed_is_damaged(
    store: ModelStore, stage: Stage, behind: Behind, change: str, tmp_path: Path
):
    stage("run-1")
    store.promote("home", 1, expected=None)
    key = {"manifest": "home/revisions/1/manifest.json", "HEAD": "home/HEAD"}.get(
        change, "home/revisions/1/saved_model.pb"
    )
    if change == "missing file":
        behind.remove(key)
    else:
        behind.put(key, b"{}")
    with pytest.raises(StoreDamagedError, match=key):
        store.fetch("home", 1, tmp_path / "to")
    (fault,) = store.verify("home", 1)
    assert isinstance(fault, StoreDamagedError)


def test_what_the_rules_of_a_store_forbid_is_refused(store: ModelStore, stage: Stage):
    stage("run-1", training_window={"end": "2026-04-02"})
    stage("run-2", training_window={"end": "2026-04-01"})
    head = store.promote("home", 1, expected=None)
    with pytest.raises(StoreRefusedError, match="was trained on data until"):
        store.promote("home", 2, expected=head)
    with pytest.raises(StoreRefusedError, match="for another model"):
        stage("run-1", digest="another")


# A store that vanished while it was open: a drive that was unmounted, a bucket that was deleted.


@pytest.fixture(params=["local", "gcs"])
def vanished(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> ModelStore:
    if request.param == "local":
        store = open_store(str(tmp_path / "store"))
        shutil.rmtree(tmp_path / "store")
        return store
    url, name = request.getfixturevalue("gcs_emulator"), f"vanished-{uuid.uuid4().hex}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    make_bucket(url, name)
    store = open_store(f"gs://{name}/setlist")
    google.cloud.storage.Client().bucket(name).delete()
    return store


def test_a_store_that_vanished_is_not_an_empty_store(vanished: ModelStore):
    for use in (vanished.head, vanished.history, vanished.revisions):
        with pytest.raises(StoreNotFoundError):
            use("home")
    with pytest.raises(StoreNotFoundError):
        vanished.objects.keys("")
    with pytest.raises(StoreNotFoundError):
        vanished.objects.write("a", b"1", expected=None)


# Faults of the operating system, below a folder.


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EACCES, StoreRefusedError),
        (errno.EROFS, StoreRefusedError),
        (errno.ENOSPC, StoreRefusedError),
        (errno.ENOENT, StoreNotFoundError),
        (errno.EIO, StoreUnreachableError),
        (errno.ESTALE, StoreUnreachableError),
        (errno.ETIMEDOUT, StoreUnreachableError),
    ],
)
def test_a_fault_of_the_operating_system_has_its_class(
    number: int, error: type[StoreError], tmp_path: Path, monkeypatch
):
    place = open_objects(str(tmp_path / "store"))
    file = write_model(tmp_path / "files", {"a": b"1"}) / "a"

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(error, match=rf"cannot write a/b \({os.strerror(number)}\); "):
        place.write("a/b", b"1", expected=None)
    with pytest.raises(error):
        place.upload(file, "a/b")
    monkeypatch.undo()
    assert place.keys("") == [".lock"], "nothing is left behind"


def test_a_file_in_place_of_a_folder_is_damage_and_in_place_of_a_store_no_store(tmp_path: Path):
    place = open_objects(str(tmp_path / "store"))
    (tmp_path / "store" / "a").write_text("a file where a folder is needed")
    with pytest.raises(StoreDamagedError, match="a/b"):
        place.write("a/b", b"1", expected=None)
    with pytest.raises(StoreNotFoundError, match="cannot open the folder"):
        open_objects(str(tmp_path / "store" / "a"))


# Answers of Google Cloud Storage.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, StoreRefusedError),
        (403, StoreRefusedError),  # also a retention that has not ended
        (404, StoreNotFoundError),
    ],
)
def test_an_answer_of_the_server_has_its_class(proxied: str, status: int, error: type[StoreError]):
    place = open_objects(proxied)
    Proxy.refuse_with = status
    with pytest.raises(error, match="cannot read home/HEAD"):
        place.read("home/HEAD")
    with pytest.raises(error, match="cannot write home/HEAD"):
        place.write("home/HEAD", b"1", expected=None)
    with pytest.raises(error, match="cannot open the bucket"):
        open_objects(proxied)


def test_a_server_that_does_not_answer_is_unreachable(monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 0.1)
    with pytest.raises(StoreUnreachableError):
        open_store("gs://setlist/x")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Unauthorized("who asks?"), StoreRefusedError),
        (TooManyRequests("too fast"), StoreUnreachableError),
        (ServiceUnavailable("later"), StoreUnreachableError),
        (RetryError("sixty seconds are over", None), StoreUnreachableError),
        (DataCorruption(None, "other bytes than the checksum's"), StoreDamagedError),
        (RefreshError("the account was deleted"), StoreRefusedError),
        (TransportError("no answer of the token server"), StoreUnreachableError),
        (GoogleAPICallError("an answer without a status"), StoreUnreachableError),
    ],
)
def test_a_fault_of_the_client_has_its_class(
    gcs_uri: str, fault: Exception, error: type[StoreError], monkeypatch
):
    def fail(*_: object, **__: object) -> None:
        raise fault

    place = open_objects(gcs_uri)
    monkeypatch.setattr(place, "_client", type("Client", (), {"list_blobs": fail})())
    with pytest.raises(error, match=re.escape(getattr(fault, "message", str(fault)))):
        place.keys("")
