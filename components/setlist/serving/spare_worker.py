"""A worker that waits for a model, so that none has to wait until TensorFlow is imported."""

import threading

from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_worker import ModelWorker

RENEW_SECONDS = 1.0


class SpareWorker:
    """One worker without a model; whoever takes it gets one at once, and the next one starts.

    Its methods are for any thread.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        """None is started yet; see `start`."""
        self._limits = limits
        self._lock = threading.Lock()
        self._worker: ModelWorker | None = None
        self._closed = False

    def start(self) -> None:
        """Start one, unless one is there."""
        with self._lock:
            if self._worker is None and not self._closed:
                self._worker = ModelWorker(self._limits)

    def take(self) -> ModelWorker:
        """The worker; without one, a new one, which still has to import TensorFlow.

        The next one starts a little later, since the one that was taken loads a model now.
        """
        with self._lock:
            worker, self._worker = self._worker, None
        later = threading.Timer(RENEW_SECONDS, self.start)
        later.daemon = True
        later.start()
        return worker if worker and worker.alive else ModelWorker(self._limits)

    def close(self) -> None:
        """End it; no further one is started."""
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker:
            worker.close()
