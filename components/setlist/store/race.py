"""A write that others were faster at is tried again, but not without end."""

import random
import time

from setlist.errors import StoreConflictError

ATTEMPTS = 20
"""Of several writers at once one succeeds, so with 20 of them the last one is still written."""
LONGEST_PAUSE_SECONDS = 1.0
"""A bucket takes about one write a second of one object."""


class Race:
    """Counts the attempts of one write, with a pause of random length between them."""

    def __init__(self, target: str) -> None:
        """Begin with the first attempt.

        Args:
            target: what is written, such as "store /x: home/HEAD".
        """
        self._target, self._lost = target, 0

    def lost(self) -> None:
        """Wait before the next attempt.

        Raises:
            StoreConflictError: this was the last one.
        """
        self._lost += 1
        if self._lost == ATTEMPTS:
            raise StoreConflictError(
                f"{self._target} was written by others each of {ATTEMPTS} times that this tried",
                "try again when they have ended",
            )
        # Short at first: most races have two runners.
        longest = min(0.01 * 2**self._lost, LONGEST_PAUSE_SECONDS)
        time.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
