"""What the process of every step does first.

In a pod, the entry point is the executor of kfp, which runs the bare source of a step. So each step
calls `begin_step` in its first line.
"""

import atexit
import os
import threading
from collections.abc import Callable

from setlist.memory import MemoryUse, memory_use
from setlist.printable import plain_output
from setlist.termination import RUN_VARIABLE, explain_exit

NEAR_SHARE = 0.9
"""Of the memory, from which a step says that it nears the end."""
POLL_SECONDS = 1.0
ON_ENGINE = ("curate", "check-data", "transform", "transform-whole", "fit-heuristics")
"""Steps that hold tables in DuckDB; the others hold what `transform` wrote."""


def begin_step(step: str) -> None:
    """Print only what a log can show, explain how this process ends, and warn before its memory.

    Args:
        step: its name in the settings, such as fit-heuristics.
    """
    plain_output()
    explain_exit(keep=_keeper(step))
    watch_memory(step)


def _keeper(step: str) -> Callable[[BaseException], None] | None:
    """What writes the exception that ends this step into the store of its run."""
    if not os.environ.get(RUN_VARIABLE):
        return None

    def keep(fault: BaseException) -> None:
        # Not before it is needed: the store takes its time to import.
        from setlist.runs.step_failure import keep_failure

        keep_failure(step, fault)

    return keep


def watch_memory(step: str, limit: int | None = None, poll_seconds: float = POLL_SECONDS) -> None:
    """Print one sentence when this process nears its limit of memory; a thread looks each second.

    The kernel kills a process at its limit without a word. The thread ends after the sentence, with
    the process, or where the system does not say how much memory is used. A look takes some 0.1 ms.

    Args:
        step: its name in the settings.
        limit: bytes, in place of the limit of the pod.
        poll_seconds: between two looks.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(poll_seconds):
            try:
                use = memory_use(limit)
            except (OSError, ValueError, LookupError, ZeroDivisionError):
                return
            if use.share >= NEAR_SHARE:
                print(describe_use(step, use), flush=True)
                return

    watcher = threading.Thread(target=watch, name="memory", daemon=True)
    watcher.start()

    def end() -> None:
        ended.set()
        watcher.join()

    # A thread that prints while the interpreter shuts down can abort the process.
    atexit.register(end)


def describe_use(step: str, use: MemoryUse) -> str:
    """The sentence: what is used of what, and the settings that change it."""
    lower = "engine.memory" if step in ON_ENGINE else "window.train_days"
    used, limit = (f"{size / 1e9:.1f} GB" for size in (use.used, use.limit))
    if use.of_machine:
        return (
            f"warning: {step} uses {used} of the {limit} that this machine has for it, and may be "
            f"killed; lower {lower}, or use a larger machine."
        )
    return (
        f"warning: {step} uses {used} of its limit of {limit}, and is killed beyond it; raise "
        f"platform.steps.{step}.memory_limit, or lower {lower}."
    )
