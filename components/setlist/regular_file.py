"""A file that somebody names, opened so that it cannot hold the reader up."""

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read its bytes.

    A pipe waits for somebody who writes into it, and a device may have no end. Neither is opened
    for reading; nor is a folder.

    Raises:
        OSError: as of `Path.open`, or because it is no regular file.
    """
    # Without O_NONBLOCK, to open a pipe waits already.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is no regular file, but a folder, a pipe or a device")
    return os.fdopen(descriptor, "rb")
