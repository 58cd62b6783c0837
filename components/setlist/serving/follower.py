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

from setlist.errors import SetlistError, StoreConflictError
from setlist.serving import asked_store
from setlist.serving.asked_store import AskedStore, download_seconds
from setlist.serving.local_revisions import LocalRevisions
from setlist.serving.wanted import NO_HEAD, Followed, Wanted
from setlist.store.manifest import Manifest
from setlist.store.signing import TrustedKeys

POLLS_TO_MISS = 3
"""After so many intervals without a success, and the deadlines above, something is wrong."""

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
    """The revision that the callback took last.

    Attributes:
        folder: with its files.
        manifest: of it.
        promoted: when it was promoted (UTC, ISO).
        signature: of it, where signatures are checked.
    """

    folder: Path
    manifest: Manifest
    promoted: str
    signature: str = ""

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
    No store keeps it waiting: whatever it asks of one has a deadline.

    A revision is what its manifest is, whatever its number: in a store that was made anew, it is
    another model. An older copy of HEAD, from a cache or a replica, is not followed: a fault only
    if it lasts.
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
        trusted: TrustedKeys | None = None,
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
            trusted: the keys of which one must have signed what is followed; None: signatures are
                not checked.
        """
        self.store, self.name, self.every, self.pinned = store, name, every, revision
        self.swaps = 0
        self.faults: Counter[Stage] = Counter({"head": 0, "fetch": 0, "hand over": 0})
        self.in_use: RevisionInUse | None = None
        self._lost = False
        self.target: int | None = revision  # the revision that should be in use
        self.last_poll: float | None = None
        self.last_success: float | None = None
        self.last_fault: Fault | None = None
        self.followed = NO_HEAD  # the newest HEAD that was followed
        self._left: dict[str, int] = {}  # how far each earlier origin was followed
        self._fault: Fault | None = None
        self._local = LocalRevisions(folder, store, name, trusted)
        self._trusted = trusted
        self._kept: set[Path] = set()
        self._recorded: Followed | None = None  # with which HEAD a restart finds what is in use
        self._on_change = on_change
        self._asked = AskedStore(store, name, trusted)
        self._activity: tuple[Stage, str] = ("head", "waiting for the next poll")
        self._good_at = time.monotonic()  # the last success, or the beginning
        self._patience = _patience(every, asked_store.DOWNLOAD_SECONDS)
        self._failed_polls = 0
        # A revision that failed is not tried again before `_retry_at`; `_failure` says why.
        self._failed: str | None = None  # its identity
        self._wanted: str | None = None  # the identity of the revision that should be in use
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
        """End the thread; the model that was handed over stays in use.

        A store that does not answer is not waited for, a callback for ten seconds.
        """
        self._stopping.set()
        self._asked.stop()
        if self._thread.is_alive():
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
        self.followed = document.followed
        return self._hand_over(
            RevisionInUse(folder, document.manifest, document.promoted, document.signature)
        )

    def fetch_again(self) -> None:
        """At the next poll, fetch and hand over what is in use once more: its files are gone."""
        self._lost = True

    def poll(self) -> bool:
        """Read HEAD once, and swap if it moved; whether a swap happened."""
        self.last_poll = time.time()
        swapped = self._poll()
        self._activity = ("head", "waiting for the next poll")
        return swapped

    def _poll(self) -> bool:
        self._activity = ("head", "reading HEAD")
        try:
            wanted = self._asked.wanted(self.pinned)
        except Exception as fault:  # whatever a client library raises, the thread goes on
            self._failed_polls += 1
            self._record_fault("head", fault)
            return False
        self._failed_polls = 0
        if self.in_use and self.pinned is None and self._is_older(wanted):
            self._pass_over(wanted)
            return False
        if self.followed.origin not in ("", wanted.followed.origin):
            self._left[self.followed.origin] = self.followed.number
        self.target, self._wanted, self.followed = wanted.revision, wanted.identity, wanted.followed
        known = self.in_use and self.in_use.manifest.identity == wanted.identity
        if self.in_use and known and not self._lost:
            self._record_good(self.in_use)
            return False
        self._lost = False
        if self._failed == wanted.identity and time.monotonic() < self._retry_at:
            self._fault = self._failure
            return False
        try:
            fetched = self._fetch(wanted)
        except Exception as fault:  # as above
            self._record_fault("fetch", fault)
            self._postpone(wanted.identity)
            return False
        if not self._hand_over(fetched):
            self._postpone(wanted.identity)
            return False
        self._record_good(fetched)
        return True

    @property
    def fault(self) -> Fault | None:
        """What is wrong now: the last fault, or that nothing has succeeded for long."""
        if self._fault or not self._is_overdue():
            return self._fault
        stage, activity = self._activity
        return Fault(
            stage,
            f"nothing has succeeded for more than {self._patience:.0f} s, and the "
            f"follower is {activity}",
            _now(),
        )

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
        if self._failed is not None and self._failed == self._wanted:
            return min(every, max(self._retry_at - time.monotonic(), 0.1))
        return every

    def _is_older(self, wanted: Wanted) -> bool:
        """Whether HEAD is an older copy: of the history that is followed, or of an earlier one."""
        mine = wanted.followed
        if mine.origin == self.followed.origin:
            return wanted.older_than(self.followed)
        return mine.number <= self._left.get(mine.origin, -1)

    def _pass_over(self, wanted: Wanted) -> None:
        """Leave an older copy of HEAD alone; it is a fault when nothing newer is read for long."""
        if self._is_overdue():
            older = wanted.followed.number
            self._record_fault(
                "head",
                StoreConflictError(
                    f"store {self.store}: HEAD of {self.name} is an older copy (move {older}, and "
                    f"move {self.followed.number} was followed)",
                    "wait for the newest one; if it was restored on purpose, say so with "
                    f"`setlist models promote {wanted.revision} --force-head`",
                ),
            )

    def _fetch(self, wanted: Wanted) -> RevisionInUse:
        self._activity = ("fetch", f"downloading revision {wanted.revision}")
        manifest = self._asked.manifest(wanted)
        if (folder := self._local.find(manifest)) is None:
            self._patience = _patience(self.every, download_seconds(manifest))
            download = self._local.new_download()
            self._asked.download(manifest, download)
            folder = self._local.place(download, manifest)
        signature = self._asked.signature(manifest) if self._trusted else ""
        return RevisionInUse(folder, manifest, wanted.promoted, signature)

    def _hand_over(self, fetched: RevisionInUse) -> bool:
        self._activity = ("hand over", f"handing over revision {fetched.revision}")
        try:
            self._on_change(fetched.revision, fetched.folder)
        except Exception as fault:  # the callback is the user's code
            self._record_fault("hand over", fault)
            return False
        before, self.in_use = self.in_use, fetched
        self.swaps += 1
        # The revision before may still be read, by requests that began with it.
        self._kept = {fetched.folder, before.folder if before else fetched.folder}
        self._recorded = None
        return True

    def _record_good(self, revision: RevisionInUse) -> None:
        """Record the revision for a restart; after a fault of the disk, again at the next poll."""
        if self._recorded != self.followed:
            try:
                self._local.record_good(
                    revision.manifest, revision.promoted, self.followed, revision.signature
                )
                self._local.remove_others(self._kept)
            except OSError as fault:
                self._record_fault("hand over", fault)
                return
            self._recorded = self.followed
        self._clear_fault()

    def _postpone(self, identity: str) -> None:
        """Do not try a revision that failed for a while: longer, the more often it failed."""
        self._failures = self._failures + 1 if self._failed == identity else 1
        longest = max(self.every.total_seconds(), LONGEST_RETRY_SECONDS)
        pause = min(longest, _backoff(self._failures))
        self._failed = identity
        self._retry_at, self._failure = time.monotonic() + pause, self._fault

    def _is_overdue(self) -> bool:
        """Whether the last success is longer ago than anything that works may take."""
        return time.monotonic() - self._good_at > self._patience

    def _record_fault(self, stage: Stage, fault: Exception) -> None:
        if self._stopping.is_set():
            return  # `stop` has cut it short
        # Only the text of a SetlistError says what it is about without its class.
        known = isinstance(fault, SetlistError)
        sentence = str(fault) if known else f"{type(fault).__name__}: {fault}"
        before = self._fault
        self._fault = self.last_fault = Fault(stage, sentence, _now())
        self.faults[stage] += 1
        if before is None or before.sentence != sentence:  # a lasting fault is printed once
            print(f"{self.name}: {sentence}", flush=True)

    def _clear_fault(self) -> None:
        if self._fault:
            print(f"{self.name}: no fault any more", flush=True)
        self._good_at, self.last_success = time.monotonic(), time.time()
        self._fault, self._failed, self._failures = None, None, 0


def _patience(every: timedelta, download: float) -> float:
    """Seconds without a success that are no fault yet; a download may take its deadline."""
    return POLLS_TO_MISS * every.total_seconds() + asked_store.READ_SECONDS + download


def _backoff(failures: int) -> float:
    """Seconds to wait; the exponent is limited, because weeks of failures overflow a float."""
    return FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _iso(unix_seconds: float | None) -> str | None:
    if unix_seconds is None:
        return None
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")
