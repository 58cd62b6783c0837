"""One id for a run in its folder, its store and its page; from a live model to its run and back.

Two runs on one store, on real parts: the first is pushed, the second is pushed over it.
"""

import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.setlist_pipelines.laptop.small_run import finish, shown, write_settings

from setlist.store.reader import open_reader
from setlist_pipelines.laptop.run_state import RUN_ID

pytestmark = pytest.mark.slow

EASY = ("policy.over_heuristics=0", "policy.under_live=0.99", "policy.slices=null",
        "policy.anchor=false")  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    settings = write_settings(folder)
    for seed in (1, 2):  # from another one, another model
        changes = [word for change in (*EASY, f"model.seed={seed}") for word in ("--set", change)]
        assert finish(folder, "run", "--config", settings, *changes)[0] == 0, shown(folder)
    return folder


def answer(work: Path, *words) -> dict:
    code, text = finish(work, *words, "--json")
    assert code == 0, text
    document: dict = json.loads(text)
    return document


def links(page: Path) -> list[Path]:
    """What the links of a page lead to, all but those within the page."""
    found = re.findall(r'<a href="([^"#]+)">', page.read_text("utf-8"))
    return [(page.parent / unquote(unescape(link))).resolve() for link in found]


def test_from_the_live_model_to_its_report_to_its_run_and_back(work):
    store = open_reader(str(work / ".setlist" / "store"))
    live = store.head("home").live
    assert live == 2
    revision = answer(work, "models", "show", live)
    page = Path(revision["report"])
    assert page.is_file()
    run = answer(work, "runs", "show", revision["run"])
    assert (run["id"], run["revision"]) == (revision["run"], live)
    assert run["report"] == revision["report"]
    code, screen = finish(work, "report", revision["run"], "--workdir", work / "elsewhere")
    assert (code, screen) == (0, str(page))
    text = page.read_text("utf-8")
    assert f"<code>{revision['run']}</code>" in text
    assert f"<!--revision-->{live}<!--/revision-->" in text
    # And on to its neighbours, from the store as from the folder of the run.
    before = (work / ".setlist" / "store" / "home" / "revisions" / "1.report.html").resolve()
    own = work / ".setlist" / revision["run"] / "report.html"
    assert links(page) == links(own) == [before, before]
    assert "not pushed" not in own.read_text("utf-8")


def test_a_run_has_one_id(work):
    ids = sorted(folder.name for folder in (work / ".setlist").glob("retraining-*"))
    assert len(ids) == 2
    store = work / ".setlist" / "store" / "home"
    for number, run_id in enumerate(ids, 1):
        assert re.fullmatch(RUN_ID, run_id)
        assert (store / "runs" / f"{run_id}.json").is_file()
        assert (store / "revisions" / f"{run_id}.run").is_file()
        assert (work / ".setlist" / f"run-{run_id}.log").is_file()
        for kept in (f"{number}.report.html", f"{number}.card.md", f"{number}/manifest.json"):
            assert run_id in (store / "revisions" / kept).read_text("utf-8")
        folder = work / ".setlist" / run_id
        assert run_id in (folder / "report.html").read_text("utf-8")
    # Wherever the moment of a run stands, the whole of its id does.
    moments = {run_id.split("-")[1] + "-" + run_id.split("-")[2]: run_id for run_id in ids}
    for path in [*store.rglob("*.json"), *store.rglob("*.html"), *store.rglob("*.md")]:
        text = path.read_text("utf-8")
        for moment, run_id in moments.items():
            assert text.count(moment) == text.count(run_id), path
