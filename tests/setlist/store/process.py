"""Another process at work on a store."""

import json
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """Another process with the store open, which does as it is told, one JSON line at a time."""

    def __init__(self, uri: str, die_after: int | None = None) -> None:
        command = [
            sys.executable,
            str(WORKER),
            uri,
            *([] if die_after is None else [str(die_after)]),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, order: dict[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"died": self.process.wait(timeout=PATIENCE)}

    def stop(self) -> None:
        self.process.communicate(timeout=PATIENCE)
