"""A checkpoint belongs to one training, and a step that was killed finds its own again."""

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from google.cloud import storage

from setlist.data.features import Features
from setlist.data.schema import Window, tie_order
from setlist.models.settings import ModelSettings
from setlist.models.training_record import Recipe, read_training_records
from setlist.runs.checkpoints import StoredCheckpoint
from setlist.store.objects import open_objects

DAY = pd.Timestamp("2026-04-01", tz="UTC").as_unit("us")
WINDOW = Window(DAY - pd.Timedelta(days=30), DAY, DAY + pd.Timedelta(days=7))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """400 plays of 40 listeners."""
    folder = tmp_path_factory.mktemp("features")
    plays = np.random.default_rng(1).integers(0, 25, 400)
    items = pd.DataFrame({"item_id": tie_order(f"i{place}" for place in range(25)), "title": "x"})
    items["tags"] = [[] for _ in range(25)]
    items["released"] = pd.Series(pd.NaT, index=items.index, dtype="datetime64[us, UTC]")
    items["plays"] = items["listeners"] = np.bincount(plays, minlength=25)
    users = pd.DataFrame({"user_id": [f"u{place:02}" for place in range(40)]})
    Features(
        items=items,
        users=users,
        newcomers=users[:0],
        plays=pd.DataFrame(
            {
                "user": np.repeat(np.arange(40), 10).astype("int32"),
                "item": plays.astype("int32"),
                "age_days": np.tile(np.arange(20, 0, -2), 40).astype("float32"),
            }
        ),
        window=WINDOW,
        inputs=(),
    ).write(folder)
    return folder


@pytest.fixture(params=["local", "gcs"])
def store(request, tmp_path, monkeypatch):
    if request.param == "local":
        return str(tmp_path / "store")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs_emulator"))
    client = storage.Client.create_anonymous_client()
    client.project = "p"
    bucket = client.create_bucket(f"checkpoints-{uuid.uuid4().hex}")
    return f"gs://{bucket.name}/setlist"


def test_the_last_one_written_is_read_until_it_is_cleared(store, features):
    one = StoredCheckpoint.of(store, features, ModelSettings(), "a")
    assert one.read() is None
    for content in (b"first", b"second" * 100_000):
        one.write(content)
        assert StoredCheckpoint.of(store, features, ModelSettings(), "a").read() == content
    assert open_objects(store).keys("checkpoints/") == [one.key]
    for _ in range(2):
        one.clear()
        assert one.read() is None
    assert open_objects(store).keys("checkpoints/") == []


def test_another_training_has_another_key(features, tmp_path):
    store, changed, live = str(tmp_path / "store"), tmp_path / "changed", tmp_path / "live"
    Features.read(features).write(changed)
    (changed / "features.json").write_text("{}")
    live.mkdir()
    (live / "model.json").write_text("{}")
    recipe = Recipe(learner={}, heat=0.0, rates=[], item_item={}, share=0.0)
    keys = [
        StoredCheckpoint.of(store, *arguments).key
        for arguments in (
            (features, ModelSettings(), "a"),
            (changed, ModelSettings(), "a"),
            (features, ModelSettings(seed=2), "a"),
            (features, ModelSettings(), "b"),
            (features, ModelSettings(), "a", live),
            (features, ModelSettings(), "a", None, recipe),
            (features, ModelSettings(), "a", None, recipe.model_copy(update={"rates": [0.1]})),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"checkpoints/[0-9a-f]{64}", key) for key in keys)
    assert keys[0] == StoredCheckpoint.of(store, features, ModelSettings(), "a").key


STEP = """
import signal, sys
from kfp import dsl
from setlist import steps
from setlist.models.learners.trials import Trials
from setlist.models.two_tower import stages
from setlist.runs.checkpoints import StoredCheckpoint

stages.SAVE_SECONDS = -1
stages.Trials = lambda values, save: Trials(values)  # only the epochs count
features, store, out, last = sys.argv[1:]
write, written = StoredCheckpoint.write, []

def write_and_hang(self, content):
    write(self, content)
    written.append(content)
    if len(written) == int(last):
        print("hangs", flush=True)
        signal.pause()

StoredCheckpoint.write = write_and_hang
steps.train.python_func(
    features=dsl.Dataset(uri=features),
    model={"dimension": 4.0, "epochs": 60.0, "patience": 60.0, "learning_rate": 1e-5},
    candidates={},
    label="two-tower",
    store=store,
    candidate=dsl.Model(uri=out + "/candidate"),
    training=dsl.Artifact(uri=out + "/training"),
    metrics=dsl.Metrics(uri=out + "/metrics"),
)
"""


@pytest.mark.slow
def test_a_step_that_was_killed_goes_on_where_it_was(features, tmp_path):
    store = tmp_path / "store"
    command = [sys.executable, "-c", STEP, str(features), str(store)]
    with subprocess.Popen(
        [*command, str(tmp_path / "first"), "3"], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        assert "hangs\n" in first.stdout, "it did not come to its third checkpoint"
        os.kill(first.pid, signal.SIGKILL)
    assert not (tmp_path / "first" / "candidate").exists(), "it was killed while it trained"
    assert list(store.glob("checkpoints/*"))

    second = tmp_path / "second"
    done = subprocess.run([*command, str(second), "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"taken up again after epoch (\d+)", done.stdout)
    assert found, done.stdout
    assert int(found[1]) == 3
    assert re.findall(r"^ *\d+% epoch (\d+) of", done.stdout, re.MULTILINE)[0] == str(
        int(found[1]) + 1
    )
    (trained,) = read_training_records(second / "training")
    assert [epoch.number for epoch in trained.epochs] == list(range(1, 61))
    assert (second / "candidate" / "model.json").is_file()
    assert list(Path(store).glob("checkpoints/*")) == [], "cleared when it ended"
