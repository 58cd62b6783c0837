"""Removes what old runs on this machine have left, so that nothing grows without end."""

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE
from setlist_pipelines.laptop.run_state import RUN_ID, STATE_FOLDER, take_lock

RUN_FOLDERS = ("retraining-*", "monitoring-*")
LOGS = "run-*.log"


@dataclass
class Cleaned:
    """What was removed, or would be.

    Attributes:
        removed: folders of runs, logs and temporary folders.
        running: runs that were left alone because a process works on them.
        fault: why something could not be removed; "" where all of it was.
    """

    removed: list[Path] = field(default_factory=list)
    running: list[Path] = field(default_factory=list)
    fault: str = ""

    def remove(self, path: Path, dry_run: bool) -> None:
        """Remove a file or a folder; a fault is kept for the caller to tell."""
        try:
            if not dry_run:
                # Of a link, the link alone.
                is_folder = path.is_dir() and not path.is_symlink()
                shutil.rmtree(path) if is_folder else path.unlink()
        except FileNotFoundError:
            return  # another process cleans here as well
        except OSError as fault:
            self.fault = f"{fault.filename or path}: {fault.strerror}"
        else:
            self.removed.append(path)


def clean_runs(workdir: Path, keep: int, dry_run: bool = False) -> Cleaned:
    """Remove the folders and logs of all runs but the newest, and what killed steps have left.

    A run that a process works on is never touched: its lock says so.

    Args:
        workdir: the folder of all runs.
        keep: how many of the newest stay.
        dry_run: only look.
    """
    cleaned = Cleaned()
    # Before the runs: a run that begins meanwhile is not among them, and its log not among these.
    logs = [log for log in sorted(workdir.glob(LOGS)) if re.fullmatch(RUN_ID, _id_of_log(log))]
    runs = [run for form in RUN_FOLDERS for run in workdir.glob(form) if _is_run(run)]
    runs.sort(key=_id, reverse=True)
    for place, run in enumerate(runs):
        try:
            lock = take_lock(run) if (run / STATE_FOLDER).is_dir() else -1  # of an older version
        except FileNotFoundError:
            continue  # another process has just removed it
        except OSError as fault:
            cleaned.fault = f"{fault.filename or run}: {fault.strerror}"
            continue
        if lock is None:
            cleaned.running.append(run)
            continue
        try:
            scratch = run / STATE_FOLDER / "tmp"
            if place >= keep:
                cleaned.remove(run, dry_run)
            elif os.path.lexists(scratch):
                cleaned.remove(scratch, dry_run)
        finally:
            if lock >= 0:
                os.close(lock)
    kept = {_id(run) for run in runs if dry_run or run.exists()}
    kept -= {_id(path) for path in cleaned.removed if path in runs}
    for log in logs:
        if _id_of_log(log) not in kept:
            cleaned.remove(log, dry_run)
    return cleaned


def cleaned_in_words(cleaned: Cleaned, workdir: Path, keep: int) -> list[str]:
    """What was removed, by its kind."""
    whole = sum(path.parent == workdir for path in cleaned.removed)
    left = len(cleaned.removed) - whole
    words = []
    if whole:
        words.append(f"{whole} folders and logs of runs before the newest {keep} (--keep)")
    if left:
        words.append(f"what steps that were ended had left in {left} runs; the runs stay")
    return words


def _is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, and not one that somebody else has named so.

    A link is none: what it leads to, such as a whole disk with a `tmp`, is not of this work folder.
    """
    if not re.fullmatch(RUN_ID, _id(folder)) or folder.is_symlink():
        return False
    if (folder / STATE_FOLDER).is_symlink():
        return False
    return (folder / STATE_FOLDER).is_dir() or (folder / SETTINGS_FILE).is_file()


def _began(run_id: str) -> str:
    """An id without its pipeline, as logs of former versions have it: the first is the oldest."""
    pipeline, _, rest = run_id.partition("-")
    return run_id if pipeline.isdigit() else rest


def _id(run: Path) -> str:
    return _began(run.name)


def _id_of_log(log: Path) -> str:
    return _began(log.name.removeprefix("run-").removesuffix(".log"))
