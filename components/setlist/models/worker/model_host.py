"""Models in one worker, which is replaced when it is lost."""

import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Lock
from typing import Self

from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_worker import ModelUnansweredError, ModelWorker
from setlist.models.worker.remote_model import RemoteModel


class ModelHost:
    """Models that are asked in turn, by one thread after the other.

    A model that takes the worker with it is lost for whoever asked it. Whoever asks next, for any
    model, gets a new worker.
    """

    def __init__(self, limits: Limits | None = None, most: int = 1) -> None:
        """Start the worker, which imports TensorFlow while this process goes on.

        Args:
            limits: of the worker.
            most: how many models it holds; beyond it the one that was asked longest ago is dropped.
        """
        self._limits, self._most = limits, most
        self._lock = Lock()
        self._models: OrderedDict[Path, RemoteModel] = OrderedDict()
        self._worker = ModelWorker(limits)

    @contextlib.contextmanager
    def model(self, folder: Path, allowed: Collection[str] = ()) -> Iterator[RemoteModel]:
        """The model of a folder, loaded where it is not; other threads wait until it is given back.

        Args:
            folder: of the model; its files do not change.
            allowed: operations of its graph that are allowed beside the usual ones, for this host.

        Raises:
            ModelError: it is refused, or does not load.
        """
        with self._lock:
            if not self._worker.alive:
                self._replace()
            if folder not in self._models:
                self._make_room()
                self._models[folder] = RemoteModel(self._worker, folder, allowed)
            self._models.move_to_end(folder)
            yield self._models[folder]

    @property
    def unconfined(self) -> str:
        """Which limits the system does not allow the worker, such as in a container; "" for none.

        Raises:
            ModelUnansweredError: it does not start.
        """
        with self._lock:
            if not self._worker.alive:
                self._replace()
            self._worker.wait()
            return self._worker.unconfined or ""

    def _make_room(self) -> None:
        try:
            while len(self._models) >= self._most:
                self._models.popitem(last=False)[1].drop()
        except ModelUnansweredError:
            self._replace()

    def _replace(self) -> None:
        self.close()
        self._models.clear()
        self._worker = ModelWorker(self._limits)

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
