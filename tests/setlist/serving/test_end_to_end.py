"""From `setlist run` to lists with titles over HTTP, and every later promotion and rollback."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.setlist.serving.models import stage
from tests.setlist.serving.processes import SETLIST, serving

from setlist.data import sample
from setlist.store.model_store import open_store
from setlist_pipelines.settings.file import SAMPLE

pytestmark = pytest.mark.slow


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A work folder in which a small run has promoted revision 1."""
    whole = sample.generate()
    # Without the bot, the last listener: it would be more than 5% of so small a table.
    some = set(whole.listeners["listener"].iloc[:-1:10])
    whole.events[whole.events["listener"].isin(some)].to_csv(tmp_path / "events.csv", index=False)
    whole.playlists.to_csv(tmp_path / "playlists.csv", index=False)
    settings = yaml.safe_load(SAMPLE.read_text())
    settings["data"]["events"]["path"] = "events.csv"
    settings["data"]["items"]["path"] = "playlists.csv"
    del settings["data"]["users"]
    settings |= {
        "inputs": [],
        "heuristics": {"fit": ["most_popular", "co_visited"]},
        "model": {"epochs": 1, "dimension": 8},
        "evaluation": {"only": ["ndcg@10"]},
        "policy": {
            "guardrails": [],
            "believable": None,
            "slices": {"columns": []},
            "limits": {"p99_ms": None},  # a busy machine has a say in it
        },
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    setlist(tmp_path, "run", "--config", "settings.yaml")
    return tmp_path


def setlist(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*SETLIST, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_is_served_and_so_is_what_comes_after_it(ran):
    store = ran / ".setlist" / "store"
    assert open_store(str(store)).head("home").live == 1
    titles = pd.read_csv(ran / "playlists.csv").set_index("playlist")["title"]
    with serving("--store", str(store), "--folder", str(ran / "kept"), "--every", "0.2s") as server:
        server.wait(1)
        known = titles.index[:3].tolist()
        status, said = server.post({"history": known, "exclude": known, "k": 5})
        assert (status, said["revision"]) == (200, 1)
        assert len(said["items"]) == 5
        for item in said["items"]:
            assert item["title"] == titles[item["item_id"]]
        (made,) = ran.glob(".setlist/retraining-*")
        models = made / "fit-heuristics" / "models"
        live = said["model"]
        other = "most_popular" if live != "most_popular" else "co_visited"
        assert stage(str(store), models / other, "another run") == 2
        found = open_store(str(store))
        found.promote("home", 2, expected=found.head("home"))
        server.wait(2)
        assert server.post({"k": 5})[1]["model"] == other
        setlist(ran, "models", "rollback", "--store", str(store))
        server.wait(1)
        assert server.post({"k": 5})[1]["model"] == live
        assert server.process.poll() is None, "all of it in one process"
