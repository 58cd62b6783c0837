"""What the explorer shows: runs on this disk and the models of a store, each opened once.

Streamlit runs the app anew at every click, in one process: whatever is slow to open is kept here.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

from setlist.errors import SettingsError
from setlist.explorer.item_directory import ItemDirectory
from setlist.explorer.run_folder import ExploredRun, RunFolders
from setlist.models.contract import read_catalogue
from setlist.models.item_table import read_item_table
from setlist.models.worker.model_host import ModelHost
from setlist.store.reader import open_reader
from setlist.store.signing import TrustedKeys

MODELS_IN_MEMORY = 24
"""With more models, the one that was used longest ago is dropped."""
KNOWN_SECONDS = 10.0
"""For so long the store is not asked again which model has a number."""
DIRECTORIES_IN_MEMORY = 4
"""A million items take 450 MB and are read in 2.4 seconds."""


@dataclass(frozen=True)
class Scene:
    """What the explorer shows.

    Attributes:
        runs: returns the runs, the newest first, and a sentence for each run that cannot be read.
            It is called at every visit, so that a new run appears.
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        fetched: a folder for revisions of the store, empty at first.
        operations: that a model may have beside the usual ones (`policy.operations`).
        trusted: the keys of which one must have signed a revision that is asked; None: any.
    """

    runs: Callable[[], tuple[list[RunFolders], list[str]]]
    store: str
    name: str
    fetched: Path
    operations: tuple[str, ...] = ()
    trusted: TrustedKeys | None = None
    _fetching: dict[int, Lock] = field(default_factory=dict, init=False, compare=False)
    _known: dict[int, tuple[float, Path]] = field(default_factory=dict, init=False, compare=False)

    def revision(self, number: int) -> Path:
        """The folder of a revision on this disk, fetched from the store and verified.

        It is named by the manifest as well: in a store that was made anew the number is another's.
        """
        # Visitors are threads: the first of them fetches a revision, the others wait for it.
        with self._fetching.setdefault(number, Lock()):
            looked, folder = self._known.get(number, (-KNOWN_SECONDS, self.fetched))
            if time.monotonic() - looked > KNOWN_SECONDS:
                store = open_reader(self.store, trusted=self.trusted)
                manifest = store.manifest(self.name, number)
                folder = self.fetched / f"{number}-{manifest.identity[:12]}"
                if not folder.is_dir():
                    store.download(manifest, folder)
                self._known[number] = time.monotonic(), folder
        return folder


# The app is a script that Streamlit runs: it takes no arguments, and reads its scene here.
_scene: list[Scene] = []


def set_scene(scene: Scene) -> None:
    """Set what the app of this process shows."""
    _scene[:] = [scene]


def current_scene() -> Scene:
    """What the app of this process shows.

    Raises:
        SettingsError: when the app was started without a scene.
    """
    if not _scene:
        raise SettingsError("The explorer has no runs to show", "start it with `setlist dashboard`")
    return _scene[0]


@cache
def open_run(folders: RunFolders) -> ExploredRun:
    """The run, read once: a finished run does not change."""
    return ExploredRun(folders)


@cache
def model_host() -> ModelHost:
    """Where the models are asked, each loaded once; it ends with this process."""
    return ModelHost(most=MODELS_IN_MEMORY)


@lru_cache(DIRECTORIES_IN_MEMORY)
def open_directory(run: ExploredRun | None, folders: tuple[Path, ...]) -> ItemDirectory:
    """The items of the run and of the models in these folders.

    The table of a model is read only if the model can list an item that the run does not have.
    """
    if run is None:
        return ItemDirectory([read_item_table(folder) for folder in folders])
    of_run = _directory_of_run(run)
    more = [folder for folder in folders if not of_run.contains_all(read_catalogue(folder))]
    return ItemDirectory([run.items, *map(read_item_table, more)]) if more else of_run


@cache
def _directory_of_run(run: ExploredRun) -> ItemDirectory:
    return ItemDirectory([run.items])
