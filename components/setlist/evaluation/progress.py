"""Progress of a long computation, as lines that the terminal turns into a bar."""

import time

QUIET_SECONDS = 2.0
"""What takes no longer prints nothing."""
LINE_SECONDS = 1.0


class Progress:
    """Prints a line such as "34% intervals, 12 s left" each second, after the first two.

    >>> progress = Progress("intervals", 100)
    >>> progress.add(100)  # soon enough: nothing is printed
    """

    def __init__(self, subject: str, total: float) -> None:
        """Start the clock.

        Args:
            subject: what is computed.
            total: how much work there is, in any unit.
        """
        self._subject, self._total, self._done = subject, total, 0.0
        self._began = time.monotonic()
        self._next_line = self._began + QUIET_SECONDS

    def add(self, work: float) -> None:
        """Count so much more work as done."""
        self._done += work
        now = time.monotonic()
        if now < self._next_line or self._done >= self._total:
            return
        self._next_line = now + LINE_SECONDS
        left = (now - self._began) * (self._total - self._done) / self._done
        print(
            f"{100 * self._done / self._total:.0f}% {self._subject}, {left:.0f} s left", flush=True
        )
