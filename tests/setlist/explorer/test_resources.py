"""What the explorer looks at: visitors at once, and runs and models that are not there."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tests.cases import hostile_models as hostile
from tests.waiting import PATIENCE

from setlist.explorer import columns, listener_page, resources
from setlist.explorer.columns import ListenerQuery
from setlist.explorer.launch import APP, url
from setlist.explorer.resources import Scene, set_scene
from setlist.models.contract import folder_digest
from setlist.runs.record import PAGE_RECORDS, RunRecord
from setlist.store.model_store import open_store


@pytest.fixture
def store(tmp_path: Path) -> str:
    """One with a revision of home."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(bytes(1_000_000))
    uri = str(tmp_path / "store")
    open_store(uri).stage(
        "home", model, run_id="run", digest="d" * 64, training_window={}, metadata={}
    )
    return uri


def test_visitors_who_want_the_same_revision_at_once_all_get_it(store: str, tmp_path: Path):
    for turn in range(5):
        scene = Scene(lambda: ([], []), store, "home", tmp_path / f"fetched-{turn}")
        with ThreadPoolExecutor(4) as visitors:
            folder, *same = visitors.map(scene.revision, [1] * 4)
        assert same == [folder] * 3
        assert (folder / "weights").stat().st_size == 1_000_000


def test_what_is_not_here_is_said_in_the_sidebar(store: str, tmp_path: Path):
    """A run that cannot be read, and models that the address names."""
    set_scene(Scene(lambda: ([], ["old is left out: it has a key <x>."]), store, "home", tmp_path))
    visit = AppTest.from_file(APP, default_timeout=PATIENCE)
    visit.query_params["models"] = ["revision 7", "<i>"]

    def notices() -> list[str]:
        bodies = [element.proto.body for element in visit.sidebar.get("html")]
        return [body for body in bodies if "<script" not in body]

    visit.run()
    assert "not available here: revision 7, &lt;i&gt;; choose others." in notices()[0]
    assert "old is left out: it has a key &lt;x&gt;." in notices()[1]
    visit.multiselect("models").set_value([]).run()
    assert len(notices()) == 1, "others were chosen"


def test_the_address_that_is_printed_can_be_opened():
    assert url("127.0.0.1", 8501) == "http://127.0.0.1:8501"
    assert url("::1", 8501) == "http://[::1]:8501"


@pytest.fixture
def visit(tmp_path: Path, monkeypatch) -> Iterator[AppTest]:
    """The page with two models of a store; the one on the left may work for ever."""
    monkeypatch.setattr(columns, "ANSWER_SECONDS", 3.0)
    uri = str(tmp_path / "store")
    for number, write in enumerate((hostile.write_harmless, hostile.write_works_on)):
        model = write(tmp_path / f"model-{number}")
        open_store(uri).stage(
            "home", model, run_id=f"run-{number}", digest=folder_digest(model),
            training_window={}, metadata={},
        )  # fmt: skip
    set_scene(Scene(lambda: ([], []), uri, "home", tmp_path / "fetched"))
    resources.model_host.cache_clear()
    yield AppTest.from_file(APP, default_timeout=PATIENCE)
    resources.model_host().close()
    resources.model_host.cache_clear()


def test_a_model_that_does_not_answer_leaves_the_others_and_the_next_page(visit: AppTest):
    def notices() -> list[str]:
        bodies = [element.proto.body for element in visit.get("html")]
        return [body for body in bodies if body.startswith('<p class="sl-notice"')]

    visit.query_params["models"] = ["revision 2", "revision 1"]
    visit.query_params["favourite"] = ["I1"]
    visit.run()
    assert (notices(), len(visit.exception)) == ([], 0)
    assert "2 models answered" in visit.caption[-1].value
    with pytest.MonkeyPatch.context() as patch:  # an id of no item, which no control offers
        poisoned = ListenerQuery(["poison"], [1.0], [], {})
        patch.setattr(listener_page, "ListenerQuery", lambda *_: poisoned)
        visit.run()
    assert "1 models answered" in visit.caption[-1].value
    [notice] = notices()
    assert "revision 2: no answer to" in notice
    visit.run()
    assert notices() == []
    assert "2 models answered" in visit.caption[-1].value


def test_the_history_has_buttons_to_older_and_newer_runs(store: str, tmp_path: Path):
    for number in range(PAGE_RECORDS + 1):
        RunRecord.of_failure("home", f"lost-{number:03}", "").write(store)
        written = tmp_path / "store" / "home" / "runs" / f"lost-{number:03}.json"
        os.utime(written, (1e9 + number, 1e9 + number))
    set_scene(Scene(lambda: ([], []), store, "home", tmp_path / "fetched"))
    visit = AppTest.from_file(APP, default_timeout=PATIENCE)
    visit.query_params["page"] = "History"

    def shown(run: int) -> bool:
        return any(f"lost-{run:03}<" in element.proto.body for element in visit.get("html"))

    def press(label: str) -> None:
        next(button for button in visit.button if button.label == label).click().run()

    visit.run()
    assert (shown(0), shown(1)) == (False, True)
    press("Older runs")
    assert (shown(0), shown(1)) == (True, False)
    assert visit.segmented_control("page").value == "History"
    press("Newer runs")
    assert (shown(0), shown(1)) == (False, True)
