"""What a run on this machine needs of it, looked at before the first step.

The disk: `setlist_pipelines.settings.costs` says how much each step writes, by the numbers of
listeners, items and plays. The plays are estimated from the size of their files, rather too many;
the others from the plays (`setlist_pipelines.settings.limits`). Files in a bucket are not listed
for this, since that may take minutes; then only a little has to be free.
"""

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setlist.addresses import REMOTE_PATH
from setlist.data.source import listing
from setlist.errors import SetlistError, SettingsError
from setlist.regular_file import open_regular
from setlist_pipelines.settings.cost_table import Size
from setlist_pipelines.settings.costs import EVERY_RUN, pod_need
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings, with_absolute_paths
from setlist_pipelines.settings.limits import events_in, size_of

CREDENTIALS_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FREE_SPACE = "free some space (`setlist clean` removes old runs)"
PATTERN_CHARACTERS = "*?[]\\"
"""With [ or ] in its path, TensorFlow does not find the model that it has just saved, since it
takes the path for a pattern; with * or ? it may find another. DuckDB takes what follows ? for
options, and \\ for /."""
MOST_CREDENTIALS_BYTES = 1_000_000
LEAST_BYTES = 32e6
"""Free in a folder that is written, however small the run."""


def ready(settings: Settings, workdir: Path, pipeline: PipelineName) -> tuple[Settings, Path]:
    """The settings with absolute paths, and the absolute work folder, which is made.

    Raises:
        SettingsError: one sentence on the first thing that would make the run fail.
    """
    workdir = workdir.absolute()
    check_path("--workdir", str(workdir))
    if strange := sorted(set(PATTERN_CHARACTERS) & set(str(workdir))):
        raise SettingsError(
            f"--workdir: {workdir} holds {' '.join(strange)}, which TensorFlow or DuckDB "
            "cannot have in a path",
            "use another --workdir",
        )
    for key, path in settings.locations().items():
        if not REMOTE_PATH.match(path):
            check_path(key, path)
    try:
        settings = with_absolute_paths(settings)
    except RuntimeError as fault:  # of Path.expanduser
        raise SettingsError(
            f"a path of the settings begins with ~, and there is no such user: {fault}",
            "write the path in full",
        ) from fault
    make_folder("--workdir", workdir)
    check_credentials(settings)
    check_space(settings, workdir, pipeline)
    return settings, workdir


def check_path(key: str, path: str) -> None:
    """Refuse a path that cannot be handed to a step as text.

    Raises:
        SettingsError: it holds a character that no file system takes, or that is no text here.
    """
    if "\0" in path:
        raise SettingsError(f"{key}: {path!r} holds a NUL character", "use another path")
    try:
        # Bytes that the locale cannot read stand in a path as halves of characters.
        path.encode()
        path.encode(sys.getfilesystemencoding())
    except UnicodeEncodeError as fault:
        raise SettingsError(
            f"{key}: {path!a} is no text in this locale ({sys.getfilesystemencoding()})",
            "set PYTHONUTF8=1, or use another path",
        ) from fault


def make_folder(key: str, folder: Path) -> None:
    """Make a folder that a run writes to.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(
            f"{folder} cannot be made: {fault.strerror}", f"use another {key}"
        ) from fault
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"{folder}: no permission to write", f"use another {key}")


def check_credentials(settings: Settings) -> None:
    """Refuse credentials that cannot be used, where an address of Google's is.

    Raises:
        SettingsError: the file that the variable names is absent, unreadable or no credentials.
    """
    remote = [path for path in settings.locations().values() if REMOTE_PATH.match(path)]
    if not any(path.startswith(("gs://", "bigquery://")) for path in remote):
        return
    if not (named := os.environ.get(CREDENTIALS_VARIABLE)):
        return
    remedy = "name the JSON file of a service account, or unset the variable"
    try:
        with open_regular(Path(named)) as file:
            content = json.loads(file.read(MOST_CREDENTIALS_BYTES))
    except OSError as fault:
        raise SettingsError(
            f"{CREDENTIALS_VARIABLE}: {named} cannot be read: {fault.strerror or fault}", remedy
        ) from fault
    except ValueError as fault:
        raise SettingsError(f"{CREDENTIALS_VARIABLE}: {named} is no JSON", remedy) from fault
    if not isinstance(content, dict) or "type" not in content:
        raise SettingsError(
            f"{CREDENTIALS_VARIABLE}: {named} holds no credentials, which are a mapping with a "
            "`type`",
            remedy,
        )


def size_on_disk(settings: Settings) -> Size | None:
    """The size of a run whose events lie on this machine; None where it is not known."""
    source = settings.data.events
    if any(REMOTE_PATH.match(path) for path in source.paths):
        return None
    try:
        return size_of(events_in(listing(source)))
    except (SetlistError, OSError):
        return None  # the first step says what is wrong with the table


def check_space(settings: Settings, workdir: Path, pipeline: PipelineName) -> None:
    """Refuse a run for which the disk is too small.

    Raises:
        SettingsError: naming the folder, what is free and what is needed.
    """
    needs = {workdir: LEAST_BYTES}
    size = size_on_disk(settings) if pipeline == "retraining" else None
    if size:
        refit = ("refit",) if settings.refit else ()
        needs[workdir] += sum(pod_need(step, size).disk for step in (*EVERY_RUN, *refit))
    if not REMOTE_PATH.match(settings.store):
        store = next(folder for folder in Path(settings.store, "x").parents if folder.exists())
        pushed = pod_need("push", size).disk if size else 0
        needs[store] = needs.get(store, 0) + LEAST_BYTES + pushed
    for folder, bytes_needed in needs.items():
        free = shutil.disk_usage(folder).free
        if free < bytes_needed:
            of = f", for about {size.plays:,} plays" if size else ""
            raise SettingsError(
                f"{folder}: {free / 1e6:,.0f} MB are free, and the run needs some "
                f"{bytes_needed / 1e6:,.0f} MB there{of}",
                f"{FREE_SPACE}, or use another folder",
            )


@contextmanager
def disk_faults(place: Path, ending: str = "") -> Iterator[None]:
    """Raise a fault of the disk as one sentence.

    Args:
        place: a folder, where the fault names no file.
        ending: sentences behind it.

    Raises:
        SetlistError: a file could not be read or written.
    """
    try:
        yield
    except OSError as fault:
        error = SetlistError(
            f"{fault.filename or place}: {fault.strerror or fault}",
            FREE_SPACE if fault.errno in FULL else "",
        )
        raise SetlistError(f"{str(error).rstrip('.')}. {ending}".rstrip()) from fault
