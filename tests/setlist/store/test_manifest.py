"""Documents survive the way to bytes and back, and nothing else is taken for one."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setlist.errors import SetlistError
from setlist.store.manifest import File, Manifest, Pin, Pointer, Promotion

HASH = "0" * 64
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
PATHS = (
    st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), min_size=1)
    .map("/".join)
    .filter(lambda path: path != "manifest.json")
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MANIFESTS = st.builds(
    Manifest,
    name=TEXT,
    revision=st.integers(1, 10**15 - 1),
    run_id=TEXT,
    created=TEXT,
    digest=TEXT,
    files=st.dictionaries(
        PATHS, st.builds(File, sha256=st.just(HASH), size=st.integers(0, 2**60)), min_size=1
    ),
    training_window=st.dictionaries(TEXT, TEXT, max_size=3),
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
)
POINTERS = st.builds(
    Pointer,
    name=TEXT,
    move=TEXT,
    live=st.integers(1, 99),
    live_manifest=st.just(HASH),
    previous=st.none() | st.integers(1, 99),
    previous_manifest=st.none() | st.just(HASH),
    promotions=st.lists(
        st.builds(
            Promotion,
            revision=st.integers(1, 99),
            when=TEXT,
            run_id=TEXT,
            who=TEXT,
            why=st.just("") | TEXT,
            action=st.sampled_from(["promote", "rollback"]),
        ),
        max_size=5,
    ),
    retired=st.lists(st.integers(1, 99), max_size=5),
    number=st.just(0) | st.integers(1, 99),
    origin=st.just("") | TEXT,
    floor=st.just(0) | st.integers(1, 99),
    kept=st.lists(st.integers(1, 99), max_size=5),
    pins=st.lists(
        st.builds(Pin, revision=st.integers(1, 99), who=TEXT, when=TEXT, why=TEXT), max_size=3
    ),
    live_verdict=st.just("") | st.just(HASH),
)


@settings(max_examples=50)
@given(MANIFESTS)
def test_a_manifest_survives_the_round_trip(manifest: Manifest):
    assert Manifest.parse(manifest.to_bytes(), "m") == manifest


@settings(max_examples=50)
@given(POINTERS)
def test_a_pointer_survives_the_round_trip(pointer: Pointer):
    assert Pointer.parse(pointer.to_bytes(), "p") == pointer


@settings(max_examples=50)
@given(st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_damaged(content: bytes):
    with pytest.raises(SetlistError, match=r"^home/HEAD is damaged \(.*\); restore it, or .*\.$"):
        Pointer.parse(content, "home/HEAD")


GOOD = {
    "name": "home",
    "revision": 1,
    "run_id": "run-1",
    "created": "2026-05-01T00:00:00+00:00",
    "digest": "d",
    "files": {"a": {"sha256": HASH, "size": 1}},
    "training_window": {},
    "metadata": {},
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"files": {}}, "files: Dictionary should have at least 1 item"),
        ({"files": {"a": {"sha256": "0", "size": 1}}}, "files.a.sha256: String should match"),
        ({"files": {"a": {"sha256": HASH, "size": -1}}}, "files.a.size: Input should be greater"),
        ({"revision": "1"}, "revision: Input should be a valid integer"),
        ({"revision": 0}, "revision: Input should be greater than or equal to 1"),
        ({"training_window": {"cut": 1}}, "training_window.cut: Input should be a valid string"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)
def test_the_key_at_fault_is_named(change: dict[str, object], sentence: str):
    with pytest.raises(SetlistError, match=rf"^m is damaged \({re.escape(sentence)}.*\)"):
        Manifest.parse(json.dumps(GOOD | change).encode(), "m")
    with pytest.raises(SetlistError, match=f"^m cannot be written: {re.escape(sentence)}"):
        Manifest.create("m", GOOD | change)
