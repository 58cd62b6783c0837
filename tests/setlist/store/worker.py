"""A process of its own that works on a store: `worker.py URI [DIE_AFTER]`, orders on stdin.

With DIE_AFTER it is killed, as by the kernel, right after that many changes to the store.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from setlist.errors import SetlistError
from setlist.store.folder import ByteCallback, ignore_bytes
from setlist.store.model_store import Head, ModelStore
from setlist.store.objects import Objects, open_objects
from setlist.store.retention import prune


class Mortal:
    """Objects whose process dies after a number of changes; they come one after the other."""

    def __init__(self, objects: Objects, changes: int) -> None:
        self.uri, self.keys, self.entries = objects.uri, objects.keys, objects.entries
        self.read, self.download = objects.read, objects.download
        self.holds, self.sweep = objects.holds, objects.sweep
        self._objects, self._left = objects, changes
        self._lock = threading.Lock()

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        with self._change():
            return self._objects.write(key, content, expected=expected)

    def upload(self, source: Path, key: str, report: ByteCallback = ignore_bytes) -> None:
        with self._change():
            self._objects.upload(source, key, report)

    def remove(self, key: str) -> None:
        with self._change():
            self._objects.remove(key)

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._lock:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            yield


def obey(store: ModelStore, order: dict[str, Any]) -> dict[str, object]:
    while time.time() < order.pop("at", 0.0):
        pass
    do, name = order.pop("do"), order.pop("name", "")
    try:
        if do == "wake":
            return {}
        if do == "stage":
            return {"revision": store.stage(name, Path(order.pop("model")), **order)}
        if do == "prune":
            return {"pruned": prune(store, name, order["keep"], lambda _: None).revisions}
        if do == "push":
            return push(store, name, order)
        expected = order["expected"] and Head(**order["expected"])
        return {"head": asdict(store.promote(name, order["revision"], expected=expected))}
    except SetlistError as fault:
        return {"fault": str(fault)}


def push(store: ModelStore, name: str, order: dict[str, Any]) -> dict[str, object]:
    """Stage with a card and promote; the revision is told also where it did not go live."""
    expected = order.pop("expected")
    revision = store.stage(
        name, Path(order.pop("model")), card=lambda number: f"# {name}, {number}\n", **order
    )
    try:
        store.promote(name, revision, expected=expected and Head(**expected))
    except SetlistError as fault:
        return {"revision": revision, "fault": str(fault)}
    return {"revision": revision, "live": True}


def main() -> None:
    objects = open_objects(sys.argv[1])
    if len(sys.argv) > 2:
        objects = Mortal(objects, int(sys.argv[2]))
    store = ModelStore(objects)
    for line in sys.stdin:
        say(json.dumps(obey(store, json.loads(line))))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
