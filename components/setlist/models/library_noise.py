"""What TensorFlow and CUDA say whenever they start, which helps nobody who reads the screen.

As a program it copies standard input to standard error without those lines. It imports nothing of
this project, so that it starts in an instant.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

NOISE = re.compile(
    r"""
    \s*(
    WARNING:\ All\ log\ messages\ before\ absl::InitializeLog
    # Information and warnings of C++; a fatal error (F) and most errors (E) are no noise.
    | [IW]\d{4}\ \d\d:\d\d:\d+\.\d+\ +\d+\ [\w.]+:\d+\]
    | \d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d\.\d+:\ [IW]\b
    | To\ enable\ the\ following\ instructions:.*rebuild\ TensorFlow
    # Errors by their letter alone: another implementation is taken, or there is no GPU.
    | E\d{4}\ .*\](\ oneDNN\ supports\ .*\ only\ on|\ Unable\ to\ register\ cu\w+\ factory)
    | .*failed\ call\ to\ cuInit:.*(UNKNOWN\ ERROR\ \(303\)|CUDA_ERROR_NO_DEVICE|no\ CUDA-capable)
    )
    """,
    re.VERBOSE,
)
SIEVE_SECONDS = 5.0
"""To show the last lines takes milliseconds, unless something still holds standard error."""


def is_noise(line: str) -> bool:
    """Whether a line is one that no reader needs."""
    return NOISE.match(line) is not None


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave noise out of standard error while this block runs, also what C++ writes to it.

    Another process shows the rest, so that the last words of this one are shown if it crashes.
    """
    try:
        command = [sys.executable, "-I", "-S", __file__]
        sieve = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - this file
        before = os.dup(2)
    except OSError:  # as where no process may be started: the noise is the smaller evil
        yield
        return
    assert sieve.stdin is not None  # noqa: S101 - it is a pipe
    try:
        os.dup2(sieve.stdin.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        sieve.stdin.close()
        try:
            sieve.wait(SIEVE_SECONDS)
        except subprocess.TimeoutExpired:
            sieve.kill()
            sieve.wait()


def main() -> None:
    """Copy what is no noise, line by line."""
    for line in sys.stdin.buffer:
        if not is_noise(line.decode(errors="replace")):
            sys.stderr.buffer.write(line)
            sys.stderr.flush()


if __name__ == "__main__":
    main()
