"""Messages survive the way there and back; what is no message is refused, also in drips."""

import json
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from setlist.models.worker import frames
from setlist.models.worker.frames import FrameError, Message

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ARRAYS = st.one_of(
    *(
        arrays(kind, array_shapes(min_dims=0, min_side=0), elements={"allow_nan": False})
        if kind == "<f4"
        else arrays(kind, array_shapes(min_dims=0, min_side=0))
        for kind in frames.TYPES
    )
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(
    st.dictionaries(st.text().filter(lambda key: key != "arrays"), VALUES),
    st.dictionaries(st.text(), ARRAYS, max_size=3),
)
def test_what_is_packed_is_unpacked(head, content):
    packed = frames.pack(Message(head, content))
    size, body = frames.sizes(packed[: frames.SIZES.size])
    start = frames.SIZES.size
    found = frames.unpack(packed[start : start + size], packed[start + size :])
    assert len(packed) == start + size + body
    assert found.head == head
    assert found.arrays.keys() == content.keys()
    for name, array in content.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"no json", b""),
        (b"[]", b""),
        (b"[" * 100_000, b""),
        (b"\xff", b""),
        (b"{}", b"more"),
        (json.dumps({"arrays": [["a", "<i4", [3]]]}).encode(), b"\0" * 8),
        (json.dumps({"arrays": [["a", "<i4", [-1]]]}).encode(), b"\0" * 8),
        (json.dumps({"arrays": [["a", "<i4", [2.0]]]}).encode(), b"\0" * 8),
        (json.dumps({"arrays": [["a", "<i4", [2**40, 2**40]]]}).encode(), b"\0" * 8),
        (json.dumps({"arrays": [["a", "|O", [1]]]}).encode(), b"\0" * 8),
        (json.dumps({"arrays": [["a", "<i4"]]}).encode(), b"\0" * 8),
        (json.dumps({"arrays": 7}).encode(), b""),
        (json.dumps({"arrays": [[[], "<i4", [2]]]}).encode(), b"\0" * 8),
    ],
)
def test_what_is_no_message_is_refused(head, body):
    with pytest.raises(FrameError):
        frames.unpack(head, body)


def test_a_message_that_is_too_large_is_refused_before_it_is_read(pair):
    ours, theirs = pair
    theirs.sendall(frames.SIZES.pack(2, 1 << 40))
    with pytest.raises(FrameError, match="bytes, where"):
        frames.receive(ours)


def test_one_byte_now_and_then_does_not_pass_the_deadline(pair):
    ours, theirs = pair
    ended = threading.Event()

    def drip():
        packed = frames.pack(Message({"text": "x" * 10_000}))
        for byte in packed:
            if ended.wait(0.02):
                return
            theirs.sendall(bytes([byte]))

    dripping = threading.Thread(target=drip)
    dripping.start()
    with pytest.raises(TimeoutError):
        frames.receive(ours, time.monotonic() + 0.3)
    assert dripping.is_alive(), "it goes on for minutes"
    ended.set()
    dripping.join()


def test_who_does_not_read_does_not_hold_the_sender(pair):
    ours, _ = pair
    with pytest.raises(TimeoutError):
        frames.send(ours, Message({"text": "x" * (8 << 20)}), time.monotonic() + 0.3)


def test_the_end_of_the_other_side_is_an_end(pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(EOFError):
        frames.receive(ours)
