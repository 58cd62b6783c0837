"""From a run to its report and back, by what a store holds."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.setlist.runs.test_promotion import (  # noqa: F401
    candidate,
    heuristics,
    seen,
    store,
    verdict,
)

from setlist.errors import StoreDamagedError, StoreNotFoundError
from setlist.runs.announcement import announce
from setlist.runs.cleaning import clean_store
from setlist.runs.kept_run import read_kept_run, report_of_revision
from setlist.runs.neighbours import read_neighbours
from setlist.runs.promotion import REFRESH_OF, describe_push, promote_staged, push
from setlist.runs.record import RunRecord
from setlist.store import kept_report
from setlist.store.model_store import open_store
from setlist.store.reader import open_reader


@pytest.fixture
def run(store, candidate, heuristics, tmp_path):  # noqa: F811
    """Ends a run as the pipeline does: pushed or refused, with a page that names its neighbours."""

    def end(run_id: str, pushes: bool = True) -> RunRecord:
        head = seen(store) if (Path(store) / "home" / "HEAD").exists() else None
        judged = verdict(candidate if pushes else None, head=head,
                         decision="promote" if pushes else "reject")  # fmt: skip
        judged.write(tmp_path / "verdict")
        others = "".join(
            f'<span data-report="{other.path}">{other.relation}: {other.title}</span>'
            for other in read_neighbours(store, "home", run_id, judged)
        )
        page = tmp_path / "page"
        page.write_text(f"<p>{run_id} <!--revision-->not pushed<!--/revision--> {others}")
        if not pushes:
            return announce(store, "home", run_id, tmp_path / "verdict", None, report=page)
        shown = tmp_path / "shown"
        revision = push(
            store, "home", run_id, candidate, heuristics, judged, report=page, page=shown
        )
        assert f"<!--revision-->{revision}<!--/revision-->" in shown.read_text()
        pushed = tmp_path / "pushed"
        pushed.write_text(json.dumps(describe_push(store, "home", revision)))
        return announce(store, "home", run_id, tmp_path / "verdict", pushed, report=None)

    return end


def test_from_the_live_revision_to_its_report_its_run_and_back(store, run):  # noqa: F811
    run("run-1")
    models = open_reader(store)
    manifest = models.manifest("home", models.head("home").live)
    path, remark = report_of_revision(models, manifest)
    assert remark == ""
    page = Path(path).read_text()
    assert manifest.run_id in page
    assert "<!--revision-->1<!--/revision-->" in page
    kept = read_kept_run(store, "home", manifest.run_id)
    assert (kept.record.revision, kept.report) == (manifest.revision, path)
    assert kept.page.decode() == page


def test_a_refused_run_keeps_its_report_with_its_record(store, run):  # noqa: F811
    run("run-1")
    record = run("run-2", pushes=False)
    assert (record.outcome, record.report_path) == ("refused", "runs/run-2.report.html")
    kept = read_kept_run(store, "home", "run-2")
    assert kept.report == f"{store}/home/runs/run-2.report.html"
    # Beside those of its revisions: the links work wherever the store is copied to.
    assert b'<a href="../revisions/1.report.html">live before: revision 1 of run run-1' in kept.page
    assert b'<a href="../revisions/1.report.html">run before: run-1, promoted</a>' in kept.page
    assert [each.run_id for each in RunRecord.all(store, "home")] == ["run-1", "run-2"]


def test_each_page_names_the_run_before_it_even_when_it_is_written_again(
    store, run, candidate  # noqa: F811
):  # fmt: skip
    run("run-1")
    run("run-2", pushes=False)
    run("run-3", pushes=False)
    announce(store, "home", "run-4", None, None)  # nothing new: it has no report
    run("run-5", pushes=False)
    again = read_neighbours(store, "home", "run-3", verdict(None, decision="reject"))
    assert [(other.title, other.path) for other in again] == [
        ("run-2, refused", "runs/run-2.report.html")
    ]
    assert b"run before: run-3, refused" in read_kept_run(store, "home", "run-5").page


def test_a_page_that_was_changed_is_refused(store, run):  # noqa: F811
    run("run-1")
    run("run-2", pushes=False)
    path = Path(store) / "home" / "runs" / "run-2.report.html"
    path.write_text("<p>all is well")
    with pytest.raises(StoreDamagedError, match=r"home/runs/run-2\.report\.html is damaged"):
        read_kept_run(store, "home", "run-2")
    path.unlink()
    kept = read_kept_run(store, "home", "run-2")
    assert (kept.report, kept.page) == ("", None)


def test_a_run_that_the_store_does_not_know_is_said(store, run):  # noqa: F811
    run("run-1")
    with pytest.raises(StoreNotFoundError, match="there is no record of run other of home"):
        read_kept_run(store, "home", "other")


def test_a_run_that_promoted_and_was_killed_has_its_report(store, run):  # noqa: F811
    run("run-1")
    (Path(store) / "home" / "runs" / "run-1.json").unlink()
    kept = read_kept_run(store, "home", "run-1")
    assert kept.record.made_up
    assert b"run-1" in kept.page


def test_a_record_of_a_former_version_has_none(store, run):  # noqa: F811
    run("run-1")
    path = Path(store) / "home" / "runs" / "run-1.json"
    document = json.loads(path.read_bytes())
    del document["report_sha256"]
    path.write_text(json.dumps(document))
    assert read_kept_run(store, "home", "run-1").page is None


def test_a_revision_with_newer_items_has_the_report_of_its_origin(
    store, run, candidate  # noqa: F811
):  # fmt: skip
    run("run-1")
    models = open_store(store)
    metadata = models.manifest("home", 1).metadata | {REFRESH_OF: 1}
    models.stage("home", candidate, run_id="refresh", digest="d", training_window={},
                 metadata=metadata)  # fmt: skip
    path, remark = report_of_revision(models, models.manifest("home", 2))
    assert path.endswith("home/revisions/1.report.html")
    assert remark == "of revision 1, whose items it renews"
    promote_staged(store, "home", 2)


def test_a_store_that_cannot_be_read_leaves_the_page_without_neighbours(
    tmp_path, candidate, capsys  # noqa: F811
):  # fmt: skip
    (tmp_path / "file").write_text("")
    assert read_neighbours(str(tmp_path / "file"), "home", "run-1", verdict(candidate)) == []
    assert "the report names no others: " in capsys.readouterr().err


def test_old_records_go_with_their_reports(store, run, monkeypatch):  # noqa: F811
    run("run-1")
    run("run-2", pushes=False)
    later = datetime.now(UTC) + timedelta(days=40)

    class Later(datetime):
        @classmethod
        def now(cls, zone=None):
            return later

    monkeypatch.setattr("setlist.runs.cleaning.datetime", Later)
    removed = clean_store(open_store(store), "home", records_age=timedelta(days=30)).records
    assert removed == ["home/runs/run-2.json", "home/runs/run-2.report.html"]
    assert read_kept_run(store, "home", "run-1").page, "that of a revision stays with it"


def test_a_page_that_no_store_takes_does_not_keep_the_model_away(
    store, run, monkeypatch, capsys  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr(kept_report, "REPORT_BYTES", 10)
    assert run("run-1").outcome == "promoted"
    assert run("run-2", pushes=False).report_path == ""
    assert read_kept_run(store, "home", "run-1").page is None
    assert capsys.readouterr().out.count("is not kept in the store") == 2
