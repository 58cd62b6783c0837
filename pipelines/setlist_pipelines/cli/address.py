"""An address to listen at."""

import socket

from setlist.errors import SetlistError


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address; whoever asked closes it.

    Raises:
        SetlistError: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and answers wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise SetlistError(
            f"{host}:{port}: cannot listen there ({fault.strerror or fault}); name another."
        ) from fault
    return listener
