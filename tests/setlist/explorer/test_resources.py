"""What the explorer looks at: visitors at once, and runs and models that are not there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tests.waiting import PATIENCE

from setlist.explorer.launch import APP, url
from setlist.explorer.resources import Scene, set_scene
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
        return [element.proto.body for element in visit.sidebar.get("html")]

    visit.run()
    assert "not available here: revision 7, &lt;i&gt;; choose others." in notices()[0]
    assert "old is left out: it has a key &lt;x&gt;." in notices()[1]
    visit.multiselect("models").set_value([]).run()
    assert len(notices()) == 1, "others were chosen"


def test_the_address_that_is_printed_can_be_opened():
    assert url("127.0.0.1", 8501) == "http://127.0.0.1:8501"
    assert url("::1", 8501) == "http://[::1]:8501"
