"""The whole pipeline in containers: not root, read-only, without capabilities, loopback only."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.types import Mount
from kfp import dsl, local
from tests.container.conftest import Island, Watched, watch

from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict
from setlist_pipelines.laptop.containers import container_runner
from setlist_pipelines.laptop.run_outputs import Run
from setlist_pipelines.laptop.run_state import STATE_FOLDER
from setlist_pipelines.laptop.runner import run_local
from setlist_pipelines.settings.file import SAMPLE, Settings, read_settings

STORE = "gs://setlist/ci"
USER = 10001
LIVE = f"""
import json, pathlib
from setlist.models.contract import folder_digest
from setlist.models.saved_model import SavedModel
from setlist.store.model_store import open_store

store = open_store("{STORE}")
head = store.head("home")
manifest = store.manifest("home", head.live)
folder = store.fetch("home", head.live, pathlib.Path("/tmp/live"))
print(json.dumps({{
    "live": head.live,
    "revisions": store.revisions("home"),
    "files": sorted(manifest.files),
    "digest": [manifest.digest, folder_digest(folder)],
    "verdict": manifest.metadata["verdict"]["decision"],
}}))
"""
CHECKPOINT = """
from setlist.models.two_tower import stages

class Kept:
    content = None
    def read(self): return self.content
    def write(self, content): self.content = content
    def clear(self): pass

kept, stages.SAVE_SECONDS = Kept(), 0.0
stages.Stages(kept).trials.worth("settings", lambda: 0.25)
print(stages.Stages(kept).trials.values)
"""
RECORDS = """
import json
from google.cloud.storage import Client

blobs = [one for one in Client().list_blobs("setlist", prefix="ci/home/runs/")]
records = [one for one in blobs if one.name.endswith(".json")]
print(json.dumps([json.loads(one.download_as_bytes()) for one in records]))
"""


def look() -> str:
    """What a step can see and do of its surroundings."""
    import json
    import os
    import shutil
    import socket
    from pathlib import Path

    def refused(path: str) -> bool:
        try:
            Path(path).write_text("x")
        except OSError:
            return True
        return False

    def reached(address: str) -> bool:
        try:
            socket.create_connection((address, 53), timeout=2).close()
        except OSError:
            return False
        return True

    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    setlist = Path(shutil.which("setlist") or "").parents[1]
    return json.dumps(
        {
            "user": [os.getuid(), os.getgid()],
            "groups": os.getgroups(),
            "capabilities": [status["CapEff"], status["CapBnd"], status["CapAmb"]],
            "no_new_privileges": status["NoNewPrivs"],
            "interfaces": sorted(one.name for one in Path("/sys/class/net").iterdir()),
            "reached": reached("192.0.2.1"),
            "refused": [refused(p) for p in ("/x", "/etc/x", "/usr/x", f"{setlist}/x", "/home/x")],
            "temporary_refused": refused("/tmp/x"),
            "tools": [name for name in ("pip", "uv", "gcc", "strip", "git") if shutil.which(name)],
        }
    )


@dataclass
class Rehearsal:
    island: Island
    work: Path
    say: Callable[[str, str, float | None], None]

    def settings(self, *changes: str) -> Settings:
        return read_settings(SAMPLE, [f"store={STORE}", *changes])

    def run(self, *changes: str, mounts: tuple[Mount, ...] = ()) -> Run:
        told = self.island.told | ({"mounts": list(mounts)} if mounts else {})
        return run_local(self.settings(*changes), self.work, self.say, self.island.image, told)


@pytest.fixture(scope="session")
def rehearsal(island, tmp_path_factory, request) -> Rehearsal:
    screen = request.config.get_terminal_writer()

    def say(title: str, line: str, seconds: float | None = None) -> None:
        if seconds is not None:
            screen.line(f"  {title:<24}{seconds:7.1f} s  {line}")

    work = tmp_path_factory.mktemp("work")
    for folder in (work, *work.parents[:2]):  # pytest keeps them to root
        folder.chmod(0o755)
    return Rehearsal(island, work, say)


@dataclass
class First:
    run: Run
    seen: Watched


@pytest.fixture(scope="session")
def first(rehearsal, engine, image) -> First:
    """The first run: nothing is live yet."""
    with contextmanager(watch)(engine, image) as seen:
        return First(rehearsal.run(), seen)


def test_a_step_can_do_nothing_but_its_work(rehearsal):
    island = rehearsal.island
    runner = container_runner(island.image, rehearsal.work, rehearsal.settings(), island.told)
    local.init(runner=runner, pipeline_root=str(rehearsal.work), raise_on_error=True)
    step = dsl.component(look, base_image=island.image, install_kfp_package=False)
    seen = json.loads(step().output)
    assert seen == {
        "user": [USER, USER],
        "groups": [USER],
        "capabilities": ["0000000000000000"] * 3,
        "no_new_privileges": "1",
        "interfaces": ["lo"],
        "reached": False,
        "refused": [True] * 5,
        "temporary_refused": False,
        "tools": [],
    }


def test_every_step_of_the_pipeline_ran_like_that(first, island):
    steps = first.seen.made
    assert len(steps) >= 10
    for one in steps:
        host = one["HostConfig"]
        assert one["Config"]["User"] == f"{USER}:{USER}"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["NetworkMode"] == f"container:{island.server}"
        assert not host["Privileged"]
    assert set(first.seen.exit_codes) == {0}


def test_what_they_wrote_is_theirs(first):
    # The state of the run is the supervisor's, which no container has to write.
    folders = [
        path for path in first.run.root.iterdir() if path.is_dir() and path.name != STATE_FOLDER
    ]
    written = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 20
    assert {path.stat().st_uid for path in written} == {USER}


def test_a_training_is_taken_up_again_by_the_python_of_the_image(island):
    """Which may be older than that of the other tests."""
    assert island.python(CHECKPOINT).splitlines()[-1] == "{'settings': 0.25}"


def test_the_candidate_is_live_in_the_bucket_and_whole(first, island):
    seen = json.loads(island.python(LIVE))
    assert seen["verdict"] == "promote"
    assert seen["revisions"] == [seen["live"]] == [1]
    assert "saved_model.pb" in {name.split("/")[-1] for name in seen["files"]}
    pushed, fetched = seen["digest"]
    assert pushed == fetched


def test_the_same_data_again_are_nothing_new(first, rehearsal):
    again = rehearsal.run("only_new_data=true")
    assert not again.output("gate", "verdict").exists()
    assert json.loads(rehearsal.island.python(LIVE))["revisions"] == [1]
    records = json.loads(rehearsal.island.python(RECORDS))
    assert sorted(one["outcome"] for one in records) == ["nothing_new", "promoted"]


def test_a_candidate_that_is_not_better_enough_is_refused(first, rehearsal):
    again = rehearsal.run("policy.over_heuristics=5")
    assert Verdict.read(again.output("gate", "verdict")).decision == "reject"
    assert not again.output("push", "").exists()
    seen = json.loads(rehearsal.island.python(LIVE))
    assert (seen["live"], seen["revisions"]) == (1, [1])


def test_the_last_words_of_a_step_that_fails_are_the_pods(rehearsal, watched, tmp_path):
    log = tmp_path / "termination-log"
    log.touch()
    log.chmod(0o666)
    with pytest.raises(SetlistError) as failed:
        rehearsal.run(
            "data.events.path=gs://setlist/missing.parquet",
            mounts=(Mount("/dev/termination-log", str(log), type="bind"),),
        )
    said = log.read_text("utf-8")
    assert "gs://setlist/missing.parquet" in said
    assert said.count("\n") == 0
    assert str(failed.value).startswith(f"{said.rstrip('.')} (step ")
    assert sorted(set(watched.exit_codes)) == [0, 1]  # the exit handler ran
