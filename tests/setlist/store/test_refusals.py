"""What a server refuses is said with its reason, and is never taken for a race."""

import json
import re
from pathlib import Path

import pytest
from tests.cases.gcs_answers import ANSWERS, GcsAnswer

from setlist.errors import StoreError, StoreRefusedError, StoreUnreachableError
from setlist.runs.record import RunRecord
from setlist.store import bucket
from setlist.store.bucket import BucketReader
from setlist.store.model_store import ModelStore
from setlist.store.objects import Objects, open_objects
from setlist.store.pins import pin, pins, unpin
from setlist.store.reader import open_reader
from setlist.store.refusals import BILLING_VARIABLE, parse_answer
from setlist.store.retention import prune

from .conftest import write_model
from .proxy import Proxy

# Of an answer that it tries again, the client leaves the body unread, and the connection open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LOSES = re.compile(r"force-head|remove it|replace HEAD|delete (it|the)", re.IGNORECASE)
"""What no remedy for a refusal may ask of anybody."""


@pytest.fixture
def place(proxied: str, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(bucket, "WRITE_PAUSE_SECONDS", 0.0)
    return open_objects(proxied)


@pytest.fixture
def live(place: Objects, tmp_path: Path) -> ModelStore:
    """Revisions 1 and 2, of which 1 is live."""
    store = ModelStore(place)
    for run_id in ("run-1", "run-2"):
        stage(store, tmp_path, run_id)
    store.promote("home", 1, expected=None)
    return store


def stage(store: ModelStore, folder: Path, run_id: str) -> int:
    model = write_model(folder / run_id, {"a": run_id.encode()})
    return store.stage("home", model, run_id=run_id, digest=run_id, training_window={}, metadata={})


def fits(fault: StoreError, answer: GcsAnswer) -> None:
    assert type(fault) is answer.error
    for part in answer.says:
        assert part in str(fault), str(fault)
    if answer.status not in (200, 401):  # no credentials of the emulator are refreshed after 401
        assert str(answer.status) in str(fault)
    assert "\n" not in str(fault)
    assert not LOSES.search(fault.remedy), fault.remedy


@pytest.mark.parametrize("answer", ANSWERS, ids=[answer.name for answer in ANSWERS])
def test_an_answer_has_the_remedy_that_fits(place: Objects, answer: GcsAnswer):
    """To reads and to writes alike."""
    Proxy.answer_all = answer.status, answer.body
    uses = [
        lambda: place.write("home/HEAD", b"1", expected=None),
        lambda: place.keys(""),
    ]
    if answer.status != 412:  # of the read after a write
        uses.append(lambda: place.read("home/HEAD"))
    for use in uses:
        with pytest.raises(StoreError) as caught:
            use()
        fits(caught.value, answer)
    Proxy.answer_all, Proxy.answer_writes = None, (answer.status, answer.body)
    with pytest.raises(StoreError) as caught:
        place.write("home/HEAD", b"1", expected=None)
    fits(caught.value, answer)
    Proxy.answer_writes = None
    assert place.keys("") == []


@pytest.mark.parametrize("name", ["412 for no reason", "constraint", "retention", "requester pays"])
def test_where_no_write_is_taken_nothing_is_reported_as_done(
    live: ModelStore, proxied: str, tmp_path: Path, name: str
):
    """Fault 8: each caller of a write says one sentence, after a handful of requests."""
    (answer,) = (each for each in ANSWERS if each.name == name)
    before, head = live.objects.keys(""), live.head("home")
    Proxy.answer_writes = answer.status, answer.body
    record = RunRecord.of_failure("home", "run-1", "it failed")
    for use in (
        lambda: pin(live, "home", 2, "liked"),
        lambda: stage(live, tmp_path, "run-3"),
        lambda: live.promote("home", 2, expected=head),
        lambda: live.replace_head("home", 1, why="", check=lambda _: None),
        lambda: prune(live, "home", 0, lambda _: None),
        lambda: record.write(proxied),
    ):
        Proxy.requests = 0
        with pytest.raises(StoreRefusedError) as caught:
            use()
        fits(caught.value, answer)
        assert Proxy.requests < 25
    Proxy.answer_writes = None
    assert live.objects.keys("") == before
    assert (live.head("home"), pins(live, "home")) == (head, {})
    assert stage(live, tmp_path, "run-3") == 3, "no number was used"


def test_a_write_that_another_wrote_first_is_lost(place: Objects):
    first = place.write("a", b"1", expected=None)
    assert place.write("a", b"2", expected=None) is None
    assert place.write("a", b"1", expected=None) == first, "it is there, as it should be"
    assert place.write("a", b"2", expected="1") is None


def test_a_pin_whose_answer_was_lost_is_written_once(proxied: str, tmp_path: Path):
    live = ModelStore(open_objects(proxied))
    stage(live, tmp_path, "run-1"), stage(live, tmp_path, "run-2")
    live.promote("home", 1, expected=None)
    Proxy.drop_answer_to = b'"why": "liked"'
    made = pin(live, "home", 2, "liked")
    assert Proxy.drop_answer_to is None
    assert pins(live, "home") == {2: made}
    unpin(live, "home", 2)
    assert pins(live, "home") == {}


def test_a_web_page_in_place_of_head_is_no_damage(live: ModelStore, proxied: str):
    """Fault 9: nothing is said of --force-head, which would lose the history."""
    (page,) = (each for each in ANSWERS if each.name == "portal")
    Proxy.answer_all = page.status, page.body
    for use in (
        lambda: live.head("home"),
        lambda: live.manifest("home", 1),
        lambda: live.promote("home", 2, expected=None),
        lambda: open_reader(proxied),
    ):
        with pytest.raises(StoreUnreachableError, match="not the store") as caught:
            use()
        assert "force-head" not in str(caught.value)
    assert live.verify("home", 1)[0].__class__ is StoreUnreachableError


def test_whoever_pays_is_named_in_every_request(
    proxied: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(BILLING_VARIABLE, "the-payer")
    store = ModelStore(open_objects(proxied))
    assert stage(store, tmp_path, "run-1") == 1
    store.promote("home", 1, expected=None)
    store.fetch("home", 1, tmp_path / "to")
    store.objects.remove("home/HEAD")
    assert store.head("home") is None
    reader = BucketReader("setlist")
    listed = reader.listing(proxied.removeprefix("gs://setlist/"))
    reader.fetch(listed[0], tmp_path / "file")
    # The client asks for the bucket itself for its own records, of which nothing depends.
    paths = [path for path in Proxy.paths if "/setlist/o" in path]
    assert len(paths) > 10
    assert all("userProject=the-payer" in path for path in paths), paths


def test_a_text_of_a_server_is_one_line_without_control_characters():
    answer = parse_answer(403, json.dumps({"error": {"message": "a\n\x1b[2Jb\u202ec"}}).encode())
    assert answer.message == "a \\x1b[2Jb\\u202ec"
    assert len(parse_answer(403, b"x" * 1_000_000).message) < 600
    for odd in (b"[]", b'{"error": []}', b'{"error": {"errors": [1]}}', b"[" * 100_000, b"\xff"):
        assert parse_answer(400, odd).status == 400


def test_every_source_of_an_answer_is_named():
    assert {answer.source for answer in ANSWERS} == {"observed", "documented", "standard"}
    assert len({answer.name for answer in ANSWERS}) == len(ANSWERS)
