"""What runs leave behind is bounded, and a run that promoted has a record."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.setlist.runs.test_promotion import model, verdict
from tests.signing_keys import make_key

from setlist.errors import DataError, SetlistError
from setlist.evaluation.verdict import SeenHead
from setlist.models.contract import folder_digest
from setlist.runs.announcement import announce, announce_failure
from setlist.runs.checkpoints import CHECKPOINT_AGE
from setlist.runs.cleaning import clean_store, clean_with_key
from setlist.runs.promotion import prune_models, push, rollback
from setlist.runs.record import RunRecord, write_missing_records
from setlist.runs.step_failure import NAME_VARIABLE, STORE_VARIABLE, keep_failure
from setlist.store.manifest import Claim
from setlist.store.model_store import open_store
from setlist.store.signing import KEY_VARIABLE
from setlist.termination import RUN_VARIABLE


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def heuristics(tmp_path: Path) -> Path:
    model(tmp_path / "heuristics" / "most_popular", "most_popular")
    return tmp_path / "heuristics"


def promote(store: str, folder: Path, heuristics: Path, number: int, anchor: int | None = None):
    candidate = model(folder / f"candidate-{number}", f"model {number}")
    head = open_store(store).head("home")
    seen = SeenHead(**vars(head)) if head else None
    judged = verdict(candidate, head=seen, anchor=anchor)
    return push(store, "home", f"run-{number}", candidate, heuristics, judged)


@pytest.mark.parametrize("chained", [True, False])
def test_ten_promotions_are_pruned(store, heuristics, tmp_path, chained):
    """Fault 24: verdicts of a policy without anchor once named each the revision before."""
    for number in range(1, 11):
        promote(store, tmp_path, heuristics, number, anchor=number - 1 or None if chained else None)
    kept = [8, 9, 10] if chained else [9, 10]
    done = prune_models(store, "home", 0)
    assert done.revisions == [each for each in range(1, 11) if each not in kept]
    assert open_store(store).revisions("home") == kept


def test_a_run_killed_after_its_promotion_gets_a_record(store, heuristics, tmp_path):
    """Fault 27: push has ended, and announce never began."""
    promote(store, tmp_path, heuristics, 1)
    assert RunRecord.read(store, "home", "run-1") is None
    (shown,) = RunRecord.all(store, "home")
    assert (shown.run_id, shown.outcome, shown.revision, shown.made_up) == (
        "run-1", "promoted", 1, True,
    )  # fmt: skip
    assert RunRecord.read(store, "home", "run-1") is None, "readers write nothing"
    assert write_missing_records(open_store(store), "home") == [shown]
    assert RunRecord.read(store, "home", "run-1") == shown
    assert write_missing_records(open_store(store), "home") == []
    # The run was only slow: its own record takes the place of the one that was made up.
    own = shown.model_copy(update={"made_up": False, "sentence": "its own"})
    own.write(store)
    shown.write(store)
    assert RunRecord.read(store, "home", "run-1") == own


def test_a_run_killed_after_its_promotion_has_not_failed(store, heuristics, tmp_path, capsys):
    promote(store, tmp_path, heuristics, 1)
    told = announce_failure(store, "home", "run-1", "step announce failed")
    assert told.outcome == "promoted"
    assert RunRecord.read(store, "home", "run-1").outcome == "promoted"
    assert announce_failure(store, "home", "run-2", "").outcome == "failed"
    promote(store, tmp_path, heuristics, 2)
    rollback(store, "home")
    assert [each.run_id for each in write_missing_records(open_store(store), "home")] == []


def test_a_failed_run_that_is_taken_up_again_gets_its_other_end(store):
    failed = RunRecord.of_failure("home", "run-1", "a full disk")
    failed.write(store)
    end = failed.model_copy(update={"outcome": "promoted", "sentence": "better", "revision": 1})
    end.write(store)
    failed.write(store)
    assert RunRecord.read(store, "home", "run-1") == end


def test_announcing_a_run_cleans_up_after_killed_runs(store, capsys):
    place = open_store(store).objects
    place.write("checkpoints/old", b"1", expected=None)
    aged(Path(store) / "checkpoints" / "old", CHECKPOINT_AGE + timedelta(days=1))
    announce(store, "home", "run-1", None, None)
    assert place.keys("checkpoints/") == []
    assert "cleaned: old checkpoints of trainings: 1" in capsys.readouterr().out


def test_in_a_signed_store_the_step_with_the_key_cleans(
    store, heuristics, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv(KEY_VARIABLE, str(make_key(tmp_path).private))
    promote(store, tmp_path, heuristics, 1)
    created = (datetime.now(UTC) - timedelta(days=2)).isoformat(timespec="seconds")
    claim = Claim(revision=2, run_id="dead", digest="d", created=created)
    place = open_store(store).objects
    place.write("home/revisions/2.claim", claim.to_bytes(), expected=None)
    place.write("home/revisions/2/saved_model.pb", b"half", expected=None)
    monkeypatch.delenv(KEY_VARIABLE)
    announce(store, "home", "run-2", None, None)
    assert "the store is not cleaned" in capsys.readouterr().out
    assert "home/revisions/2/saved_model.pb" in place.keys("home/")
    clean_with_key(store, "home")
    assert capsys.readouterr().out == "", "without a key it does nothing"
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key.pem"))
    clean_with_key(store, "home")
    assert "cleaned: half revisions: 2" in capsys.readouterr().out
    assert "home/revisions/2/saved_model.pb" not in place.keys("home/")
    assert open_store(store).head("home").live == 1


def test_what_has_no_verdict_gets_no_record(store, tmp_path):
    models = open_store(store)
    folder = model(tmp_path / "own", "own")
    some = {"digest": folder_digest(folder), "training_window": {}, "metadata": {}}
    models.stage("home", folder, run_id="by hand", **some)
    models.promote("home", 1, expected=None)
    assert RunRecord.all(store, "home") == []


def environment(store, run_id):
    return {RUN_VARIABLE: run_id, STORE_VARIABLE: store, NAME_VARIABLE: "home"}


def aged(path: Path, age: timedelta) -> None:
    then = time.time() - age.total_seconds()
    os.utime(path, (then, then))


def test_clean_removes_what_dead_runs_left_and_nothing_else(store, heuristics, tmp_path):
    for number in range(1, 4):
        promote(store, tmp_path, heuristics, number)
    models, root = open_store(store), Path(store)
    place = models.objects
    for number, age in ((4, timedelta(days=2)), (5, timedelta(hours=1))):
        created = (datetime.now(UTC) - age).isoformat(timespec="seconds")
        claim = Claim(revision=number, run_id=f"dead-{number}", digest="d", created=created)
        place.write(f"home/revisions/{number}.claim", claim.to_bytes(), expected=None)
        place.write(f"home/revisions/dead-{number}.run", claim.to_bytes(), expected=None)
        place.write(f"home/revisions/{number}/saved_model.pb", b"half", expected=None)
    for name in ("old", "new"):
        place.write(f"checkpoints/{name}", b"1", expected=None)
    aged(root / "checkpoints" / "old", CHECKPOINT_AGE + timedelta(days=1))
    for run_id in ("failed-1", "failed-2"):
        RunRecord.of_failure("home", run_id, "").write(store)
    aged(root / "home/runs/failed-1.json", timedelta(days=100))
    for run_id in ("old", "new"):
        keep_failure("train", DataError("no rows"), environment(store, run_id))
    aged(root / "home/failures/old/train-1.json", timedelta(days=31))
    (root / ".partial" / "killed").write_bytes(b"half")
    before = place.keys("")
    planned = clean_store(models, "home", records_age=timedelta(days=90), dry_run=True)
    assert place.keys("") == before
    done = clean_store(models, "home", records_age=timedelta(days=90))
    assert (done.leftovers, done.checkpoints, done.uploads) == ([4], ["checkpoints/old"], 1)
    assert done.records == ["home/runs/failed-1.json"]
    assert done.failures == ["home/failures/old/train-1.json"]
    assert place.keys("home/failures/") == ["home/failures/new/train-1.json"]
    assert done.made_up == ["run-1", "run-2", "run-3"]
    assert done.claims == ["home/revisions/dead-4.run", "home/revisions/4.claim"]
    assert planned == done._replace(made_up=[], claims=[]), "claims go after the floor was raised"
    assert place.keys("home/revisions/5/") == ["home/revisions/5/saved_model.pb"]
    assert place.keys("checkpoints/") == ["checkpoints/new"]
    assert models.revisions("home") == [1, 2, 3]
    assert all(models.verify("home", revision) == [] for revision in (1, 2, 3))
    again = clean_store(models, "home")
    assert (again.leftovers, again.claims, again.checkpoints, again.records, again.uploads) == (
        [], [], [], [], 0,
    )  # fmt: skip
    with pytest.raises(SetlistError, match="records are kept for 30 days"):
        clean_store(models, "home", records_age=timedelta(days=1))
