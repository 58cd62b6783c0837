"""What a process costs: CPU seconds, wall seconds, memory and disk, with an end to each."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Cost:
    """What a process used, those that it started included."""

    cpu: float
    """Seconds."""
    wall: float
    """Seconds."""
    memory: float
    """The most that was resident at once, in gigabytes."""
    disk: float
    """The most that its folder grew, in gigabytes."""
    fault: str
    """Why it did not end well, in a sentence; "" where it did."""
    output: str


def measure(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    most_gb: float = float("inf"),
    most_cpu: float = float("inf"),
) -> Cost:
    """Run a command in a session of its own, and end it where it exceeds a bound.

    Args:
        command: to run.
        environment: of its variables.
        folder: whose growth is its disk.
        most_gb: of memory.
        most_cpu: seconds of CPU.
    """
    began, before = time.monotonic(), _size(folder)
    cpu = memory = disk = 0.0
    bound = ""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=errors, start_new_session=True
        )
        while True:
            # Not Popen.wait, which does not tell what the process used.
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            disk = max(disk, (_size(folder) - before) / 1e9)
            if ended:
                break
            now, held = _used_by_session(process.pid)
            cpu, memory = max(cpu, now), max(memory, held)
            if memory > most_gb:
                bound = f"ended at {most_gb:g} GB of memory"
            elif cpu > most_cpu:
                bound = f"ended at {most_cpu:,.0f} s of CPU"
            if bound:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        output.seek(0)
        last = (errors.read().strip().splitlines() or [""])[-1]
        return Cost(
            cpu=max(cpu, used.ru_utime + used.ru_stime),
            wall=time.monotonic() - began,
            memory=max(memory, used.ru_maxrss * 1024 / 1e9),
            disk=disk,
            fault=bound or (f"ended with {code}: {last[:300]}" if code else ""),
            output=output.read(),
        )


def _used_by_session(session: int) -> tuple[float, float]:
    """The CPU seconds and resident gigabytes of a session's live processes.

    The system counts a child for its parent only once the parent has waited for it, which Python
    never does for Spark's Java.
    """
    listed = subprocess.run(
        ["ps", "--sid", str(session), "-o", "cputimes=,rss="],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [[int(word) for word in line.split()] for line in listed.stdout.splitlines()]
    return sum(row[0] for row in rows), sum(row[1] for row in rows) * 1024 / 1e9


def _size(folder: Path) -> int:
    """Bytes on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue  # removed since it was listed
    return total
