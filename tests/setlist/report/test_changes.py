"""What has changed since the live model, and what curation dropped, on the page."""

from pathlib import Path

import pandas as pd
import pytest
from tests.setlist.report.test_page import Element, Page
from tests.setlist.report.written import ITEMS, build, counts, trainings

from setlist.models.settings import ModelSettings
from setlist.models.training_record import read_training_records
from setlist.report.identity import Identity
from setlist.report.page import write_report
from setlist.store.model_store import open_store


def catalogue(folder: Path, items: list[str]) -> None:
    """A model folder as far as the report reads it."""
    folder.mkdir(parents=True)
    (folder / "catalogue.txt").write_text("".join(f"{item}\n" for item in items))


def stage_seven(run: Path, name: str, settings: ModelSettings) -> None:
    """Seven revisions of a model in the run's store; the evaluation's live one is the last."""
    store = open_store(str(run / "store"))
    for number in range(1, 8):
        revision = store.stage(
            name,
            run / "live" / "live-7",
            run_id=f"run-{number}",
            digest="d" * 64,
            training_window={"start": "2026-01-01", "end": "2026-02-01"},
            metadata={"settings": settings.model_dump(mode="json")},
        )
    assert revision == 7


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose live model, revision 7, is in a store, under two names."""
    folder = tmp_path_factory.mktemp("run")
    build(folder)
    trainings(folder / "training", "two-tower")
    catalogue(folder / "live" / "live-7", [*(f"i{item}" for item in range(1, ITEMS)), "<gone>"])
    stage_seven(folder, "home", ModelSettings(dimension=64, recency_days=()))
    stage_seven(folder, "same", read_training_records(folder / "training")[0].settings)
    return folder


def written(run: Path, **more: object) -> Element:
    page = run / "page"
    write_report(run / "evaluations", run / "verdict", page, run / "training", **more)
    return Page(page.read_text("utf-8")).root


def test_window_items_and_settings_stand_side_by_side(run: Path):
    page = written(
        run, live_models=run / "live", identity=Identity("home", store=str(run / "store"))
    )
    changed, metrics = page.section("since").all("table")
    rows = {row[0]: row[1:] for row in changed.rows()}
    assert rows["trained until"] == ["2026-04-01 06:00", "2026-04-01 06:00"]
    assert rows["items only in its catalogue"] == ["1: <gone>", "1: <img src=x onerror=alert(1)>"]
    assert rows["dimension"] == ["64", "8"]
    assert rows["recency days"] == ["none", "3.0, 30.0"]
    assert "epochs" not in rows, "it is the same"
    deltas = {row[0]: row[1:] for row in metrics.rows()}
    first = ["0.4000", "0.5000", "+0.1000+0.1000 to +0.1000", "better"]
    assert deltas["ndcg@10"] == first
    assert deltas["gini@10"] == ["0.5000", "0.2500", "-0.2500", "better"], "less is more equal"
    tinted = metrics.all("td", "up2")
    assert len(tinted) == 2, "gini has no interval"


def test_what_is_not_available_is_not_shown(run: Path):
    page = written(run)
    rows = {row[0]: row[1:] for row in page.section("since").all("table")[0].rows()}
    assert rows["settings"] == ["not known for the live model"]
    assert "items only in its catalogue" not in rows
    elsewhere = written(run, identity=Identity("home", store=str(run / "no-store")))
    assert "not known for the live model" in elsewhere.section("since").text


def test_equal_settings_are_reported_as_the_same(run: Path):
    page = written(run, identity=Identity("same", store=str(run / "store")))
    rows = {row[0]: row[1:] for row in page.section("since").all("table")[0].rows()}
    assert rows["settings"] == ["the same for both"]


def test_without_a_live_model_nothing_has_changed(tmp_path: Path):
    write_report(*build(tmp_path, live=False), tmp_path / "page")
    page = Page((tmp_path / "page").read_text("utf-8")).root
    names = [one.attributes["aria-labelledby"] for one in page.all("section")]
    assert "since" not in names
    assert "#since" not in [one.attributes["href"] for one in page.all("a")]


def test_what_curation_dropped_is_counted_rule_by_rule(run: Path):
    section = written(run, curation=counts("a <b>note</b>")).section("data")
    assert (
        "Of 1,000 events that were read, 700 are in the training period and 150 in the test period."
        in section.text
    )
    rows = section.all("table")[0].rows()
    assert rows[2] == ["missing id", "100", "rejected", "900", "80", "20"]
    assert [one.text for one in section.all("li")] == ["a <b>note</b>"]
    assert len(written(run).section("data").all("table")) == 2


def test_a_catalogue_without_tags_has_its_popularity_only(tmp_path: Path):
    evaluations, verdict = build(tmp_path)
    items = pd.read_parquet(evaluations / "items.parquet")
    items["tags"] = [[] for _ in range(len(items))]
    items.to_parquet(evaluations / "items.parquet", index=False)
    write_report(evaluations, verdict, tmp_path / "page")
    glance = Page((tmp_path / "page").read_text("utf-8")).root.section("glance")
    assert [one.text for one in glance.all("h3")] == ["Popularity"]
