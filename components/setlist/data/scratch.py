"""A folder in a bucket or on a shared disk, for what a step and the workers of Spark hand over.

Workers write to it by its address, and read from it; the step copies single files in and out.
"""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from setlist.errors import DataError, StoreError
from setlist.store.objects import open_objects

ON_DISK = "file://"


class SharedScratch:
    """A new folder below `engine.scratch`, which is removed when it is closed.

    Every fault is a DataError, except those of removing, which are printed: what is left behind
    takes room and harms nothing.

    Attributes:
        address: of the folder, as Spark writes it.
    """

    def __init__(self, place: str) -> None:
        """Name a new folder.

        Args:
            place: gs://bucket/folder or file:///folder.
        """
        self.address = f"{place.rstrip('/')}/{uuid.uuid4().hex}"
        with _faults_of_data():
            self._objects = open_objects(self.address.removeprefix(ON_DISK))

    def put(self, source: Path, name: str) -> None:
        """Copy a Parquet file, or those of a folder, into the folder `name`."""
        files = sorted(source.iterdir()) if source.is_dir() else [source]
        with _faults_of_data():
            for file in files:
                if _is_data(file.name):
                    self._objects.upload(file, f"{name}/{file.name}")

    def data_files(self, name: str) -> list[str]:
        """The keys of the Parquet files in the folder `name`, in order."""
        with _faults_of_data():
            keys = self._objects.keys(f"{name}/")
        return [key for key in keys if not key.endswith("/") and _is_data(PurePosixPath(key).name)]

    def fetch(self, name: str, target: Path) -> None:
        """Copy the Parquet files of the folder `name` into a new folder, one after the other."""
        target.mkdir()
        for key in self.data_files(name):
            with _faults_of_data():
                self._objects.download(key, target / PurePosixPath(key).name)

    def remove(self, name: str = "") -> None:
        """Remove the folder `name`, or everything."""
        try:
            for key in self._objects.keys(name and f"{name}/"):
                self._objects.remove(key)
        except StoreError as fault:
            print(f"engine.scratch: {self.address}/{name} is left behind ({fault.message})")

    def close(self) -> None:
        """Remove everything, and the folder itself."""
        self.remove()
        if self.address.startswith(ON_DISK):
            shutil.rmtree(self.address.removeprefix(ON_DISK), ignore_errors=True)


def _is_data(name: str) -> bool:
    """Whether a file holds rows: Spark leaves marks and checksums beside those, as _SUCCESS."""
    return not name.startswith((".", "_"))


@contextmanager
def _faults_of_data() -> Iterator[None]:
    """Raise a fault of a place of objects as that of the setting that names it."""
    try:
        yield
    except StoreError as fault:
        raise DataError(f"engine.scratch: {fault.message}", fault.remedy) from fault
