"""The result of a run: one small document in the store, written last by every completed run.

A run without a record has failed, whatever a workflow engine reports about its tasks. The two
pipelines keep their records apart: retraining in NAME/runs, monitoring in NAME/monitoring.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from setlist.data.verdict import STOPS, DataOutcome, DataVerdict
from setlist.documents import parse_document
from setlist.errors import StoreDamagedError, StoreError
from setlist.evaluation.verdict import Verdict
from setlist.printable import one_line
from setlist.runs.promotion import REFRESH_OF
from setlist.runs.step_failure import TIME_FORMAT, StepFailure
from setlist.store.files import Entry
from setlist.store.kept_report import REPORT_SHA256, revision_path, run_path
from setlist.store.objects import Objects, open_objects, read_only_objects
from setlist.store.race import Race
from setlist.store.reader import StoreReader, checked_name
from setlist.store.sizes import REPORT_BYTES
from setlist.store.transfer import TRANSFER_THREADS

FIRST_TIME, LAST_TIME = (edge.replace(tzinfo=UTC) for edge in (datetime.min, datetime.max))
RunOutcome = Literal["promoted", "staged", "refused", "nothing_new", "failed"]


Kind = TypeVar("Kind", bound="Record")
PAGE_RECORDS = 200
"""Of a page; a record with a verdict has some 13 kB."""


class Record(BaseModel):
    """What the results of runs of every pipeline have in common."""

    model_config = ConfigDict(frozen=True)
    folder: ClassVar[str]
    """In the store, below the name of the model."""

    name: str
    """Of the model in the store."""
    run_id: str
    outcome: str
    sentence: str
    """The reason."""
    ended: str
    """UTC, as in 2026-05-01T05:12:34Z."""
    made_up: bool = False
    """Whether the run itself did not write it: it was killed after it had promoted."""
    failures: tuple[StepFailure, ...] = ()
    """Attempts at steps that failed; a run may succeed after them."""
    link: str = ""
    """The page of the run in Kubeflow, where its address is known."""

    @classmethod
    def of_failure(
        cls, name: str, run_id: str, message: str, failures: Sequence[StepFailure] = ()
    ) -> Self:
        """Make the record of a run that failed; the message may be ""."""
        return cls(
            name=name,
            run_id=run_id,
            outcome="failed",
            sentence=message or "A step failed; its log says why.",
            ended=_now(),
            failures=tuple(failures),
        )

    def write(self, store: str) -> None:
        """Put the record into a store, once: a second record of the same run changes nothing.

        Only two are replaced: a record that was made up, by the run's own, and that of a failed
        run that was taken up again, by that of its other end.

        Raises:
            StoreConflictError: others wrote or removed it each time.
            StoreError: the store cannot be written.
        """
        self.write_into(open_objects(store))

    def write_into(self, objects: Objects) -> None:
        """Put the record into a store that is open; see `write`."""
        # As former versions wrote it, where there is nothing that they did not know.
        unknown = ("made_up", "failures", "link", "report_sha256")
        content = self.model_dump_json(
            indent=1, exclude={field for field in unknown if not getattr(self, field, "")}
        )
        key, version = self.key(self.name, self.run_id), None
        race = Race(f"store {objects.uri}: {key}")
        while objects.write(key, content.encode() + b"\n", expected=version) is None:
            stored = objects.read(key)
            if stored and not self._replaces(self._parse(stored[0], objects.uri, key)):
                return
            version = stored[1] if stored else None
            race.lost()

    def _replaces(self, stored: Self) -> bool:
        """Whether this record takes the place of another record of the same run."""
        if self.made_up:
            return False
        return stored.made_up or (stored.outcome == "failed" != self.outcome)

    @classmethod
    def read(cls, store: str, name: str, run_id: str) -> Self | None:
        """Read the record of a run; None where there is none.

        Raises:
            StoreDamagedError: the document is no record of a run.
            StoreError: the store cannot be read.
        """
        key = cls.key(name, run_id)
        stored = read_only_objects(store, new=True).read(key)
        return cls._parse(stored[0], store, key) if stored else None

    @classmethod
    def all(cls, store: str, name: str) -> list[Self]:
        """Read the records of all runs of a name, in the order in which the runs ended.

        Raises:
            SettingsError: `name` is no model name.
            StoreDamagedError: a document is no record of a run; it is named.
            StoreError: the store cannot be read.
        """
        objects = read_only_objects(store, new=True)
        return cls._read(objects, cls._entries(objects, name), {})

    @classmethod
    def before(cls, objects: Objects, name: str, run_id: str, most: int) -> Iterator[Self]:
        """Read the records before that of a run, the newest first, each when it is asked for.

        Args:
            objects: of the store.
            name: of the model in the store.
            run_id: of the run; before it has a record, all are.
            most: so many are read at most.

        Raises:
            SettingsError, StoreError: see `all`.
        """
        entries = cls._entries(objects, name)
        entries.sort(key=lambda entry: (entry.updated, entry.key), reverse=True)
        keys = [entry.key for entry in entries]
        own = cls.key(name, run_id)
        start = keys.index(own) + 1 if own in keys else 0
        for entry in entries[start : start + most]:
            yield from cls._read(objects, [entry], {})

    @classmethod
    def page(
        cls, store: StoreReader, name: str, number: int, kept: dict[Entry, Self]
    ) -> "RecordPage[Self]":
        """Read the records of some runs, the newest of which are on page 0.

        Args:
            store: the store.
            name: of the model in the store.
            number: of the page; beyond the last page, the last.
            kept: records that an earlier call with it has read. They are not read again, and what
                is read is added.

        Raises:
            SettingsError, StoreError: see `all`.
        """
        entries = cls._entries(store.objects, name)
        entries.sort(key=lambda entry: (entry.updated, entry.key), reverse=True)
        pages = max(1, -(-len(entries) // PAGE_RECORDS))
        start = PAGE_RECORDS * min(number, pages - 1)
        end = start + PAGE_RECORDS
        return RecordPage(
            records=cls._read(store.objects, entries[start:end], kept),
            since=entries[end - 1].updated if end < len(entries) else FIRST_TIME,
            until=entries[start - 1].updated if start else LAST_TIME,
            pages=pages,
            runs={entry.key.rpartition("/")[2].removesuffix(".json") for entry in entries},
        )

    @classmethod
    def _entries(cls, objects: Objects, name: str) -> list[Entry]:
        entries = objects.entries(f"{checked_name(name)}/{cls.folder}/")
        return [entry for entry in entries if entry.key.endswith(".json")]

    @classmethod
    def _read(
        cls, objects: Objects, entries: Sequence[Entry], kept: dict[Entry, Self]
    ) -> list[Self]:
        new = [entry for entry in entries if entry not in kept]
        with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
            documents = pool.map(lambda entry: objects.read(entry.key), new)
            for entry, stored in zip(new, documents, strict=True):
                if stored:  # else it was removed since the listing
                    kept[entry] = cls._parse(stored[0], objects.uri, entry.key)
        records = [kept[entry] for entry in entries if entry in kept]
        return sorted(records, key=lambda record: (record.ended, record.run_id))

    @classmethod
    def _parse(cls, content: bytes, store: str, key: str) -> Self:
        source = f"store {store}: {key} is no record of a run"
        return parse_document(content, source, cls, StoreDamagedError, "remove it")

    @classmethod
    def key(cls, name: str, run_id: str) -> str:
        """Where the record of a run lies in a store."""
        return f"{name}/{cls.folder}/{run_id}.json"

    @property
    def line(self) -> str:
        """The record in one line, for a log or a message."""
        return one_line(f"{self.name}: {self.outcome.replace('_', ' ')}. {self.sentence}")


@dataclass(frozen=True)
class RecordPage(Generic[Kind]):
    """Some of the records of a name.

    Attributes:
        records: in the order in which the runs ended.
        since, until: they were written after `since`, and not after `until`.
        pages: how many pages there are.
        runs: the ids of all runs that have a record.
    """

    records: list[Kind]
    since: datetime
    until: datetime
    pages: int
    runs: set[str]


class RunRecord(Record):
    """The result of one run of the retraining pipeline."""

    folder: ClassVar[str] = "runs"

    outcome: RunOutcome
    revision: int | None = None
    """The revision that was pushed, if any."""
    verdict: Verdict | None = None
    """The gate's, where there was something to judge."""
    data_verdict: DataVerdict | None = None
    """That of the gate for data; None also in records of versions that had no such gate."""
    report_sha256: str = ""
    """Of the report that the store keeps; "" where there is none, as in former versions."""

    @property
    def data_outcome(self) -> DataOutcome | None:
        """What the gate for data said; None where the run did not come to it, or failed later."""
        if self.data_verdict:
            return self.data_verdict.decision
        return "stop" if any(each.reason.startswith(STOPS) for each in self.failures) else None

    @property
    def report_path(self) -> str:
        """Where the report lies in the store, below the name of the model; "" for nowhere."""
        if not self.report_sha256:
            return ""
        return revision_path(self.revision) if self.revision else run_path(self.run_id)

    def report(self, store: StoreReader) -> bytes | None:
        """The report of the run, as HTML; None where none is kept, or was removed with a revision.

        Raises:
            StoreDamagedError: it is not the one that the run has written.
            StoreError: the store cannot be read.
        """
        if not self.report_path:
            return None
        key = f"{self.name}/{self.report_path}"
        stored = store.objects.read(key, REPORT_BYTES)
        if stored and hashlib.sha256(stored[0]).hexdigest() != self.report_sha256:
            raise StoreDamagedError(
                f"store {store.uri}: {key} is damaged (the record of the run has another SHA-256)",
                "restore it",
            )
        return stored[0] if stored else None

    @classmethod
    def of_run(
        cls,
        name: str,
        run_id: str,
        verdict: Path | None,
        pushed: Path | None,
        data_verdict: Path | None = None,
        report_sha256: str = "",
    ) -> Self:
        """Make the record of a completed run.

        Args:
            name: of the model in the store.
            run_id: of the run.
            verdict: the gate's; None when the run ended before anything was trained.
            pushed: the document that push wrote; None when nothing was pushed.
            data_verdict: that of the gate for data.
            report_sha256: of the report that is kept; of a revision, `pushed` says it.

        Raises:
            EvaluationError: the verdict cannot be read.
        """
        if verdict is None:
            sentence = "There is no new data since the live model, so nothing was trained."
            return cls(
                name=name, run_id=run_id, outcome="nothing_new", sentence=sentence, ended=_now()
            )
        judged = Verdict.read(verdict)
        document = json.loads(pushed.read_text("utf-8")) if pushed else {}
        revision = document.get("revision")
        outcome: RunOutcome = "staged" if judged.mode == "manual" else "promoted"
        return cls(
            name=name,
            run_id=run_id,
            outcome=outcome if revision else "refused",
            sentence=judged.sentences,
            revision=revision,
            ended=_now(),
            verdict=judged,
            data_verdict=DataVerdict.read(data_verdict) if data_verdict else None,
            report_sha256=document.get(REPORT_SHA256, report_sha256),
        )

    @classmethod
    def all(cls, store: str, name: str) -> list[Self]:
        """Read the records of all runs, and make up those that were killed before they wrote one.

        Nothing is written; see `write_missing_records`.
        """
        records = super().all(store, name)
        reader = StoreReader(read_only_objects(store, new=True))
        records += cls.missing(reader, name, {record.run_id for record in records})
        return sorted(records, key=lambda record: (record.ended, record.run_id))

    @classmethod
    def missing(cls, store: StoreReader, name: str, recorded: Collection[str]) -> list[Self]:
        """Records of runs that promoted and have none, by what HEAD and the manifests say.

        Args:
            store: the store.
            name: of the model.
            recorded: the runs that have a record.

        Raises:
            StoreError: HEAD cannot be read; an unreadable manifest makes no record.
        """
        records: dict[str, Self] = {}
        for promotion in store.history(name):
            if promotion.action != "promote" or promotion.run_id in {*recorded, *records}:
                continue
            try:
                metadata = store.manifest(name, promotion.revision).metadata
                verdict = Verdict.model_validate(metadata.get("verdict"))
            except (StoreError, ValidationError):
                continue  # pruned since, or no revision of a pipeline
            if REFRESH_OF in metadata:
                continue  # no run of the pipeline made it
            ended = datetime.fromisoformat(promotion.when).astimezone(UTC)
            records[promotion.run_id] = cls(
                name=name,
                run_id=promotion.run_id,
                outcome="staged" if verdict.mode == "manual" else "promoted",
                sentence=verdict.sentences,
                revision=promotion.revision,
                ended=ended.strftime(TIME_FORMAT),
                verdict=verdict,
                made_up=True,
                report_sha256=str(metadata.get(REPORT_SHA256, "")),
            )
        return list(records.values())

    @property
    def line(self) -> str:
        """The record in one line, for a log or a message.

        With a verdict it makes both statements: what became of the candidate, and what went live.
        """
        pushed = f" as revision {self.revision}" if self.revision else ""
        warnings = self.data_verdict.with_outcome("warn") if self.data_verdict else []
        data = f" The data: {'; '.join(each.sentence for each in warnings)}." if warnings else ""
        outcome = self.outcome.replace("_", " ")
        if self.verdict:
            live = self.verdict.live_words if self.revision else "nothing changes"
            outcome = f"candidate: {self.verdict.decision}, live: {live}"
        return one_line(f"{self.name}: {outcome}{pushed}. {self.sentence}{data}")


class MonitoringRecord(Record):
    """The result of one run of the monitoring pipeline."""

    folder: ClassVar[str] = "monitoring"

    outcome: Literal["as_trained", "skewed", "failed"]
    verdict: DataVerdict | None = None
    """On the requests; None where the run failed before."""

    @classmethod
    def of_run(cls, name: str, run_id: str, verdict: DataVerdict) -> Self:
        """Make the record of a run that has compared the requests."""
        reasons = [*verdict.with_outcome("stop"), *verdict.with_outcome("warn")]
        sentence = "; ".join(reason.sentence for reason in reasons)
        return cls(
            name=name,
            run_id=run_id,
            outcome="skewed" if reasons else "as_trained",
            sentence=f"{sentence}." if reasons else "The model is asked what it was trained on.",
            ended=_now(),
            # Examples name listeners and what they played, which a record would keep for good.
            verdict=DataVerdict.of(
                [reason.model_copy(update={"example": ""}) for reason in verdict.reasons]
            ),
        )


def write_missing_records(store: StoreReader, name: str) -> list[RunRecord]:
    """Write the records of runs that were killed between their promotion and their announcement.

    A run that is only about to write its own replaces the one that is written here.

    Returns:
        What was written.

    Raises:
        StoreError: the store cannot be read or written.
    """
    folder = f"{checked_name(name)}/{RunRecord.folder}/"
    keys = (key.removeprefix(folder) for key in store.objects.keys(folder))
    recorded = {key.removesuffix(".json") for key in keys if key.endswith(".json")}
    records = RunRecord.missing(store, name, recorded)
    for record in records:
        record.write_into(store.objects)
    return records


def _now() -> str:
    return datetime.now(UTC).strftime(TIME_FORMAT)
