"""What a worker gives up before it loads a model: credentials, the network, files, memory.

The check of the graph (`setlist.models.graph_check`) is the first defence. These limits are for
what passes it.
"""

import ctypes
import math
import os
import resource
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

KEPT_VARIABLES = (
    "PATH", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH",
    "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
KEPT_PREFIXES = ("LC_", "TF_", "OMP_", "OPENBLAS_", "MKL_", "NVIDIA_")
"""Variables of the environment that a worker has; no others, since tokens stand in variables."""
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
"""The flags of `unshare`, in Linux."""
OPEN_FILES = 256
NO_NEW_PRIVILEGES = 38
"""The option of `prctl`, in Linux."""
CREATE_RULESET, RESTRICT_SELF = 444, 446
"""The system calls of Landlock, which have these numbers on every processor."""
CHANGES = sum(1 << bit for bit in (1, *range(4, 13)))
"""The rights of Landlock to write, to make and to remove what is in a file system."""
TRUNCATE, TRUNCATE_VERSION = 1 << 14, 3
"""The right to shorten a file, and the version of Landlock that knows it."""
MEMORY_FLOOR = 1 << 30
MEMORY_PER_FILE_BYTE = 6
"""A model holds its files once, and a copy of some of them while it loads. A batch of a thousand
listeners holds blocks of scores, each of 64 MiB, beside it."""
RESERVED = 2 << 30
"""Of its address space TensorFlow reserves so much that it does not use."""
OUT_OF_MEMORY_CODE = 76
"""The exit code of a worker that used more than it may."""
WATCH_SECONDS = 0.05


class Limits(BaseModel):
    """How much a worker may use.

    Attributes:
        memory: bytes that it may have beside TensorFlow itself, or more where its models are large.
        processor_seconds: of all its threads, from one loaded model to the next; None: as many as
            it likes.
        niceness: of its priority, 0 to 19.
    """

    model_config = ConfigDict(frozen=True)

    memory: int = MEMORY_FLOOR
    processor_seconds: int | None = None
    niceness: int = 0


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of the environment that a worker gets."""
    return {
        name: value
        for name, value in variables.items()
        if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }


def leave_network() -> str:
    """Move this process into a network namespace of its own, which reaches nothing.

    The process must not have other threads yet.

    Returns:
        "" when it was done, or why it was not, such as where a container forbids it.
    """
    try:
        library = ctypes.CDLL(None, use_errno=True)
        done = library.unshare(NEW_USER | NEW_NETWORK) == 0
    except (OSError, AttributeError) as fault:
        return f"this system has no network namespaces ({fault})"
    return (
        ""
        if done
        else f"the kernel refuses a network namespace ({os.strerror(ctypes.get_errno())})"
    )


def refuse_writes() -> str:
    """Give up the right to write, make or remove a file, for this process and all that it starts.

    Returns:
        "" when it was done, or why it was not.
    """
    try:
        library = ctypes.CDLL(None, use_errno=True)
        version = library.syscall(CREATE_RULESET, None, 0, 1)
        rights = CHANGES | (TRUNCATE if version >= TRUNCATE_VERSION else 0)
        ruleset = library.syscall(CREATE_RULESET, struct.pack("Q", rights), 8, 0)
        if ruleset < 0:
            return f"the kernel has no Landlock ({os.strerror(ctypes.get_errno())})"
        # No path is added to the rules, so the rights are given up everywhere.
        library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        done = library.syscall(RESTRICT_SELF, ruleset, 0) == 0
        os.close(ruleset)
    except (OSError, AttributeError) as fault:
        return f"this system has no Landlock ({fault})"
    return "" if done else f"Landlock is refused ({os.strerror(ctypes.get_errno())})"


def limit_process(limits: Limits) -> None:
    """Set what does not depend on the model: priority, open files."""
    os.nice(limits.niceness)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)


def limit_processor(limits: Limits) -> None:
    """Bound the processor time of this process from here on; SIGXCPU ends it there."""
    if limits.processor_seconds is not None:
        # The soft limit only, which is set anew for the next model.
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        seconds = math.ceil(time.process_time()) + limits.processor_seconds
        seconds = seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def allowed_memory(limits: Limits, models: Iterable[Path]) -> int:
    """Bytes that a worker may have beside TensorFlow itself while it holds these folders."""
    files = sum(
        path.stat().st_size for model in models for path in model.rglob("*") if path.is_file()
    )
    return max(limits.memory, MEMORY_PER_FILE_BYTE * files)


class Watch:
    """A thread that ends this process when its parent is gone, or when it uses too much memory.

    It works though a call of the model does not come back. A jump of memory between two looks is
    bounded by the limit of the address space, which is less exact.
    """

    def __init__(self, parent: int) -> None:
        """Begin to watch the parent."""
        self._parent = parent
        self._most: float = float("inf")
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def limit_memory(self, memory: int, baseline: int) -> None:
        """Bound the memory of the process from here on.

        Args:
            memory: bytes for its models and what they compute, from `allowed_memory`.
            baseline: `used_memory` before any model was loaded.
        """
        self._most = baseline + memory
        # The soft limit only: with the next model it may be a larger one.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (int(self._most) + RESERVED, hard))

    def _run(self) -> None:
        while os.getppid() == self._parent:
            if used_memory() > self._most:
                os._exit(OUT_OF_MEMORY_CODE)
            time.sleep(WATCH_SECONDS)
        os._exit(1)


def used_memory() -> int:
    """Bytes of memory that belong to this process alone; 0 where the system does not say."""
    try:
        fields = Path("/proc/self/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _lower(kind: int, value: int) -> None:
    """Lower a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
