"""A folder in which the commands of the pages can be run: small tables, settings, a store, a log.

Everything is a tenth of the sample, but for the orders of a small shop. A page that says
`setlist run` runs these settings.
"""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import yaml
from tests.docs.fences import lines_of
from tests.docs.pages import ROOT
from tests.setlist.serving.processes import serving
from tests.setlist_pipelines.laptop.small_run import environment, write_settings
from tests.strangers import Stranger, orders
from tests.waiting import PATIENCE, until

from setlist.evaluation.results import read_evaluation

EASY = {"limits": {"p99_ms": None}, "believable": None, "guardrails": [], "slices": None}
"""A policy that a small candidate passes."""
WINDOW = {"train_days": 45, "test_days": 14}
ANSWERS = {
    "setlist gate": 2,
    "setlist evaluate": 2,
    "setlist data check": 3,
    "setlist skew": 3,
    "--pipeline monitoring": 1,
    "--fail-on refused": 4,
}
"""Exit codes that are an answer, beside 0: of commands that judge."""
STAND_INS = (
    (r"^\. \.venv/bin/activate.*", ""),
    (r"\.venv/bin/", ""),
    # What a page runs on the bundled sample runs on the small one here.
    (r"setlist (run|backtest)(?!.*--config)", r"setlist \1 --config settings.yaml"),
    (r"--cuts \d+", "--cuts 2"),
    # The first revision is the only one in the store here.
    (r"models (card|show) 7", r"models \1 1"),
    # A client that comes before the server is up asks again.
    (r"curl -s ", "curl -s --fail --retry 200 --retry-delay 1 --retry-all-errors "),
    (r"localhost:8000", "localhost:{port}"),
    (r"setlist serve ", "setlist serve --port {port} "),
)
"""What is written otherwise before it is run, and why."""


def build(folder: Path) -> None:
    """Make the folder: its files, a run that is promoted, and a log of what the model was asked."""
    settings = write_settings(folder, policy=EASY, window=WINDOW)
    listeners = pd.read_csv(folder / "listeners.csv", dtype=str)
    playlists = pd.read_csv(folder / "playlists.csv", dtype=str, keep_default_na=False)
    events = pd.read_csv(folder / "events.csv", dtype=str, keep_default_na=False)
    plays = events[events["played_at"].str.match(r"2026-\d\d-\d\dT") & (events["playlist"] != "")]
    with gzip.open(folder / "plays.csv.gz", "wt", encoding="utf-8") as packed:
        plays.to_csv(packed, index=False)
    plays.to_csv(folder / "plays.csv", index=False)
    listeners.to_csv(folder / "customers.csv", index=False)
    listeners.to_parquet(folder / "customers.parquet", index=False)
    playlists.to_json(folder / "songs.json", orient="records")
    document = yaml.safe_load(settings.read_text("utf-8"))
    home = document | {"monitoring": {"log": str(folder / "hours")}}
    (folder / "home.yaml").write_text(yaml.safe_dump(home), "utf-8")
    (folder / "policy.yaml").write_text(yaml.safe_dump(EASY), "utf-8")
    (folder / "stricter.yaml").write_text(yaml.safe_dump(EASY | {"over_heuristics": 0.1}), "utf-8")
    _lists(folder, plays)
    orders(folder, Stranger.draw(users=300, items=60))
    _bin(folder)
    ended = run(folder, "setlist run --set as_of=2026-04-24", 0)
    assert ended.returncode == 0, ended.stdout
    # A second revision, so that there is one to go back to.
    ended = run(folder, "setlist models refresh-items --config settings.yaml --promote", 0)
    assert ended.returncode == 0, ended.stdout
    [made] = folder.glob(".setlist/retraining-*")
    assert read_evaluation(made / "evaluate" / "evaluations").listeners > 100
    _log(folder, plays, listeners)


def _lists(folder: Path, plays: pd.DataFrame) -> None:
    ids = plays.rename(columns={"listener": "user_id", "playlist": "item_id"})
    ids = ids[["user_id", "item_id"]]
    is_later = plays["played_at"] >= "2026-04-17"
    truth, history = ids[is_later].drop_duplicates(), ids[~is_later]
    popular = plays["playlist"].value_counts().index[:20]
    users = truth["user_id"].unique()
    theirs = pd.DataFrame(
        [(user, item, rank) for user in users for rank, item in enumerate(popular[:10], 1)],
        columns=["user_id", "item_id", "rank"],
    )
    # Ours puts what will be played first for every fifth listener, and is the same for the others.
    first = truth.drop_duplicates("user_id").iloc[::5].set_index("user_id")["item_id"]
    mine = theirs[~theirs["user_id"].isin(first.index) | (theirs["rank"] > 1)]
    mine = pd.concat([mine, first.reset_index().assign(rank=1)]).drop_duplicates(
        ["user_id", "item_id"]
    )
    tables = {"truth": truth, "history": history, "theirs": theirs, "mine": mine}
    for title, table in tables.items():
        table.to_parquet(folder / f"{title}.parquet", index=False)


def _bin(folder: Path) -> None:
    """Commands under the names that pages call them by."""
    (folder / "bin").mkdir()
    # In the clone, where pages are at home, `python -m tests.…` finds the tests.
    home = f'export PYTHONPATH="{ROOT}:$PYTHONPATH"\n'
    for title, before, module in (("setlist", "", "-m setlist_pipelines"), ("python", home, "")):
        path = folder / "bin" / title
        path.write_text(f'#!/bin/sh\n{before}exec "{sys.executable}" {module} "$@"\n', "utf-8")
        path.chmod(0o755)


def _log(folder: Path, plays: pd.DataFrame, listeners: pd.DataFrame) -> None:
    """Requests whose ages are in hours, where days were meant."""
    of = dict(zip(listeners["listener"], listeners["country"], strict=True))
    requests = [
        {
            "listener": listener,
            "history": [
                {"item": item, "age_days": 24.0 * age} for age, item in enumerate(items, 1)
            ],
            "inputs": {"country": of.get(listener) or ""},
        }
        for listener, items in plays.groupby("listener")["playlist"].apply(list).str[:20].items()
    ]
    store = ["--store", str(folder / ".setlist" / "store"), "--folder", str(folder / "kept")]
    with serving(*store, "--log", str(folder / "hours")) as server:
        server.wait(2)
        for start in range(0, 200, 50):
            status, answer = server.post({"requests": requests[start : start + 50]})
            assert status == 200, answer
        assert server.stop() == 0


def prepared(code: str, port: int) -> str:
    """A script of a page as it is run here."""
    lines = []
    for line in lines_of(code):
        for pattern, text in STAND_INS:
            line = re.sub(pattern, text.replace("{port}", str(port)), line)
        line = line.strip()
        for words, code_of_answer in ANSWERS.items():
            if words in line:
                line = f"{line} || [ $? -eq {code_of_answer} ]"
        lines += [line] * bool(line)
    return "\n".join(["set -e -o pipefail", *lines])


def run(folder: Path, code: str, port: int) -> "subprocess.CompletedProcess[str]":
    """Run a script of a page in the folder; what it has started in the background is ended."""
    screen = folder / "screen"
    with screen.open("w") as out:
        process = subprocess.Popen(
            ["bash", "-c", prepared(code, port)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment(PATH=f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"),
            start_new_session=True,
        )
        try:
            code_of_end = process.wait(PATIENCE * 2)
        finally:
            _end_group(process.pid)
    return subprocess.CompletedProcess(code, code_of_end, screen.read_text("utf-8", "replace"))


def _end_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        until(lambda: _gone(group))


def _gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def copy(world: Path, folder: Path) -> Path:
    """A world of its own for one script."""
    shutil.copytree(world, folder, symlinks=True)
    return folder
