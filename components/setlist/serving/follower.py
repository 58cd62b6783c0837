"""Follow a model of a store: poll HEAD, fetch beside, hand over, and keep what works.

def swap(revision: int, folder: Path) -> None:
    service.model = load_and_warm_up(folder)   # raise, and the last good model stays

ModelFollower("gs://bucket/models", "home", Path("/var/models"), swap).start()
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

from setlist.errors import SetlistError
from setlist.serving.local_revisions import KeptRevisions
from setlist.store.manifest import Manifest
from setlist.store.model_store import ModelStore, open_store

FIRST_RETRY = 5.0
"""Seconds after a first fault; they double with every further one."""
LONGEST_RETRY = 600.0
"""Seconds between two attempts at a revision that cannot be had or loaded, or `every` if longer."""
JITTER = 0.2
"""Of every wait, so that many followers do not ask at once."""

Stage = Literal["head", "fetch", "hand over"]
OnChange = Callable[[int, Path], None]


@dataclass(frozen=True)
class Live:
    """The revision that is in use here."""

    folder: Path
    manifest: Manifest
    promoted: str

    @property
    def revision(self) -> int:
        """Its number in the store."""
        return self.manifest.revision


@dataclass(frozen=True)
class Fault:
    """What went wrong last, at which stage, and when (UTC, ISO)."""

    stage: Stage
    sentence: str
    when: str


class ModelFollower:
    """Keeps a folder and a callback at the live revision of a model, in a thread of its own.

    No fault ends it: the store away, a damaged file, a callback that raises are told by `health`
    and counted, the last good model stays, and it tries again.
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
        """Nothing happens before `start`.

        Args:
            store: a local folder or gs://bucket/prefix.
            name: of the model in the store.
            folder: where revisions are kept, for this follower alone.
            on_change: called with a revision and its verified folder, from the follower's thread.
                It warms the model up and swaps. When it raises, the swap has not happened. The
                folder stays until the swap after the next.
            every: the time between two looks at HEAD.
            revision: hold this one instead of what HEAD names.
        """
        self.store, self.name, self.every, self.pinned = store, name, every, revision
        self.swaps = 0
        self.faults: Counter[Stage] = Counter({"head": 0, "fetch": 0, "hand over": 0})
        self.live: Live | None = None
        self.wanted: int | None = revision
        self.last_poll: float | None = None
        self.last_success: float | None = None
        self.last_fault: Fault | None = None
        self.fault: Fault | None = None
        self._kept = KeptRevisions(folder, store, name)
        self._keep: set[int] = set()
        self._noted = False  # whether a restart will know what is in use
        self._on_change = on_change
        self._opened: ModelStore | None = None
        self._misses = 0
        self._refused: int | None = None  # a revision that failed, and is left alone until
        self._refusals, self._until = 0, 0.0
        self._why: Fault | None = None
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {name}", daemon=True)

    def claim(self) -> None:
        """Make the folder this process's own until `stop`; `start` does it as well.

        Raises:
            SetlistError: the folder is another follower's, or cannot be written.
        """
        self._kept.claim()

    def start(self) -> "ModelFollower":
        """Hand over what was good last, then follow HEAD until `stop`.

        Raises:
            SetlistError: the folder cannot be used.
        """
        self.claim()
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread; what it handed over stays in use."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._kept.release()

    def restore(self) -> bool:
        """Hand over the revision that was good when the last process ended, without the store."""
        try:
            found = self._kept.remembered()
        except Exception as fault:  # nor does a disk that fails end the thread
            self._failed("fetch", fault)
            return False
        if found is None or self.pinned not in (None, found[1].manifest.revision):
            return False
        folder, good = found
        return self._hand_over(Live(folder, good.manifest, good.promoted))

    def poll(self) -> bool:
        """Look at HEAD once, and swap if it moved; whether it did."""
        self.last_poll = time.time()
        try:
            self._opened = self._opened or open_store(self.store)
            self.wanted = self.pinned or self._head(self._opened)
        except Exception as fault:  # whatever a client library raises, the thread goes on
            self._misses += 1
            self._failed("head", fault)
            return False
        self._misses = 0
        if self.live and self.live.revision == self.wanted:
            self._note(self.live)
            return False
        if self._refused == self.wanted and time.monotonic() < self._until:
            self.fault = self._why
            return False
        try:
            live = self._fetch(self._opened, self.wanted)
        except Exception as fault:
            self._failed("fetch", fault)
            self._refuse(self.wanted)
            return False
        if not self._hand_over(live):
            self._refuse(self.wanted)
            return False
        self._note(live)
        return True

    def health(self) -> dict[str, object]:
        """How it stands, as JSON values; `fault` is None while all is well."""
        live, fault = self.live, self.fault
        return {
            "name": self.name,
            "store": self.store,
            "revision": live.revision if live else None,
            "wanted": self.wanted,
            "promoted": live.promoted if live else None,
            "training_window": live.manifest.training_window if live else None,
            "last_poll": _iso(self.last_poll),
            "last_success": _iso(self.last_success),
            "last_error": vars(self.last_fault) if self.last_fault else None,
            "fault": fault.sentence if fault else None,
            "swaps": self.swaps,
            "faults": sum(self.faults.values()),
        }

    def _run(self) -> None:
        if not self.live:
            self.restore()
        while not self._stopping.is_set():
            self.poll()
            self._stopping.wait(self._pause() * self._random.uniform(1 - JITTER, 1 + JITTER))

    def _pause(self) -> float:
        """Seconds until the next look: sooner after a fault than `every`, and never more often."""
        every = self.every.total_seconds()
        if self._misses:
            return min(every, _backoff(self._misses))
        if self._refused == self.wanted and self._refused is not None:
            return min(every, max(self._until - time.monotonic(), 0.1))
        return every

    def _head(self, store: ModelStore) -> int:
        head = store.head(self.name)
        if head is None:
            raise SetlistError(
                f"store {self.store}: nothing is live under {self.name} yet; run the pipeline, or "
                "promote a staged revision."
            )
        return head.live

    def _fetch(self, store: ModelStore, revision: int) -> Live:
        manifest = store.manifest(self.name, revision)
        folder = self._kept.fetch(store, manifest)
        when = [one.when for one in store.history(self.name) if one.revision == revision]
        return Live(folder, manifest, when[-1] if when else "")

    def _hand_over(self, live: Live) -> bool:
        try:
            self._on_change(live.revision, live.folder)
        except Exception as fault:  # a callback is anybody's code
            self._failed("hand over", fault)
            return False
        before, self.live = self.live, live
        self.swaps += 1
        self._keep = {live.revision, before.revision if before else live.revision}
        self._noted = False
        return True

    def _note(self, live: Live) -> None:
        """Remember what is in use for a restart, at every look until that succeeds."""
        if not self._noted:
            try:
                self._kept.remember(live.manifest, live.promoted)
                self._kept.sweep(self._keep)
            except OSError as fault:
                self._failed("hand over", fault)
                return
            self._noted = True
        self._well()

    def _refuse(self, revision: int) -> None:
        """Leave a revision that failed alone for a while: longer, the more often it failed."""
        self._refusals = self._refusals + 1 if self._refused == revision else 1
        longest = max(self.every.total_seconds(), LONGEST_RETRY)
        pause = min(longest, _backoff(self._refusals))
        self._refused, self._until, self._why = revision, time.monotonic() + pause, self.fault

    def _failed(self, stage: Stage, fault: Exception) -> None:
        said = str(fault) if isinstance(fault, SetlistError) else f"{type(fault).__name__}: {fault}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        told = self.fault
        self.fault = self.last_fault = Fault(stage, said, now)
        self.faults[stage] += 1
        if told is None or told.sentence != said:
            print(f"{self.name}: {said}", flush=True)

    def _well(self) -> None:
        if self.fault:
            print(f"{self.name}: all is well again", flush=True)
        self.fault, self.last_success = None, time.time()
        self._refused, self._refusals = None, 0


def _backoff(failures: int) -> float:
    """Seconds; limited, as a float has an end and the failures of weeks have none."""
    return FIRST_RETRY * 2.0 ** min(failures - 1, 30)


def _iso(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
