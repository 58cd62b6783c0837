"""What the explorer looks at: runs on this disk and the models of a store, each loaded once.

Streamlit runs the app anew at every click, in one process: what is slow to open is kept here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

from setlist.errors import SetlistError
from setlist.explorer.catalogue import Catalogue
from setlist.explorer.run_folder import Run, RunFolders
from setlist.models.contract import read_catalogue
from setlist.models.item_table import read_item_table
from setlist.models.saved_model import SavedModel
from setlist.store.model_store import open_store

LOADED = 24
"""Models that are kept in memory at most; the one not asked for longest goes first."""


@dataclass(frozen=True)
class Scene:
    """Where to look.

    Attributes:
        runs: finds the runs, the newest first, and says why others are left out; asked at every
            visit, so that a new one appears.
        store: a local folder or gs://bucket/prefix.
        name: of the model in it.
        fetched: a folder for its revisions, empty at first.
    """

    runs: Callable[[], tuple[list[RunFolders], list[str]]]
    store: str
    name: str
    fetched: Path
    _fetching: dict[int, Lock] = field(default_factory=dict, init=False, compare=False)

    def revision(self, number: int) -> Path:
        """A revision of the store on this disk, every file verified.

        Of visitors who want it at once, one fetches it and the others wait.
        """
        folder = self.fetched / str(number)
        with self._fetching.setdefault(number, Lock()):
            if not folder.is_dir():
                open_store(self.store).fetch(self.name, number, folder)
        return folder


_scene: list[Scene] = []


def show(scene: Scene) -> None:
    """Make this what the app of this process looks at."""
    _scene[:] = [scene]


def shown() -> Scene:
    """What the app of this process looks at.

    Raises:
        SetlistError: when the app was started by itself.
    """
    if not _scene:
        raise SetlistError("The explorer was not told what to show; start it as setlist dashboard.")
    return _scene[0]


@cache
def open_run(folders: RunFolders) -> Run:
    """The run, read once: a finished run does not change."""
    return Run(folders)


@lru_cache(LOADED)
def open_model(folder: Path) -> SavedModel:
    """The model in the folder, loaded once."""
    return SavedModel(folder)


@lru_cache(LOADED)
def open_catalogue(run: Run | None, folders: tuple[Path, ...]) -> Catalogue:
    """What is known of items: by the run where there is one, and by the models' own tables.

    A model adds the items that the run does not have; where it has none, the run's is enough.
    """
    if run is None:
        return Catalogue([read_item_table(folder) for folder in folders])
    own = _catalogue(run)
    more = [folder for folder in folders if not own.knows(read_catalogue(folder))]
    return Catalogue([run.items, *map(read_item_table, more)]) if more else own


@cache
def _catalogue(run: Run) -> Catalogue:
    return Catalogue([run.items])
