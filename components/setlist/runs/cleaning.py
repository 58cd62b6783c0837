"""Removes what runs leave behind in a store: it is safe beside running runs, and loses no model.

Every number and revision is decided by HEAD, see `setlist.store.retention`; checkpoints and
records go by their age.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from setlist.errors import SettingsError, StoreError
from setlist.runs.checkpoints import remove_old_checkpoints
from setlist.runs.promotion import anchor_of
from setlist.runs.record import MonitoringRecord, RunRecord, write_missing_records
from setlist.runs.step_failure import old_failures
from setlist.store.model_store import ModelStore, open_store
from setlist.store.reader import StoreReader
from setlist.store.retention import prune, remove_old_claims
from setlist.store.signing import KEY_VARIABLE

SHORTEST_RECORD_AGE = timedelta(days=30)
"""Records are what people look at when something went wrong; younger ones stay in any case."""


class Cleaned(NamedTuple):
    """What was removed, or would be.

    Attributes:
        leftovers: the numbers of revisions whose run died half-way.
        claims: keys of claims of numbers that have ended.
        checkpoints: keys of checkpoints of trainings that ended or died.
        failures: keys of what failed steps wrote for a record that was never written.
        records: keys of old records of runs, and of the reports beside them; where no age was
            given, none.
        uploads: how many half-written files killed uploads have left.
        made_up: the runs that promoted, and whose missing record was written.
    """

    leftovers: list[int]
    claims: list[str]
    checkpoints: list[str]
    failures: list[str]
    records: list[str]
    uploads: int
    made_up: list[str]

    def lines(self) -> list[str]:
        """What was removed or written, a line each; none where there was nothing to do."""
        records = sum(key.endswith(".json") for key in self.records)
        numbers = ", ".join(map(str, self.leftovers))
        return [
            line
            for line, number in (
                (f"half revisions: {numbers}", len(self.leftovers)),
                (f"claims of numbers that have ended: {len(self.claims):,}", len(self.claims)),
                (f"old checkpoints of trainings: {len(self.checkpoints):,}", len(self.checkpoints)),
                (f"old failures of steps: {len(self.failures):,}", len(self.failures)),
                (f"old records of runs: {records:,}", len(self.records)),
                (f"half-written files of killed uploads: {self.uploads:,}", self.uploads),
                (
                    f"records made up for runs that promoted: {len(self.made_up):,}",
                    len(self.made_up),
                ),
            )
            if number
        ]


def clean_store(
    store: ModelStore,
    name: str,
    *,
    records_age: timedelta | None = None,
    make_up: bool = True,
    dry_run: bool = False,
) -> Cleaned:
    """Remove what dead runs have left, of one name, and old checkpoints of the whole store.

    Where nothing is live, numbers and claims stay: there is no HEAD that could retire them.

    Args:
        store: the store, open for writing.
        name: of the model.
        records_age: remove records of runs and of monitoring that are older; None for none. Those
            of runs in the history of HEAD stay.
        make_up: write the missing records of runs that promoted.
        dry_run: report what would be removed, and remove and write nothing.

    Raises:
        SettingsError: the name is none, or the age is shorter than SHORTEST_RECORD_AGE.
        StoreDamagedError: a document that decides is damaged.
        StoreConflictError: others wrote HEAD each time.
        StoreError: the store cannot be read or written.
    """
    if records_age is not None and records_age < SHORTEST_RECORD_AGE:
        raise SettingsError(
            f"records are kept for {SHORTEST_RECORD_AGE.days} days at least",
            "give a longer age",
        )
    made_up: list[str] = []
    if make_up and not dry_run:
        made_up = [record.run_id for record in write_missing_records(store, name)]
    uploads = store.objects.sweep(dry_run=dry_run)
    checkpoints = remove_old_checkpoints(store.objects, dry_run=dry_run)
    failures = old_failures(store.objects, name, datetime.now(UTC) - SHORTEST_RECORD_AGE)
    for key in failures if not dry_run else []:
        store.objects.remove(key)
    records = _remove_old_records(store, name, records_age, dry_run=dry_run)
    # Last, because it writes HEAD, for which a signed store wants the key.
    leftovers: list[int] = []
    if store.read_pointer(name)[0]:
        leftovers = prune(store, name, None, anchor_of, dry_run=dry_run).leftovers
    claims = remove_old_claims(store, name, dry_run=dry_run)
    return Cleaned(leftovers, claims, checkpoints, failures, records, uploads, made_up)


def clean_after_run(store: str, name: str) -> None:
    """Clean the store at the end of a run, and print what went; a fault is printed, too.

    In a store whose HEAD is signed, what HEAD decides is cleaned by `clean_with_key`.
    """
    _clean_and_print(store, name)


def clean_with_key(store: str, name: str) -> None:
    """The same for the step that has the key, before the run has a record; without one, nothing."""
    if os.environ.get(KEY_VARIABLE):
        _clean_and_print(store, name, make_up=False)


def _clean_and_print(store: str, name: str, *, make_up: bool = True) -> None:
    try:
        cleaned = clean_store(open_store(store), name, make_up=make_up)
    except StoreError as fault:
        print(f"the store is not cleaned: {fault}", flush=True)
        return
    for line in cleaned.lines():
        print(f"cleaned: {line}", flush=True)


def old_records(store: StoreReader, name: str, age: timedelta) -> list[str]:
    """The keys of records that are older than an age, but not of runs in the history of HEAD."""
    oldest = datetime.now(UTC) - age
    remembered = {promotion.run_id for promotion in store.history(name)}
    return [
        entry.key
        for kind in (RunRecord, MonitoringRecord)
        for entry in store.objects.entries(f"{name}/{kind.folder}/")
        if entry.updated < oldest
        and entry.key not in {kind.key(name, run_id) for run_id in remembered}
    ]


def _remove_old_records(
    store: ModelStore, name: str, age: timedelta | None, *, dry_run: bool
) -> list[str]:
    keys = [] if age is None else old_records(store, name, age)
    for key in keys if not dry_run else []:
        store.objects.remove(key)
    return keys
