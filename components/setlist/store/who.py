"""When, and who."""

import getpass
import os
import socket
from datetime import UTC, datetime


def now() -> str:
    """The present moment, UTC, ISO."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_person() -> str:
    """Who acts: SETLIST_WHO, else account@machine; in a pod the machine is the pod."""
    if said := os.environ.get("SETLIST_WHO", "").strip():
        return said
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        account = f"uid {os.getuid()}"
    return f"{account}@{socket.gethostname()}"
