"""The commands of the pages are run, each block in a folder of its own with a tenth of the sample.

What cannot be run here is of one of a few kinds; of these `test_calls` has read the options.
"""

import re
import shutil
import socket
from pathlib import Path

import pandas as pd
import pytest
from tests.docs.fences import SHELL, Fence, fences
from tests.docs.world import build, copy, prepared, run

pytestmark = pytest.mark.slow

KINDS = {
    "a cluster": r"\bkubectl|setlist (kind|submit|runs|schedule|doctor)|tests/cluster|\.ci/node",
    "a container engine or a registry": r"setlist image|--docker",
    "a bucket, or roles in a cloud": r"gs://|iam\.sh",
    "minutes to hours, with tests of its own": r"\bmake \w+|tests/benchmarks|tests/cases",
    "data that are not in the repository": r"movielens",
    "a server that stays, with tests of its own": r"setlist dashboard",
    "a run that was interrupted; tests/setlist_pipelines/laptop/test_resume.py": r"--resume",
    "a signed store; tests/setlist/store/test_signing.py": r"model_signing",
}
"""Why a block is not run -> what it has then."""

TABLES = ("mine", "theirs", "truth", "history")
"""What a block of Python has as data frames."""

NEEDED = ("jq", "curl", "openssl")
"""Programs of others that a block may call."""


def kind(fence: Fence) -> str:
    """Why a block cannot be run; "" where it can."""
    return next((why for why, pattern in KINDS.items() if re.search(pattern, fence.code)), "")


SCRIPTS = list(
    {prepared(fence.code, 0): fence for fence in fences(*SHELL) if not kind(fence)}.values()
)
"""Without comments: what two pages show is run once."""

PROGRAMS = [fence for fence in fences("python") if "ModelFollower(" not in fence.code]
"""tests/wheel/test_wheel.py runs the follower, from an installed wheel."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    build(folder)
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("fence", SCRIPTS, ids=str)
def test_a_block_of_commands_does_what_the_page_says(
    fence: Fence, world: Path, port: int, tmp_path: Path
):
    for program in NEEDED:
        if re.search(rf"\b{program}\b", fence.code) and not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    folder = copy(world, tmp_path / "world")
    if "setlist init" in fence.code:
        # As whoever begins: no settings, and no model of another catalogue in the store.
        (folder / "settings.yaml").unlink()
        shutil.rmtree(folder / ".setlist")
    ended = run(folder, fence.code, port)
    assert ended.returncode == 0, ended.stdout[-4_000:]
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize("fence", PROGRAMS, ids=str)
def test_a_block_of_python_runs(
    fence: Fence, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = copy(world, tmp_path / "world")
    monkeypatch.chdir(folder)
    tables = {title: pd.read_parquet(f"{title}.parquet") for title in TABLES}
    exec(compile(fence.code, str(fence), "exec"), tables)


def test_every_kind_of_what_is_not_run_is_there():
    blocks = list(fences(*SHELL))
    for why in KINDS:
        assert any(kind(fence) == why for fence in blocks), why
    assert len(SCRIPTS) > 10
