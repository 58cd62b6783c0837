"""A process of its own that works on a store: `worker.py URI [DIE_AFTER]`, orders on stdin.

With DIE_AFTER it is killed, as by the kernel, right after that many changes to the store.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.errors import SetlistError
from components.store.objects import Objects, open_objects
from components.store.store import Head, ModelStore


class Mortal:
    """Objects whose process dies after a number of changes."""

    def __init__(self, objects: Objects, changes: int) -> None:
        self.uri, self.keys, self.read, self.download = (
            objects.uri,
            objects.keys,
            objects.read,
            objects.download,
        )
        self._objects, self._left = objects, changes

    def write(self, key: str, content: bytes, *, expected: str | None) -> str | None:
        self._live()
        return self._objects.write(key, content, expected=expected)

    def upload(self, source: Path, key: str) -> None:
        self._live()
        self._objects.upload(source, key)

    def _live(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def obey(store: ModelStore, order: dict[str, Any]) -> dict[str, object]:
    while time.time() < order.pop("at", 0.0):
        pass
    do, name = order.pop("do"), order.pop("name", "")
    try:
        if do == "wake":
            return {}
        if do == "stage":
            return {"revision": store.stage(name, Path(order.pop("model")), **order)}
        expected = order["expected"] and Head(**order["expected"])
        return {"head": asdict(store.promote(name, order["revision"], expected=expected))}
    except SetlistError as fault:
        return {"fault": str(fault)}


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
