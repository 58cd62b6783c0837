"""The history of a model: the outcome and the values of every run, and the age of the live model.

There is one entry for each run or revision, and one for each promotion or rollback by a person.
All of it is read from the store: HEAD, the manifests, the records of runs, and the verdicts in
both. Sentences are untrusted text, which the pages escape.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

from pydantic import ValidationError

from setlist.errors import SetlistError, StoreError
from setlist.evaluation.verdict import Verdict
from setlist.explorer.live_age import LiveAge, instant, live_age
from setlist.runs.promotion import REFRESH_OF
from setlist.runs.record import PAGE_RECORDS, RecordPage, RunRecord
from setlist.store.files import Entry
from setlist.store.manifest import Manifest, Pointer
from setlist.store.reader import StoreReader, open_reader

HistoryOutcome = Literal[
    "promoted", "staged", "refused", "undecided", "failed", "nothing new", "promotion", "rollback"
]
"""The outcome of a run; `promotion` and `rollback` are what a person did."""
JUDGED: tuple[HistoryOutcome, ...] = ("promoted", "staged", "refused", "undecided")
KEPT_DOCUMENTS = 5 * PAGE_RECORDS
"""Of each kind, in memory: some 50 MB of records with a verdict."""
HeadPlace = Literal["live", "previous", ""]


@dataclass(frozen=True)
class HistoryEntry:
    """One line of the history.

    Attributes:
        when: UTC; when the run ended, the revision was staged, or the person acted.
        sentence: why the outcome is what it is.
        place: of the revision in HEAD today; "" for what a person did.
        who: the person; "" for a run.
        window: ISO text; the start, cut and end of the evaluation. Without an evaluation, the
            start and end of the revision's training data, or {}.
        verdict: on the run's own candidate; None if the gate gave none.
    """

    when: datetime
    outcome: HistoryOutcome
    run_id: str
    sentence: str
    revision: int | None = None
    place: HeadPlace = ""
    who: str = ""
    window: dict[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None

    def value(self, metric: str, role: str) -> tuple[str, float] | None:
        """The label of a model of the run's evaluation and its value; None if there is no value.

        Args:
            metric: such as "ndcg@10".
            role: candidate, live, anchor or heuristic. The heuristic is the best one by the
                primary metric of the gate, also if another metric is asked for.
        """
        if self.verdict is None:
            return None
        values, primary = self.verdict.values, self.verdict.primary
        labels = sorted(label for label, part in self.verdict.roles.items() if part == role)
        if role == "heuristic":
            labels = [label for label in labels if primary in values.get(label, {})]
            labels = [max(labels, key=lambda label: values[label][primary])] if labels else []
        for label in labels:
            if metric in values.get(label, {}):
                return label, values[label][metric]
        return None

    @property
    def judgement(self) -> str:
        """What the gate decided on the candidate: promoted, staged, refused, undecided or "".

        It differs from the outcome if a heuristic went live in the place of the candidate. It is
        "" if the gate gave no verdict.
        """
        if self.verdict is None:
            return ""
        if self.verdict.decision == "promote":
            return "staged" if self.verdict.mode == "manual" else "promoted"
        return "refused" if self.verdict.decision == "reject" else "undecided"

    @property
    def candidate_outcome(self) -> str:
        """The outcome for the candidate, also where a heuristic went live in its place."""
        instead = self.outcome in ("promoted", "staged") and self.verdict
        return self.judgement if instead and instead.ships_heuristic else self.outcome

    @property
    def goes_live(self) -> str:
        """What a judged run made live, such as "heuristic spectral"; "" for all other entries."""
        if self.verdict is None or self.outcome not in JUDGED:
            return ""
        if self.revision is None:
            return "nothing changes"
        words = self.verdict.live_words.removesuffix(", staged")
        return f"{words}, staged" if self.outcome == "staged" else words


@dataclass
class Kept:
    """What earlier looks at a store have read: documents that never change, by their listing."""

    records: dict[Entry, RunRecord] = field(default_factory=dict)
    manifests: dict[Entry, Manifest] = field(default_factory=dict)

    def read_manifests(
        self, models: StoreReader, name: str, part: RecordPage[RunRecord], pointer: Pointer | None
    ) -> dict[int, Manifest | StoreError]:
        """The manifests of the revisions of a page, and of those that HEAD names."""
        entries = models.manifest_entries(name)
        wanted = {record.revision for record in part.records}
        in_head = {pointer.live, pointer.previous} if pointer else set()
        # A run writes its manifest before its record; those without a record belong here as well.
        near = {
            revision
            for revision, entry in entries.items()
            if part.since < entry.updated <= part.until
        }
        shown = [each for each in entries if each in wanted | in_head | near]
        # Those of HEAD are read each time: HEAD says what their bytes have to be.
        new = [each for each in shown if each in in_head or entries[each] not in self.manifests]
        documents = models.manifests(name, new)
        for revision, document in documents.items():
            if isinstance(document, Manifest):
                self.manifests[entries[revision]] = document
        return {
            each: documents[each] if each in documents else self.manifests[entries[each]]
            for each in shown
        }

    def copy(self) -> "Kept":
        """The newest `KEPT_DOCUMENTS` of both, for one visitor."""
        newest = slice(-KEPT_DOCUMENTS, None)
        return Kept(
            dict(list(self.records.items())[newest]), dict(list(self.manifests.items())[newest])
        )


@dataclass(frozen=True)
class History:
    """The history of the model of one name.

    Attributes:
        entries: oldest first.
        live: None if no revision is live.
        faults: one sentence for each revision that cannot be read.
        pages: how many there are; the entries are those of one.
    """

    name: str
    entries: list[HistoryEntry]
    live: LiveAge | None
    faults: list[str]
    pages: int = 1

    @classmethod
    def read(
        cls, store: str, name: str, now: datetime, page: int = 0, kept: "Kept | None" = None
    ) -> Self:
        """Read a page of the history of a name, the newest runs of which are on page 0.

        A name that the store does not know has no entries.

        HEAD remembers the last 50 promotions: what persons did before is not in the history.

        Args:
            store: a local folder or gs://bucket/prefix.
            name: of the model in the store.
            now: the time, with its zone, from which ages are counted.
            page: which one.
            kept: what an earlier look has read; it is not read again.

        Raises:
            StoreError: when the store, HEAD or a record of a run cannot be read.
            DataError: when a date in a document is not a date.
        """
        models = open_reader(store, new=True)
        # Writers stage a revision, then write the record of the run and move HEAD. Read in the
        # reverse order, every revision that a document names is among the manifests.
        pointer, _ = models.read_pointer(name)
        kept = Kept() if kept is None else kept
        part = RunRecord.page(models, name, page, kept.records)
        made_up = [
            record
            for record in RunRecord.missing(models, name, part.runs)
            if part.since < instant(record.ended, f"{name}/HEAD: promotions.when") <= part.until
        ]
        records = [*part.records, *made_up]
        documents = kept.read_manifests(models, name, part, pointer)
        faults = [str(fault) for fault in documents.values() if isinstance(fault, SetlistError)]
        manifests = {
            manifest.revision: manifest
            for manifest in documents.values()
            if isinstance(manifest, Manifest)
        }
        verdicts: dict[int, Verdict] = {}
        for revision, manifest in manifests.items():
            try:
                if document := manifest.metadata.get("verdict"):
                    verdicts[revision] = Verdict.model_validate(document)
            except ValidationError:
                faults.append(
                    f"store {store}: the verdict in the manifest of {name} revision {revision} "
                    "cannot be read; stage the model again."
                )
        source = f"store {store}: {name}"
        recorded = {record.run_id for record in records}
        elsewhere = part.runs - recorded
        of_page = {
            revision: manifest
            for revision, manifest in manifests.items()
            if manifest.run_id not in elsewhere
        }
        entries = [
            entry
            for entry in _entries(source, records, of_page, verdicts, pointer)
            if (not entry.who and entry.run_id in recorded) or part.since < entry.when <= part.until
        ]
        live = None
        if pointer:
            manifest_and_verdict = manifests.get(pointer.live), verdicts.get(pointer.live)
            live = live_age(source, pointer, *manifest_and_verdict, now)
        entries.sort(key=lambda entry: entry.when)
        return cls(name, entries, live, faults, part.pages)

    @property
    def metrics(self) -> list[str]:
        """The metrics that any run has values of; the primary metric of the latest run is first."""
        verdicts = [entry.verdict for entry in reversed(self.entries) if entry.verdict]
        with_values = [verdict for verdict in verdicts if verdict.values]
        names = [
            metric
            for verdict in with_values
            for values in verdict.values.values()
            for metric in values
        ]
        return list(dict.fromkeys([*(verdict.primary for verdict in with_values[:1]), *names]))


def _entries(
    source: str,
    records: list[RunRecord],
    manifests: dict[int, Manifest],
    verdicts: dict[int, Verdict],
    pointer: Pointer | None,
) -> Iterator[HistoryEntry]:
    """Yield an entry for each record, each revision without a record, and each act of a person.

    HEAD does not say whether a run or a person promoted a revision. So the first promotion of a
    revision is taken to be the run's if the run promoted it; all further ones are a person's.
    """
    promotions = pointer.promotions if pointer else []
    without_record = {manifest.run_id: manifest for manifest in manifests.values()}
    promoted_by_run: set[int | None] = set()
    for record in records:
        manifest = without_record.pop(record.run_id, None)
        # A run that failed after its push has a revision that its record does not know.
        revision = record.revision or (manifest.revision if manifest else None)
        if record.outcome == "promoted":
            promoted_by_run.add(revision)
        verdict = record.verdict or verdicts.get(revision or 0)
        yield HistoryEntry(
            when=instant(record.ended, f"{source}/runs/{record.run_id}.json: ended"),
            outcome=_outcome(record),
            run_id=record.run_id,
            sentence=record.sentence,
            revision=revision,
            place=_place(revision, pointer),
            window=_window(verdict, manifest),
            verdict=verdict,
        )
    for manifest in without_record.values():
        refreshed = manifest.metadata.get(REFRESH_OF)
        # A refresh copies the verdict of the model that it refreshed; nothing was judged anew.
        verdict = verdicts.get(manifest.revision) if refreshed is None else None
        went_live = any(promotion.revision == manifest.revision for promotion in promotions)
        if went_live and verdict and verdict.mode == "auto":
            promoted_by_run.add(manifest.revision)
        if refreshed is not None:
            sentence = f"Revision {refreshed} with a new item table; nothing was trained or judged."
        else:
            sentence = verdict.sentences if verdict else "The store has no record of this run."
        yield HistoryEntry(
            when=instant(manifest.created, f"{source} revision {manifest.revision}: created"),
            outcome="promoted" if manifest.revision in promoted_by_run else "staged",
            run_id=manifest.run_id,
            sentence=sentence,
            revision=manifest.revision,
            place=_place(manifest.revision, pointer),
            window=_window(verdict, manifest),
            verdict=verdict,
        )
    for promotion in promotions:
        if promotion.action == "promote" and promotion.revision in promoted_by_run:
            promoted_by_run.remove(promotion.revision)
            continue
        yield HistoryEntry(
            when=instant(promotion.when, f"{source}/HEAD: promotions.when"),
            outcome="rollback" if promotion.action == "rollback" else "promotion",
            run_id=promotion.run_id,
            sentence=promotion.why,
            revision=promotion.revision,
            who=promotion.who,
        )


def _outcome(record: RunRecord) -> HistoryOutcome:
    if record.outcome == "nothing_new":
        return "nothing new"
    # A record calls both refused; its verdict tells them apart.
    if record.outcome == "refused" and record.verdict and record.verdict.decision == "undecided":
        return "undecided"
    return record.outcome


def _place(revision: int | None, pointer: Pointer | None) -> HeadPlace:
    if revision is None or pointer is None:
        return ""
    if revision == pointer.live:
        return "live"
    return "previous" if revision == pointer.previous else ""


def _window(verdict: Verdict | None, manifest: Manifest | None) -> dict[str, str]:
    return (verdict.window if verdict else {}) or (manifest.training_window if manifest else {})
