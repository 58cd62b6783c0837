"""Where tables, stores and logs may lie: the rules by which an address is accepted.

Each check returns the address unchanged, and raises ValueError with the remedy in its message: they
are validators of settings, and nothing is opened here.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from setlist.section import text_fault

REMOTE_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
"""The start of an address that is no local path. One slash is enough: gs:/bucket is a mistyped
address, and a folder called "gs:" would hide the mistake."""
BUCKET = re.compile(r"gs://[a-z0-9]([a-z0-9._-]{0,220}[a-z0-9])?(/(?P<prefix>.*))?")
BIGQUERY = re.compile(r"bigquery://[\w.:-]+\.\w+\.[\w -]+")
SAMPLE = re.compile(
    r"sample://(events|playlists|listeners)"
    r"(\?(seed=[0-9]{1,9}|planted=(none|one_region))(&(seed=[0-9]{1,9}|planted=(none|one_region)))?)?"
)
MOST_OBJECT_BYTES = 1_024
"""The longest name of an object in a bucket, in UTF-8."""
MOST_PATH_BYTES, MOST_PART_BYTES = 4_095, 255
"""The longest path of Linux, and the longest name in it."""


def checked_place(address: str) -> str:
    """The address of a store or a log: a local folder or gs://bucket/prefix.

    Raises:
        ValueError: it is none.
    """
    if address.startswith("gs://"):
        return _bucket(address)
    if REMOTE_PATH.match(address):
        raise ValueError(
            f"{address[:100]!r} is no place for it; write a local folder or gs://bucket/prefix"
        )
    return _local(address)


def checked_table(path: str) -> str:
    """The path of a table: local, gs://, bigquery:// or sample://.

    Raises:
        ValueError: it is none.
    """
    if path.startswith("gs://"):
        return _bucket(path)
    for scheme, pattern, form in (
        ("bigquery://", BIGQUERY, "bigquery://project.dataset.table"),
        (
            "sample://",
            SAMPLE,
            "sample:// and events, playlists or listeners, with or without "
            "?seed=7&planted=one_region",
        ),
    ):
        if path.startswith(scheme):
            if not pattern.fullmatch(path):
                raise ValueError(f"there is no table {path[:100]!r}; write {form}")
            return path
    if REMOTE_PATH.match(path):
        raise ValueError(
            f"{path[:100]!r} cannot be read; give a local path, gs://, bigquery:// or sample://"
        )
    return _local(path)


def _bucket(address: str) -> str:
    match = BUCKET.fullmatch(address)
    if not match:
        raise ValueError(
            f"{address[:100]!r} names no bucket; write gs://bucket/prefix, the bucket in "
            "lower-case letters, digits, dots and hyphens"
        )
    if len((match["prefix"] or "").encode("utf-8", "replace")) > MOST_OBJECT_BYTES:
        raise ValueError(
            f"{address[:100]!r}... is longer than the name of an object may be "
            f"({MOST_OBJECT_BYTES:,} bytes); choose a shorter prefix"
        )
    if sentence := folders_fault(address):
        raise ValueError(sentence)
    return address


def folders_fault(address: str) -> str:
    """What is wrong with the folders of an address with a scheme, and the remedy; "" for nothing.

    Names in a bucket are only text, but what reads an address on its way takes folders like `..`
    out of it, and then it is that of another place. One slash may stand at the end.
    """
    folders = address.partition("://")[2].removesuffix("/").split("/")[1:]
    for folder in folders:
        if folder in ("", ".", ".."):
            fault = f"a folder that is called {folder!r}" if folder else "an empty folder"
            return f"{address[:100]!r} has {fault}; write the whole path, as in gs://bucket/a/b"
    return ""


def _local(path: str) -> str:
    if not path:
        raise ValueError("the path is empty; write a path")
    if sentence := text_fault(path):
        raise ValueError(sentence)
    try:
        longest = max(map(len, map(os.fsencode, PurePosixPath(path).parts)), default=0)
        expanded = os.fsencode(Path(path).expanduser())
    except UnicodeEncodeError as fault:
        raise ValueError(
            f"{path[:100]!r} cannot be written in the encoding of this system's files; set "
            "LC_ALL=C.UTF-8, or rename it"
        ) from fault
    except RuntimeError as fault:
        raise ValueError(
            f"{path[:100]!r}: there is no such user, or it has no home folder; write the whole path"
        ) from fault
    if longest > MOST_PART_BYTES or len(expanded) > MOST_PATH_BYTES:
        raise ValueError(
            f"{path[:60]!r}... is longer than a path may be ({MOST_PATH_BYTES:,} bytes, "
            f"{MOST_PART_BYTES} in each name); choose a shorter one"
        )
    return path


Place = Annotated[str, AfterValidator(checked_place)]
