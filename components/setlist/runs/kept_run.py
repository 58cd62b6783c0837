"""What a store knows of a run: its record, and where its report opens."""

from dataclasses import dataclass

from setlist.errors import StoreError, StoreNotFoundError
from setlist.runs.promotion import REFRESH_OF
from setlist.runs.record import MonitoringRecord, RunRecord
from setlist.store.kept_report import REPORT_SHA256, address, revision_path
from setlist.store.manifest import Manifest
from setlist.store.reader import StoreReader, open_reader


@dataclass(frozen=True)
class KeptRun:
    """A run, by what its store holds.

    Attributes:
        record: what came of it.
        report: what opens its report: an address, or a path; "" where none is kept.
        page: the report itself, verified; None where none is kept.
        staged: of a run that failed: the revision that it had staged before, whose report this is.
    """

    record: RunRecord | MonitoringRecord
    report: str
    page: bytes | None
    staged: int | None = None


def read_kept_run(store: str, name: str, run_id: str) -> KeptRun:
    """Look a run up in a store.

    Raises:
        StoreNotFoundError: the store has no record of it, and it promoted nothing.
        StoreDamagedError: the record or the report is damaged.
        StoreError: the store cannot be read.
    """
    models = open_reader(store)
    record = RunRecord.read(store, name, run_id)
    if record is None:
        missing = RunRecord.missing(models, name, ())
        record = next((each for each in missing if each.run_id == run_id), None)
    if record is None:
        if monitored := MonitoringRecord.read(store, name, run_id):
            return KeptRun(monitored, "", None)
        raise StoreNotFoundError(
            f"store {store}: there is no record of run {run_id} of {name}",
            "name another with --store and --name, or look for it with `setlist models history`",
        )
    if record.outcome == "failed" and (staged := _staged_by(models, name, run_id)) is not None:
        page = models.report(name, staged)
        key = f"{name}/{revision_path(staged)}"
        return KeptRun(record, address(models.uri, key), page, staged)
    page = record.report(models)
    report = address(models.uri, f"{name}/{record.report_path}") if page is not None else ""
    return KeptRun(record, report, page)


def _staged_by(models: StoreReader, name: str, run_id: str) -> int | None:
    """The revision with a report that a run has staged; None where there is none."""
    for revision, manifest in models.manifests(name).items():
        if isinstance(manifest, StoreError) or manifest.run_id != run_id:
            continue  # a revision that is damaged says of no run that it is its own
        if REPORT_SHA256 in manifest.metadata:
            return revision
    return None


def report_of_revision(store: StoreReader, manifest: Manifest) -> tuple[str, str]:
    """What opens the report of a revision, and a remark on it; the first is "" for none.

    A revision that only has newer items than another has the report of that one.
    """
    if REPORT_SHA256 in manifest.metadata:
        return address(store.uri, f"{manifest.name}/{revision_path(manifest.revision)}"), ""
    origin = manifest.metadata.get(REFRESH_OF)
    if isinstance(origin, int):
        try:
            report, _ = report_of_revision(store, store.manifest(manifest.name, origin))
        except StoreNotFoundError:
            return "", f"none of its own, and revision {origin}, whose items it renews, is pruned"
        return report, f"of revision {origin}, whose items it renews"
    return "", "none is kept: a former version pushed it, or no run of the pipeline"
