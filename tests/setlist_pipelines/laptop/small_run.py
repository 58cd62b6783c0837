"""A run on real parts that takes a few seconds a step: a tenth of the sample, one epoch.

Some of its titles are hostile, so that whatever shows a run in the tests shows these.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from tests import hostile_text

from setlist.data import sample
from setlist_pipelines.settings.file import SAMPLE

SETLIST = [sys.executable, "-m", "setlist_pipelines"]


def write_settings(folder: Path, **sections) -> Path:
    """Write tables and settings into a folder; return the path of the settings."""
    whole = sample.generate()
    some = set(whole.listeners["listener"].iloc[:-1:10])
    whole.events[whole.events["listener"].isin(some)].to_csv(folder / "events.csv", index=False)
    playlists = hostile_text.retitled(whole.playlists)
    playlists.to_csv(folder / "playlists.csv", index=False)
    whole.listeners.to_csv(folder / "listeners.csv", index=False)
    settings = yaml.safe_load(SAMPLE.read_text())
    for table, name in (("events", "events"), ("items", "playlists"), ("users", "listeners")):
        settings["data"][table]["path"] = str(folder / f"{name}.csv")
    settings |= {
        "model": {"epochs": 1},
        "heuristics": {"fit": ["most_popular"]},
        "policy": {"limits": {"p99_ms": None}, "believable": None, "guardrails": []},
    }
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings | sections), "utf-8")
    return path


def environment(**changes: str) -> dict[str, str]:
    """Ours, in which no folder of the tests is on the path of imports by being the present one."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(entry for entry in entries if entry not in ("", "."))
    return os.environ | {"PYTHONPATH": absolute} | changes


def begin(folder: Path, *arguments, **changes: str) -> subprocess.Popen:
    """Start `setlist` in a folder; what it shows goes to the file "screen" there."""
    with (folder / "screen").open("w") as screen:
        return subprocess.Popen(
            [*SETLIST, *map(str, arguments)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=screen,
            env=environment(**changes),
        )


def finish(folder: Path, *arguments, **changes: str) -> tuple[int, str]:
    """Run `setlist` in a folder to its end; its exit code, and what it shows in one line."""
    code = begin(folder, *arguments, **changes).wait()
    return code, shown(folder)


def shown(folder: Path) -> str:
    """What the last command there has shown, in one line."""
    return " ".join((folder / "screen").read_text(errors="replace").split())


def processes_in(folder: Path) -> list[int]:
    """All processes with that working folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return found


def logs_in(folder: Path) -> list[Path]:
    """The logs of the runs that were started there."""
    return list(folder.glob(".setlist/run-*.log"))


def said_in_logs(folder: Path, text: str) -> bool:
    """Whether a log there holds a text."""
    return any(text in log.read_text() for log in logs_in(folder))
