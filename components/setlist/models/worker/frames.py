"""Messages between a process and its worker: a JSON object and arrays of numbers, over a socket.

    12 bytes   the sizes of the two parts, big-endian: 4 bytes and 8 bytes
    head       a JSON object; "arrays" lists name, type and shape of each array
    body       the arrays, one after the other

No part of a message is run, and a message that is too large is refused before it is read. What a
worker sends is as little trusted as the model in it.
"""

import json
import math
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = struct.Struct(">IQ")
MAX_BYTES = 1 << 32
"""Of a message; whoever asks for more listeners than fit asks in parts."""
TYPES = ("<i4", "<i8", "<f4", "|u1")
PART = 1 << 20
"""Bytes that are read at a time."""

Array = npt.NDArray[Any]


class FrameError(Exception):
    """What arrived is no message; the worker at the other end is not used any more."""


@dataclass(frozen=True)
class Message:
    """A JSON object and named arrays."""

    head: dict[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)


def pack(message: Message) -> bytes:
    """The bytes of a message; `unpack` turns them back."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    described = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
    head = json.dumps(message.head | {"arrays": described} if arrays else message.head).encode()
    body = b"".join(array.tobytes() for array in arrays.values())
    return SIZES.pack(len(head), len(body)) + head + body


def sizes(header: bytes, most: int = MAX_BYTES) -> tuple[int, int]:
    """The sizes of head and body.

    Raises:
        FrameError: together they are more than `most`.
    """
    head, body = SIZES.unpack(header)
    if head + body > most:
        raise FrameError(f"a message of {head + body:,} bytes, where {most:,} are allowed")
    return head, body


def unpack(head: bytes, body: bytes) -> Message:
    """The message in the two parts.

    Raises:
        FrameError: they are none.
    """
    try:
        document = json.loads(head)
        described = document.pop("arrays", [])
        arrays, start = {}, 0
        for name, kind, shape in described:
            if kind not in TYPES or not all(type(side) is int and side >= 0 for side in shape):
                raise FrameError(f"an array of type {kind!r} and shape {shape!r}")
            number = math.prod(shape)
            arrays[name] = np.frombuffer(body, kind, number, start).reshape(shape)
            start += arrays[name].nbytes
        if start != len(body):
            raise FrameError("more bytes than its arrays have")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as fault:
        raise FrameError(f"no message ({type(fault).__name__})") from fault
    return Message(document, arrays)


def send(connection: socket.socket, message: Message, until: float = math.inf) -> None:
    """Send a message.

    Args:
        connection: a stream socket.
        message: to send.
        until: the deadline, as `time.monotonic` counts.

    Raises:
        TimeoutError: the deadline passed; part of the message may have been sent.
        OSError: the other end is gone.
    """
    connection.settimeout(_seconds_left(until))
    connection.sendall(pack(message))


def receive(connection: socket.socket, until: float = math.inf, most: int = MAX_BYTES) -> Message:
    """Wait for a message.

    Raises:
        TimeoutError: the deadline passed.
        EOFError: the other end is gone.
        FrameError: it is no message, or one of more than `most` bytes.
        OSError: the connection broke.
    """
    head, body = sizes(_read(connection, SIZES.size, until), most)
    return unpack(_read(connection, head, until), _read(connection, body, until))


def _read(connection: socket.socket, size: int, until: float) -> bytes:
    content = bytearray()
    while len(content) < size:
        # Set before every part: a peer that drips would pass a time limit of each part.
        connection.settimeout(_seconds_left(until))
        part = connection.recv(min(size - len(content), PART))
        if not part:
            raise EOFError("the other end is gone")
        content += part
    return bytes(content)


def _seconds_left(until: float) -> float | None:
    """Seconds to the deadline; None where there is none.

    Raises:
        TimeoutError: it has passed.
    """
    if until == math.inf:
        return None
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError
    return left
