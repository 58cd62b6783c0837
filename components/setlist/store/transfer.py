"""The files of a model on their way: several at once, with progress, every byte checked."""

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from setlist.errors import ModelError, StoreDamagedError, StoreError
from setlist.store.manifest import MANIFEST, File
from setlist.store.objects import Objects

TRANSFER_THREADS = 4
"""Files under way at once; each holds one block in memory."""
QUIET_SECONDS = 2.0
"""A transfer that is shorter than this prints no progress."""


class TransferProgress:
    """Prints once a second how far a transfer is, e.g. "34% uploading, 120 of 350 MB"."""

    def __init__(self, action: str, total: int) -> None:
        """Start the clock; nothing is printed yet.

        Args:
            action: such as "uploading".
            total: bytes.
        """
        self._action, self._total, self._done = action, total, 0
        self._next_line = time.monotonic() + QUIET_SECONDS
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Count so many more bytes as transferred."""
        with self._lock:
            # A block that is sent twice is counted twice, so the sum may exceed the total.
            self._done = min(self._done + size, self._total)
            if time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + 1
                share = self._done * 100 // self._total
                done, total = (f"{size / 1e6:,.0f}" for size in (self._done, self._total))
                print(f"{share}% {self._action}, {done} of {total} MB", flush=True)


def describe_file(file: Path) -> File:
    """The SHA-256 and size of a file."""
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        return File(sha256=sha256, size=content.tell())


def describe_folder(model: Path) -> dict[str, File]:
    """The files of a model folder by relative path, in order.

    Raises:
        ModelError: there is no such folder, it is empty, or it holds something else than files.
    """
    if not model.is_dir():
        raise ModelError(f"{model}: there is no model folder", "name the folder of a saved model")
    paths = []
    for entry in sorted(model.rglob("*")):
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise ModelError(f"{entry}: a model holds plain files only", "replace it by a file")
        if entry.is_file():
            paths.append(entry.relative_to(model).as_posix())
    if not paths:
        raise ModelError(f"{model}: the model folder is empty", "name the folder of a saved model")
    with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
        files = pool.map(lambda path: describe_file(model / path), paths)
        return dict(zip(paths, files, strict=True))


def upload_files(objects: Objects, model: Path, files: Mapping[str, File], folder: str) -> None:
    """Upload a model's files, but not those that an earlier attempt has left whole.

    Raises:
        StoreError: a file cannot be written.
    """
    progress = TransferProgress("uploading", _total_size(files))
    present = set(objects.keys(folder))

    def upload(path: str) -> None:
        if folder + path in present and objects.holds(model / path, folder + path):
            progress.add(files[path].size)
        else:
            objects.upload(model / path, folder + path, progress.add)

    _for_each(upload, files)


def download_files(objects: Objects, folder: str, files: Mapping[str, File], target: Path) -> None:
    """Download a revision's files into a folder.

    Raises:
        StoreDamagedError: a file is not as its manifest says; it is named.
        StoreError: a file cannot be read.
    """
    progress = TransferProgress("downloading", _total_size(files))

    def download(path: str) -> None:
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        objects.download(folder + path, copy, progress.add, files[path].size)
        if (actual := describe_file(copy)) != files[path]:
            raise _damaged(objects, folder + path, files[path], actual)

    _for_each(download, files)


def listing_faults(
    objects: Objects, folder: str, files: Mapping[str, File]
) -> Iterator[StoreDamagedError]:
    """One error for each file whose listing is not that of the manifest: before a byte is read.

    It may be missing, of another size, or not in the manifest.
    """
    sizes = {entry.key.removeprefix(folder): entry.size for entry in objects.entries(folder)}
    sizes.pop(MANIFEST, None)
    present = set(sizes)
    for path in sorted(present - set(files)):
        yield StoreDamagedError(
            f"store {objects.uri}: {folder}{path} is not in the manifest",
            "remove it, or stage the model again in a new run",
        )
    for path in sorted(set(files) - present):
        yield StoreDamagedError(
            f"store {objects.uri}: {folder}{path} is missing", "stage the model again"
        )
    for path in sorted(present & set(files)):
        if sizes[path] != files[path].size:
            yield StoreDamagedError(
                f"store {objects.uri}: {folder}{path} is damaged (it has {sizes[path]} bytes, its "
                f"manifest says {files[path].size})",
                "stage the model again",
            )


def file_faults(objects: Objects, folder: str, files: Mapping[str, File]) -> list[StoreError]:
    """Read every file of a revision; one error for each that is not as its manifest says."""
    progress = TransferProgress("verifying", _total_size(files))
    sizes = {entry.key: entry.size for entry in objects.entries(folder)}
    faults_of_listing = list(listing_faults(objects, folder, files))
    unreadable: list[StoreError] = []

    def verify(path: str) -> None:
        if sizes.get(folder + path) != files[path].size:
            return  # a fault of the listing
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / "file"
            try:
                objects.download(folder + path, copy, progress.add, files[path].size)
            except StoreError as fault:
                unreadable.append(fault)
                return
            if (actual := describe_file(copy)) != files[path]:
                unreadable.append(_damaged(objects, folder + path, files[path], actual))

    _for_each(verify, files)
    # The threads end in any order; sorted, two verifications print the same.
    return [*faults_of_listing, *sorted(unreadable, key=str)]


def _for_each(work: Callable[[str], None], files: Mapping[str, File]) -> None:
    """Call `work` for every path, several at once.

    The first fault in the order of the files is raised, after all threads have ended. They are
    daemons, unlike those of an executor: a transfer that never ends does not keep its process from
    ending.
    """
    waiting: SimpleQueue[str] = SimpleQueue()
    for path in files:
        waiting.put(path)
    faults: dict[str, Exception] = {}

    def work_off() -> None:
        with suppress(Empty):
            while not faults:
                path = waiting.get_nowait()
                try:
                    work(path)
                except Exception as fault:  # raised below
                    faults[path] = fault

    threads = [threading.Thread(target=work_off, daemon=True) for _ in range(TRANSFER_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path in files:
        if path in faults:
            raise faults[path]


def _total_size(files: Mapping[str, File]) -> int:
    return max(sum(file.size for file in files.values()), 1)  # it is divided by


def _damaged(objects: Objects, key: str, listed: File, actual: File) -> StoreDamagedError:
    return StoreDamagedError(
        f"store {objects.uri}: {key} is damaged (it has {actual.size} bytes with sha256 "
        f"{actual.sha256[:12]}..., its manifest says {listed.size} with {listed.sha256[:12]}...)",
        "stage the model again",
    )
