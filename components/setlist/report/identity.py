"""Which run a page is about: its head, by which people find the run, its model and its neighbours.

The page is written before the run pushes. What it cannot know yet is filled in where the page is
kept; see `setlist.store.kept_report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from markupsafe import Markup

from setlist.evaluation.verdict import Verdict
from setlist.store.kept_report import REVISION_BEGIN, REVISION_END, Neighbour

NOT_PUSHED, NOT_YET_PUSHED = "not pushed", "not pushed yet"


@dataclass(frozen=True)
class Identity:
    """Of a run, as far as it is known.

    Attributes:
        name: of the model in the store; "" where there is none.
        run_id: of the run; "" for lists that somebody gave.
        store: a local folder or gs://bucket/prefix; "" for none.
        written: when the page was written, UTC; None leaves it out, for pages that are compared.
        neighbours: other reports of the model.
    """

    name: str = ""
    run_id: str = ""
    store: str = ""
    written: datetime | None = None
    neighbours: Sequence[Neighbour] = ()

    @property
    def version(self) -> str:
        """Of setlist."""
        return version("setlist")

    def revision(self, verdict: Verdict) -> Markup:
        """What is known of the revision, in the place where its number will stand."""
        words = NOT_YET_PUSHED if verdict.ships else NOT_PUSHED
        return Markup(f"{REVISION_BEGIN}{words}{REVISION_END}")  # noqa: S704 - our own words
