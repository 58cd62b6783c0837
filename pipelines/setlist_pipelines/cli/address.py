"""An address that a command listens at."""

import socket

from setlist.errors import SettingsError


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address; the caller closes it.

    Raises:
        SettingsError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio leaves Nagle's algorithm on, and responses wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise SettingsError(
            f"{host}:{port}: cannot listen there ({fault.strerror or fault})", "name another"
        ) from fault
    return listener
