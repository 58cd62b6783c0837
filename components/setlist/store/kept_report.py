"""The reports that a store keeps: where they lie, and what of a page is filled in when it is kept.

NAME/revisions/REVISION.report.html  of a revision, whose manifest has its SHA-256
NAME/runs/RUN.report.html            of a run that pushed nothing, whose record has its SHA-256

A report is written before the run pushes, so it cannot know its revision, nor where it will lie. It
leaves a place for the number, and names its neighbours by their paths below NAME.
"""

import hashlib
import html
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from setlist.printable import one_line
from setlist.store.objects import Objects
from setlist.store.race import Race
from setlist.store.sizes import REPORT_BYTES

REPORT_SHA256 = "report_sha256"
"""In the metadata of a revision: the SHA-256 of its report."""
REVISION_BEGIN, REVISION_END = "<!--revision-->", "<!--/revision-->"
"""Around what a page says of its revision. Text from outside cannot hold them: it is escaped."""
REVISION_PLACE = re.compile(f"{REVISION_BEGIN}.*?{REVISION_END}")
NEIGHBOUR = re.compile(r'<span data-report="([\w%.~/-]+)">(.*?)</span>', re.ASCII)
GOOGLE_PAGE = "https://storage.cloud.google.com/"
"""Where a browser opens an object of a bucket, for an account that may read it."""


@dataclass(frozen=True)
class Neighbour:
    """Another report of the same model, as a page names it.

    Attributes:
        relation: to the run of the page, such as "live before".
        title: of the run or revision.
        path: of its report below NAME in the store, as `revision_path` and `run_path` write it; ""
            where none is kept.
    """

    relation: str
    title: str
    path: str = ""


def revision_path(revision: int) -> str:
    """Where the report of a revision lies below NAME."""
    return f"revisions/{revision}.report.html"


def run_path(run_id: str) -> str:
    """Where the report of a run that pushed nothing lies below NAME; the id may be any text."""
    return f"runs/{quote(run_id, safe='')}.report.html"


def address(uri: str, key: str) -> str:
    """What opens an object of a store in a browser: an address, or the path in a local folder."""
    if uri.startswith("gs://"):
        return GOOGLE_PAGE + quote(f"{uri.removeprefix('gs://')}/{key}")
    return str(Path(uri).absolute() / key)


def page_base(uri: str, name: str) -> str:
    """What leads from a report in a store to the paths of its neighbours.

    A bucket's pages open elsewhere than they lie, so links in them are whole addresses.
    """
    return f"{address(uri, name)}/" if uri.startswith("gs://") else "../"


def with_revision(page: str, revision: int) -> str:
    """The page of a run that has pushed; a page without the place stays as it is."""
    place = f"{REVISION_BEGIN}{revision}{REVISION_END}"
    return REVISION_PLACE.sub(place, page, count=1)


def with_links(page: str, base: str) -> str:
    """The page with links to its neighbours, which are text in it otherwise.

    Args:
        page: as it was written.
        base: a URL, relative or whole, of the folder of the model's name; it ends with a slash.
    """
    start = html.escape(base, quote=True)
    return NEIGHBOUR.sub(lambda match: f'<a href="{start}{quote(match[1])}">{match[2]}</a>', page)


def fits(page: bytes, run_id: str) -> bool:
    """Whether a store takes a report; a line says where it does not.

    The run goes on without: no model stays away because a page about it is long.
    """
    if len(page) <= REPORT_BYTES:
        return True
    print(
        one_line(
            f"the report of {run_id} is not kept in the store: it has {len(page):,} bytes, and can "
            f"have {REPORT_BYTES:,} at most"
        ),
        flush=True,
    )
    return False


def write_over(objects: Objects, key: str, content: bytes) -> str:
    """Write a document over that of an interrupted attempt; return its SHA-256.

    Raises:
        StoreConflictError: others wrote it each time.
        StoreError: the store cannot be written.
    """
    race = Race(f"store {objects.uri}: {key}")
    while (stored := objects.read(key)) is None or stored[0] != content:
        if objects.write(key, content, expected=stored[1] if stored else None) is None:
            race.lost()
    return hashlib.sha256(content).hexdigest()
