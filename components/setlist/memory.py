"""How much memory this process may use, and how much it uses."""

import os
from pathlib import Path
from typing import NamedTuple

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")


class MemoryUse(NamedTuple):
    """Bytes that are used, of bytes that may be used; `of_machine` where no limit is lower."""

    used: int
    limit: int
    of_machine: bool

    @property
    def share(self) -> float:
        """Of the limit."""
        return self.used / self.limit


def memory_bytes() -> int:
    """The memory of this machine, or of this pod or container where that is less."""
    return min(_machine_bytes(), _cgroup_limit() or _machine_bytes())


def memory_use(limit: int | None = None) -> MemoryUse:
    """What is used of the memory that ends first: that of the pod or that of the machine.

    Of a pod or container all its processes count, without the cache of files, which the kernel
    gives back. On the machine itself this process counts, against what it holds and what is free.

    Args:
        limit: bytes, in place of the limit of the pod.

    Raises:
        OSError, ValueError, KeyError: this system does not say.
    """
    resident = int((PROC / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    free = _fields(PROC / "meminfo")["MemAvailable:"] * 1024
    uses = [MemoryUse(resident, resident + free, of_machine=True)]
    if limit is not None:
        uses.append(MemoryUse(resident, limit, of_machine=False))
    elif (lower := _cgroup_limit()) and lower < _machine_bytes():
        uses.append(MemoryUse(_cgroup_used(), lower, of_machine=False))
    return max(uses, key=lambda use: use.share)


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_limit() -> int | None:
    """The limit of this container, by version 2 or 1 of the kernel's control groups."""
    for path in (CGROUP / "memory.max", CGROUP / "memory/memory.limit_in_bytes"):
        if path.is_file() and (text := path.read_text().strip()).isdecimal():
            return int(text)
    return None


def _cgroup_used() -> int:
    """Bytes of the container's processes and of its shared memory."""
    if (CGROUP / "memory.stat").is_file():
        fields = _fields(CGROUP / "memory.stat")
        return fields["anon"] + fields["shmem"]
    fields = _fields(CGROUP / "memory/memory.stat")
    return fields["total_rss"] + fields.get("total_shmem", 0)  # younger than version 1


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of the kernel, by the first word of their line."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1}
