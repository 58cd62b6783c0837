"""The files of a model on their way: several at once, with progress, every byte checked."""

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setlist.errors import SetlistError
from setlist.store.manifest import MANIFEST, File
from setlist.store.objects import Objects

THREADS = 4
"""Files under way at once; each holds one block in memory."""
QUIET = 2.0
"""Seconds that pass before anything is said of it."""


class Progress:
    """Says how far it is, once a second, e.g. "34% uploading, 120 of 350 MB"."""

    def __init__(self, action: str, total: int) -> None:
        """Nothing is said yet.

        Args:
            action: such as "uploading".
            total: bytes.
        """
        self._action, self._total, self._done = action, total, 0
        self._next = time.monotonic() + QUIET
        self._lock = threading.Lock()

    def count(self, size: int) -> None:
        """So many bytes more are there."""
        with self._lock:
            self._done = min(self._done + size, self._total)  # a block may be sent twice
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + 1
                share = self._done * 100 // self._total
                done, total = (f"{one / 1e6:,.0f}" for one in (self._done, self._total))
                print(f"{share}% {self._action}, {done} of {total} MB", flush=True)


def describe(file: Path) -> File:
    """The SHA-256 and size of a file."""
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        return File(sha256=sha256, size=content.tell())


def described(model: Path) -> dict[str, File]:
    """The files of a model folder by relative path, in order.

    Raises:
        SetlistError: there is no such folder, it is empty, or it holds something else than files.
    """
    if not model.is_dir():
        raise SetlistError(f"{model}: there is no model folder; name the folder of a saved model.")
    paths = []
    for entry in sorted(model.rglob("*")):
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise SetlistError(f"{entry}: a model holds plain files only; replace it by a file.")
        if entry.is_file():
            paths.append(entry.relative_to(model).as_posix())
    if not paths:
        raise SetlistError(f"{model}: the model folder is empty; name the folder of a saved model.")
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(paths, pool.map(lambda path: describe(model / path), paths), strict=True))


def send(objects: Objects, model: Path, files: Mapping[str, File], folder: str) -> None:
    """Upload a model's files; those that an earlier attempt left whole are not sent again."""
    progress = Progress("uploading", _size(files))
    there = set(objects.keys(folder))

    def one(path: str) -> None:
        if folder + path in there and objects.holds(model / path, folder + path):
            progress.count(files[path].size)
        else:
            objects.upload(model / path, folder + path, progress.count)

    _all_at_once(one, files)


def receive(objects: Objects, folder: str, files: Mapping[str, File], to: Path) -> None:
    """Download a revision's files into a folder.

    Raises:
        SetlistError: one is not as its manifest says; it is named.
    """
    progress = Progress("downloading", _size(files))

    def one(path: str) -> None:
        target = to / path
        target.parent.mkdir(parents=True, exist_ok=True)
        objects.download(folder + path, target, progress.count)
        if (got := describe(target)) != files[path]:
            raise SetlistError(_unlike(objects, folder + path, files[path], got))

    _all_at_once(one, files)


def strays(objects: Objects, folder: str, files: Mapping[str, File]) -> Iterator[str]:
    """One sentence for each file of a revision that its manifest does not list, or that lacks."""
    there = {key.removeprefix(folder) for key in objects.keys(folder)} - {MANIFEST}
    for path in sorted(there - set(files)):
        yield (
            f"store {objects.uri}: {folder}{path} is not in the manifest; remove it, or stage the "
            "model again in a new run."
        )
    for path in sorted(set(files) - there):
        yield f"store {objects.uri}: {folder}{path} is missing; stage the model again."


def faults(objects: Objects, folder: str, files: Mapping[str, File]) -> list[str]:
    """Read every file of a revision; one sentence for each that is not as its manifest says."""
    found = list(strays(objects, folder, files))
    progress = Progress("verifying", _size(files))
    there = set(objects.keys(folder))
    damaged: list[str] = []

    def one(path: str) -> None:
        if folder + path not in there:
            return
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "file"
            try:
                objects.download(folder + path, copy, progress.count)
            except SetlistError as fault:
                damaged.append(str(fault))
                return
            if (got := describe(copy)) != files[path]:
                damaged.append(_unlike(objects, folder + path, files[path], got))

    _all_at_once(one, files)
    return [*found, *sorted(damaged)]


def _all_at_once(work: Callable[[str], None], files: Mapping[str, File]) -> None:
    """The first fault, in the order of the files, ends it; what is under way is waited for."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(work, files):
            pass


def _size(files: Mapping[str, File]) -> int:
    return max(sum(file.size for file in files.values()), 1)


def _unlike(objects: Objects, key: str, said: File, got: File) -> str:
    return (
        f"store {objects.uri}: {key} is damaged (it has {got.size} bytes with sha256 "
        f"{got.sha256[:12]}..., its manifest says {said.size} with {said.sha256[:12]}...); stage "
        "the model again."
    )
