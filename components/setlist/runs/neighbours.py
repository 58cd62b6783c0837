"""The reports that stand beside that of a run: of what is live, and of the run before."""

import sys

from setlist.errors import StoreError, StoreNotFoundError
from setlist.evaluation.verdict import Verdict
from setlist.printable import one_line
from setlist.runs.record import RunRecord
from setlist.store.kept_report import REPORT_SHA256, Neighbour, revision_path
from setlist.store.reader import StoreReader, open_reader

MOST_RECORDS = 20
"""So many of the newest are looked at; a schedule may have run as often without new data."""


def read_neighbours(store: str, name: str, run_id: str, verdict: Verdict) -> list[Neighbour]:
    """The reports beside that of a run which has come to a verdict.

    A store that cannot be read is a printed line: the report is written without them.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        run_id: of the run.
        verdict: its own.
    """
    try:
        models = open_reader(store, new=True)
        neighbours = [_live(models, name, verdict.head.live)] if verdict.head else []
        before = _run_before(models, name, run_id)
    except StoreError as fault:
        print(one_line(f"the report names no others: {fault}"), file=sys.stderr, flush=True)
        return []
    return [*neighbours, *([before] if before else [])]


def _live(models: StoreReader, name: str, revision: int) -> Neighbour:
    """What was live when the run was planned, whatever is live by now."""
    try:
        manifest = models.manifest(name, revision)
    except StoreNotFoundError:
        return Neighbour("live before", f"revision {revision}, which is pruned")
    path = revision_path(revision) if REPORT_SHA256 in manifest.metadata else ""
    return Neighbour("live before", f"revision {revision} of run {manifest.run_id}", path)


def _run_before(models: StoreReader, name: str, run_id: str) -> Neighbour | None:
    """The last run that came to a verdict."""
    for record in RunRecord.before(models.objects, name, run_id, MOST_RECORDS):
        if record.verdict:
            return Neighbour("run before", f"{record.run_id}, {record.outcome}", record.report_path)
    return None
