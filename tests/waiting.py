"""Waiting in tests: a deadline only ends what hangs, and a busy machine never comes near it."""

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds after which whatever is waited for is taken for lost."""


def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: when it does not hold in time.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come to that in {seconds:.0f} s"
        time.sleep(0.01)
