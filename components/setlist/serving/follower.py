"""Follow a model of a store: poll HEAD, download new revisions, hand them over to a callback.

def swap(revision: int, folder: Path) -> None:
    service.model = load_and_warm_up(folder)   # if it raises, the last good model stays

ModelFollower("gs://bucket/models", "home", Path("/var/models"), swap).start()

This module needs the base installation only, no TensorFlow.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from setlist.errors import SetlistError, StoreNotFoundError
from setlist.serving.local_revisions import LocalRevisions
from setlist.store.manifest import Manifest
from setlist.store.model_store import ModelStore, open_store

FIRST_RETRY_SECONDS = 5.0
"""Pause after a first fault; it doubles with every further one."""
LONGEST_RETRY_SECONDS = 600.0
"""Longest pause before a revision that failed is tried again, or `every` if that is longer."""
JITTER = 0.2
"""Share by which every pause varies at random, so that many followers do not poll at once."""

Stage = Literal["head", "fetch", "hand over"]
OnChange = Callable[[int, Path], None]


@dataclass(frozen=True)
class RevisionInUse:
    """The revision that the callback took last, its folder, and when it was promoted (UTC, ISO)."""

    folder: Path
    manifest: Manifest
    promoted: str

    @property
    def revision(self) -> int:
        """Its number in the store."""
        return self.manifest.revision


@dataclass(frozen=True)
class Fault:
    """What went wrong, at which stage, and when (UTC, ISO)."""

    stage: Stage
    sentence: str
    when: str


class ModelFollower:
    """A thread that keeps a folder and a callback at the live revision of a model.

    No fault ends the thread: an unreachable store, a damaged file or a callback that raises is
    counted and reported by `health`, the last good model stays in use, and the thread tries again.
    """

    def __init__(
        self,
        store: str,
        name: str,
        folder: Path,
        on_change: OnChange,
        every: timedelta = timedelta(minutes=10),
        *,
        revision: int | None = None,
    ) -> None:
        """Create it; the thread starts with `start`.

        Args:
            store: a local folder or gs://bucket/prefix.
            name: of the model in the store.
            folder: where revisions are kept, for this follower alone.
            on_change: called with a revision and its verified folder, in the follower's thread.
                It warms the model up and swaps. If it raises, the swap has not happened. The
                folder is kept until the swap after the next.
            every: the time between two polls of HEAD.
            revision: follow this revision instead of the one that HEAD names.
        """
        self.store, self.name, self.every, self.pinned = store, name, every, revision
        self.swaps = 0
        self.faults: Counter[Stage] = Counter({"head": 0, "fetch": 0, "hand over": 0})
        self.in_use: RevisionInUse | None = None
        self.target: int | None = revision  # the revision that should be in use
        self.last_poll: float | None = None
        self.last_success: float | None = None
        self.last_fault: Fault | None = None
        self.fault: Fault | None = None
        self._local = LocalRevisions(folder, store, name)
        self._kept: set[int] = set()
        self._recorded = False  # whether a restart will find the revision in use
        self._on_change = on_change
        self._opened: ModelStore | None = None
        self._failed_polls = 0
        # A revision that failed is not tried again before `_retry_at`; `_failure` says why.
        self._failed_revision: int | None = None
        self._failures, self._retry_at = 0, 0.0
        self._failure: Fault | None = None
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {name}", daemon=True)

    def lock_folder(self) -> None:
        """Reserve the folder for this process until `stop`; `start` calls this as well.

        Raises:
            SettingsError: another follower uses the folder, or it cannot be written.
        """
        self._local.lock()

    def start(self) -> "ModelFollower":
        """Hand over the last good revision from the disk, then follow HEAD until `stop`.

        Raises:
            SettingsError: the folder cannot be used.
        """
        self.lock_folder()
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread; the model that was handed over stays in use."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._local.unlock()

    def restore(self) -> bool:
        """Hand over the revision that was good when the last process ended, without the store.

        Returns whether there was one and the callback took it.
        """
        try:
            last_good = self._local.last_good()
        except Exception as fault:  # a failing disk must not end the thread either
            self._record_fault("fetch", fault)
            return False
        if last_good is None:
            return False
        folder, document = last_good
        if self.pinned not in (None, document.manifest.revision):
            return False
        return self._hand_over(RevisionInUse(folder, document.manifest, document.promoted))

    def poll(self) -> bool:
        """Read HEAD once, and swap if it moved; whether a swap happened."""
        self.last_poll = time.time()
        try:
            self._opened = self._opened or open_store(self.store)
            self.target = self.pinned or self._live_revision(self._opened)
        except Exception as fault:  # whatever a client library raises, the thread goes on
            self._failed_polls += 1
            self._record_fault("head", fault)
            return False
        self._failed_polls = 0
        if self.in_use and self.in_use.revision == self.target:
            self._record_good(self.in_use)
            return False
        if self._failed_revision == self.target and time.monotonic() < self._retry_at:
            self.fault = self._failure
            return False
        try:
            fetched = self._fetch(self._opened, self.target)
        except Exception as fault:  # as above
            self._record_fault("fetch", fault)
            self._postpone(self.target)
            return False
        if not self._hand_over(fetched):
            self._postpone(self.target)
            return False
        self._record_good(fetched)
        return True

    def health(self) -> dict[str, object]:
        """The state as JSON values; `fault` is None while everything works."""
        in_use, fault = self.in_use, self.fault
        return {
            "name": self.name,
            "store": self.store,
            "revision": in_use.revision if in_use else None,
            "wanted": self.target,
            "promoted": in_use.promoted if in_use else None,
            "training_window": in_use.manifest.training_window if in_use else None,
            "last_poll": _iso(self.last_poll),
            "last_success": _iso(self.last_success),
            "last_error": vars(self.last_fault) if self.last_fault else None,
            "fault": fault.sentence if fault else None,
            "swaps": self.swaps,
            "faults": sum(self.faults.values()),
        }

    def _run(self) -> None:
        if not self.in_use:
            self.restore()
        while not self._stopping.is_set():
            self.poll()
            self._stopping.wait(self._pause() * self._random.uniform(1 - JITTER, 1 + JITTER))

    def _pause(self) -> float:
        """Seconds until the next poll: after a fault less than `every`, never more."""
        every = self.every.total_seconds()
        if self._failed_polls:
            return min(every, _backoff(self._failed_polls))
        if self._failed_revision == self.target and self._failed_revision is not None:
            return min(every, max(self._retry_at - time.monotonic(), 0.1))
        return every

    def _live_revision(self, store: ModelStore) -> int:
        head = store.head(self.name)
        if head is None:
            raise StoreNotFoundError(
                f"store {self.store}: nothing is live under {self.name} yet",
                "run the pipeline, or promote a staged revision",
            )
        return head.live

    def _fetch(self, store: ModelStore, revision: int) -> RevisionInUse:
        manifest = store.manifest(self.name, revision)
        folder = self._local.fetch(store, manifest)
        promotions = [
            promotion.when
            for promotion in store.history(self.name)
            if promotion.revision == revision
        ]
        return RevisionInUse(folder, manifest, promotions[-1] if promotions else "")

    def _hand_over(self, fetched: RevisionInUse) -> bool:
        try:
            self._on_change(fetched.revision, fetched.folder)
        except Exception as fault:  # the callback is the user's code
            self._record_fault("hand over", fault)
            return False
        before, self.in_use = self.in_use, fetched
        self.swaps += 1
        # The revision before may still be read, by requests that began with it.
        self._kept = {fetched.revision, before.revision if before else fetched.revision}
        self._recorded = False
        return True

    def _record_good(self, revision: RevisionInUse) -> None:
        """Record the revision for a restart; after a fault of the disk, again at the next poll."""
        if not self._recorded:
            try:
                self._local.record_good(revision.manifest, revision.promoted)
                self._local.remove_others(self._kept)
            except OSError as fault:
                self._record_fault("hand over", fault)
                return
            self._recorded = True
        self._clear_fault()

    def _postpone(self, revision: int) -> None:
        """Do not try a revision that failed for a while: longer, the more often it failed."""
        self._failures = self._failures + 1 if self._failed_revision == revision else 1
        longest = max(self.every.total_seconds(), LONGEST_RETRY_SECONDS)
        pause = min(longest, _backoff(self._failures))
        self._failed_revision = revision
        self._retry_at, self._failure = time.monotonic() + pause, self.fault

    def _record_fault(self, stage: Stage, fault: Exception) -> None:
        # Only the text of a SetlistError says what it is about without its class.
        known = isinstance(fault, SetlistError)
        sentence = str(fault) if known else f"{type(fault).__name__}: {fault}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = self.fault
        self.fault = self.last_fault = Fault(stage, sentence, now)
        self.faults[stage] += 1
        if before is None or before.sentence != sentence:  # a lasting fault is printed once
            print(f"{self.name}: {sentence}", flush=True)

    def _clear_fault(self) -> None:
        if self.fault:
            print(f"{self.name}: no fault any more", flush=True)
        self.fault, self.last_success = None, time.time()
        self._failed_revision, self._failures = None, 0


def _backoff(failures: int) -> float:
    """Seconds to wait; the exponent is limited, because weeks of failures overflow a float."""
    return FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30)


def _iso(unix_seconds: float | None) -> str | None:
    if unix_seconds is None:
        return None
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")
