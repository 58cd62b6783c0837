"""The models of a service: the live one, a candidate, and what keeps them loaded.

They are handed over by followers, in threads of theirs, and asked in the event loop of the service.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from setlist.models.profile import read_profile
from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_worker import ModelWorker
from setlist.serving.canary import SHADOW_NICENESS
from setlist.serving.follower import ModelFollower
from setlist.serving.model_pool import ModelPool
from setlist.serving.request_log import KEEP_DAYS, ServingRole
from setlist.serving.served_model import ServedModel
from setlist.serving.spare_worker import SpareWorker
from setlist.store.signing import TrustedKeys

RETIREMENT_SECONDS = 5.0
"""The longest deadline of a request that may still hold a model after a swap."""

CountLost = Callable[[ServingRole, str], None]


@dataclass(frozen=True)
class ServiceSettings:
    """What to serve, and how.

    Attributes:
        store, name: of the model.
        folder: where revisions are kept.
        every: time between two polls of HEAD.
        candidate: a revision that runs beside the live one.
        share: of the listeners who get the candidate; None: it runs as a shadow.
        log: where requests are logged, a folder or gs://bucket/prefix; "": they are not logged.
        rate: the share of requests that are logged.
        log_days: days after which what was logged is removed.
        workers: processes that answer for a model, each with a copy of it.
        any_input: whether requests may send inputs that no model knows.
        allowed: operations of a graph that are allowed beside the usual ones.
        trusted: the keys of which one must have signed what is served; None: any.
    """

    store: str
    name: str
    folder: Path
    every: timedelta = timedelta(minutes=1)
    candidate: int | None = None
    share: float | None = None
    log: str = ""
    rate: float = 1.0
    log_days: int = KEEP_DAYS
    workers: int = 1
    any_input: bool = False
    allowed: tuple[str, ...] = ()
    trusted: TrustedKeys | None = None


class ServedModels:
    """Loads and swaps the models, and ends them."""

    def __init__(self, settings: ServiceSettings, count_lost: CountLost) -> None:
        """Create the followers; `start` starts them.

        Args:
            settings: of the service.
            count_lost: called with the role of a model, and "hung" or "died", for each worker that
                it lost.
        """
        self.settings = settings
        self.live: ServedModel | None = None
        self.candidate: ServedModel | None = None
        self.unconfined: str | None = None
        """What the kernel does not let the process of a model give up; "" for nothing."""
        self._count_lost = count_lost
        self._spare = SpareWorker()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        folder = settings.folder
        self.followers = [self._follower(folder / "live", self._swap)]
        if settings.candidate is not None:
            self.followers.append(
                self._follower(folder / "candidate", self._set_candidate, settings.candidate)
            )

    def _follower(
        self, folder: Path, hand_over: Callable[[int, Path], None], revision: int | None = None
    ) -> ModelFollower:
        settings = self.settings
        return ModelFollower(
            settings.store,
            settings.name,
            folder,
            hand_over,
            settings.every,
            revision=revision,
            trusted=settings.trusted,
        )

    def lock_folders(self) -> None:
        """Reserve the folders of the revisions for this process; `start` does it as well.

        Raises:
            SettingsError: another process uses one of them, or it cannot be written.
        """
        for follower in self.followers:
            follower.lock_folder()

    def start(self) -> None:
        """Begin to follow the store; called in the event loop in which the models are asked."""
        self._loop = asyncio.get_running_loop()
        self._spare.start()
        for follower in self.followers:
            follower.start()

    async def stop_following(self) -> None:
        """Load no further model."""
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in self.followers))

    async def close(self) -> None:
        """End all workers."""
        for model in (self.live, self.candidate):
            if model:
                await model.pool.close()
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await asyncio.to_thread(self._spare.close)

    def _swap(self, revision: int, folder: Path) -> None:
        before = self.live
        self.live = self._load(revision, folder, "live", self._spare.take)
        self._retire(before)
        print(f"revision {revision} of {self.settings.name} is live here", flush=True)

    def _set_candidate(self, revision: int, folder: Path) -> None:
        def niced() -> ModelWorker:
            return ModelWorker(Limits(niceness=SHADOW_NICENESS))

        before, shadow = self.candidate, self.settings.share is None
        self.candidate = self._load(
            revision, folder, "candidate", niced if shadow else self._spare.take
        )
        self._retire(before)
        print(f"revision {revision} of {self.settings.name} runs beside the live one", flush=True)

    def _load(
        self,
        revision: int,
        folder: Path,
        role: ServingRole,
        take: Callable[[], ModelWorker],
    ) -> ServedModel:
        """A revision, loaded, warm and started; in the thread of a follower.

        Raises:
            SetlistError: the model does not load, or does not answer.
        """
        settings = self.settings

        def count(reason: str) -> None:
            self._count_lost(role, reason)
            print(f"a worker of revision {revision} {reason}; it is replaced", flush=True)

        profile = read_profile(folder)
        follower = self.followers[role == "candidate"]
        pool = ModelPool(
            folder, take, settings.workers, settings.allowed, count, follower.fetch_again
        )
        info = pool.load()
        if self.unconfined is None and pool.unconfined:
            print(f"models are less confined here: {pool.unconfined}", flush=True)
        self.unconfined = pool.unconfined
        self._in_loop(pool.start)
        known = {*info.categorical_inputs, *(profile.offered if profile else ())}
        anything = settings.any_input or not known
        return ServedModel(revision, folder, info, None if anything else frozenset(known), pool)

    def _retire(self, model: ServedModel | None) -> None:
        """End the workers of a model when its last request is answered."""
        if model is None:
            return

        def begin() -> None:
            task = asyncio.create_task(model.pool.retire(RETIREMENT_SECONDS))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

        self._in_loop(begin)

    def _in_loop(self, act: Callable[[], None]) -> None:
        """Call something in the event loop, from a follower's thread."""
        if self._loop is None:
            raise RuntimeError("the service was not started")
        self._loop.call_soon_threadsafe(act)
