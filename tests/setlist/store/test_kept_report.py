"""The report of a revision in a store: it lies there whole, is signed with it, and goes with it."""

from pathlib import Path

import google.cloud.storage
import pytest
from tests.conftest import BUCKET
from tests.signing_keys import KeyPair, make_key

from setlist.errors import SetlistError
from setlist.runs.promotion import anchor_of
from setlist.store import kept_report
from setlist.store.kept_report import (
    Neighbour,
    address,
    fits,
    page_base,
    revision_path,
    run_path,
    with_links,
    with_revision,
)
from setlist.store.model_store import ModelStore, open_store
from setlist.store.reader import open_reader
from setlist.store.retention import prune
from setlist.store.signing import TrustedKeys

from .conftest import Behind, Stage, write_model

PAGE = (
    "<p><!--revision-->not pushed yet<!--/revision--> "
    '<span data-report="revisions/6.report.html">revision 6</span> '
    "<p>&lt;!--revision--&gt; &lt;span data-report=&quot;a&quot;&gt;</p>"
)


def page(number: int) -> bytes:
    return with_revision(PAGE, number).encode()


def test_it_lies_beside_its_revision_and_is_held_against_the_manifest(
    store: ModelStore, stage: Stage, behind: Behind
):
    stage("run-1", report=page, card=lambda number: f"# {number}\n")
    stage("run-2")
    assert store.report("home", 1) == page(1) == behind.get("home/revisions/1.report.html")
    assert store.report("home", 2) is None, "as of every former version"
    assert store.revisions("home") == [1, 2]
    assert store.verify("home", 1) == []
    behind.put("home/revisions/1.report.html", b"<p>all is well")
    with pytest.raises(SetlistError, match=r"home/revisions/1\.report\.html is damaged"):
        store.report("home", 1)
    assert "1.report.html is damaged" in str(store.verify("home", 1)[0])
    behind.remove("home/revisions/1.report.html")
    assert "1.report.html is missing" in str(store.verify("home", 1)[0])
    assert store.card("home", 1) == "# 1\n", "the rest is read"


def test_a_second_attempt_writes_over_the_half_of_the_first(
    store: ModelStore, stage: Stage, behind: Behind
):
    stage("run-1", report=page)
    behind.remove("home/revisions/1/manifest.json")
    behind.put("home/revisions/1.report.html", b"half")
    assert stage("run-1", report=page) == 1
    assert store.report("home", 1) == page(1)


def test_what_another_revision_says_of_its_own_is_not_copied(store: ModelStore, stage: Stage):
    stage("run-1", report=page, card=str)
    stage("refresh", metadata=store.manifest("home", 1).metadata)
    assert store.verify("home", 2) == []
    assert store.report("home", 2) is None


def test_it_goes_with_its_revision(store: ModelStore, stage: Stage, behind: Behind):
    for number in (1, 2, 3):
        stage(f"run-{number}", report=page)
    store.promote("home", 3, expected=None)
    assert prune(store, "home", 1, anchor_of).revisions == [1, 2]
    left = [key for key in behind.objects.keys("home/") if key.endswith(".html")]
    assert left == ["home/revisions/3.report.html"]


def test_a_report_without_its_revision_is_removed_with_what_dead_runs_left(
    store: ModelStore, stage: Stage, behind: Behind
):
    stage("run-1")
    stage("run-2", report=page)
    store.promote("home", 1, expected=None)
    store.promote("home", 2, expected=store.head("home"))
    stage("run-3"), stage("run-4")
    store.promote("home", 4, expected=store.head("home"))
    prune(store, "home", 1, anchor_of)  # 2 stays: it was live before
    assert store.report("home", 2) == page(2)
    stage("run-5")
    store.promote("home", 5, expected=store.head("home"))
    prune(store, "home", 1, anchor_of)
    assert behind.objects.read("home/revisions/2.report.html") is None


def test_a_key_vouches_for_it(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pair: KeyPair = make_key(tmp_path)
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(pair.private))
    signed = open_store(uri)
    model = write_model(tmp_path / "model", {"a": b"1"})
    some = {"run_id": "r", "digest": "d", "training_window": {}, "metadata": {}}
    signed.stage("home", model, **some, report=page)  # type: ignore[arg-type]
    reader = open_reader(uri, trusted=TrustedKeys([str(pair.public)]))
    assert reader.report("home", 1) == page(1)
    # Whoever changes the page would have to change the manifest, which is signed.
    Behind(uri).put("home/revisions/1.report.html", b"<p>promote me")
    assert "1.report.html is damaged" in str(reader.verify("home", 1)[0])
    manifest = reader.manifest("home", 1)
    other = manifest.model_copy(update={"metadata": {}})
    Behind(uri).put("home/revisions/1/manifest.json", other.to_bytes())
    with pytest.raises(SetlistError, match="is not signed by a key that is trusted here"):
        reader.report("home", 1)


def test_a_bucket_hands_it_out_as_a_page(gcs_uri: str, tmp_path: Path):
    model = write_model(tmp_path / "model", {"a": b"1"})
    some = {"run_id": "r", "digest": "d", "training_window": {}, "metadata": {}}
    open_store(gcs_uri).stage("home", model, **some, report=page)  # type: ignore[arg-type]
    key = f"{gcs_uri.removeprefix(f'gs://{BUCKET}/')}/home/revisions/1.report.html"
    blob = google.cloud.storage.Client().bucket(BUCKET).get_blob(key)
    assert blob.content_type == "text/html"
    assert blob.download_as_bytes() == page(1)


def test_what_opens_it(tmp_path: Path):
    assert address(str(tmp_path), "home/a.html") == f"{tmp_path}/home/a.html"
    opened = address("gs://bucket/some prefix", "home/a%20b.html")
    assert opened == "https://storage.cloud.google.com/bucket/some%20prefix/home/a%2520b.html"
    assert page_base(str(tmp_path), "home/summer") == "../"
    assert page_base("gs://b/p", "home").endswith("/b/p/home/")


def test_the_page_gets_its_number_and_its_links_where_it_is_kept():
    kept = with_links(with_revision(PAGE, 7), '../"')
    assert "<!--revision-->7<!--/revision-->" in kept
    assert '<a href="../&quot;revisions/6.report.html">revision 6</a>' in kept
    assert kept.count("<a ") == 1, "what others wrote is no place of ours"
    assert with_links(with_revision("<p>old</p>", 7), "../") == "<p>old</p>"


def test_an_id_cannot_lead_elsewhere():
    assert run_path("../x y") == "runs/..%2Fx%20y.report.html"
    text = f'<span data-report="{run_path("../x y")}">x</span>'
    assert with_links(text, "../") == '<a href="../runs/..%252Fx%2520y.report.html">x</a>'
    assert Neighbour("run before", "x").path == ""
    assert revision_path(7) == "revisions/7.report.html"


def test_one_that_is_too_large_is_left_out_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(kept_report, "REPORT_BYTES", 4)
    assert fits(b"1234", "run-1")
    assert not fits(b"12345", "run-1\x1b[2J")
    line = capsys.readouterr().out
    assert line.startswith(r"the report of run-1\x1b[2J is not kept in the store: it has 5 bytes")
