"""What TensorFlow's C++ half writes to the screen itself, whatever it is told."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def chatter_to(file: TextIO) -> Iterator[None]:
    """Standard error of this process goes to the file, also where C++ writes it."""
    sys.stderr.flush()
    screen = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
