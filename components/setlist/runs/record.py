"""The result of a run: one small document in the store, written last by every completed run.

A run without a record has failed, whatever a workflow engine reports about its tasks. The two
pipelines keep their records apart: retraining in NAME/runs, monitoring in NAME/monitoring.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from setlist.data.verdict import DataVerdict
from setlist.documents import parse_document
from setlist.errors import StoreDamagedError
from setlist.evaluation.verdict import Verdict
from setlist.printable import one_line
from setlist.store.objects import open_objects
from setlist.store.reader import checked_name
from setlist.store.transfer import TRANSFER_THREADS

RunOutcome = Literal["promoted", "staged", "refused", "nothing_new", "failed"]


KEPT_BYTES = 128 << 20
"""Of records in memory: some 10,000 with a verdict; those beyond are read at every look."""


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

    @classmethod
    def of_failure(cls, name: str, run_id: str, message: str) -> Self:
        """Make the record of a run that failed; the message may be ""."""
        sentence = message or "A step failed; its log says why."
        return cls(name=name, run_id=run_id, outcome="failed", sentence=sentence, ended=_now())

    def write(self, store: str) -> None:
        """Put the record into a store, once: a second record of the same run changes nothing.

        Raises:
            StoreError: the store cannot be written.
        """
        content = self.model_dump_json(indent=1).encode()
        open_objects(store).write(self._key(self.name, self.run_id), content + b"\n", expected=None)

    @classmethod
    def read(cls, store: str, name: str, run_id: str) -> Self | None:
        """Read the record of a run; None where there is none.

        Raises:
            StoreDamagedError: the document is no record of a run.
            StoreError: the store cannot be read.
        """
        key = cls._key(name, run_id)
        stored = open_objects(store).read(key)
        return cls._parse(stored[0], store, key) if stored else None

    @classmethod
    def all(cls, store: str, name: str, kept: dict[str, bytes] | None = None) -> list[Self]:
        """Read the records of all runs of a name, in the order in which the runs ended.

        Args:
            store: a local folder or gs://bucket/prefix.
            name: of the model in the store.
            kept: documents that an earlier call with it has read, by key. A record is written once,
                so they are not read again; what is new is added up to `KEPT_BYTES`.

        Raises:
            SettingsError: `name` is no model name.
            StoreDamagedError: a document is no record of a run; it is named.
            StoreError: the store cannot be read.
        """
        objects = open_objects(store)
        folder = f"{checked_name(name)}/{cls.folder}/"
        keys = [key for key in objects.keys(folder) if key.endswith(".json")]
        with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
            known = {} if kept is None else {key: kept[key] for key in keys if key in kept}
            new = [key for key in keys if key not in known]
            documents = known | {
                key: stored[0]
                for key, stored in zip(new, pool.map(objects.read, new), strict=True)
                # A record may have been removed since the listing; then its document is None.
                if stored
            }
        records = [cls._parse(content, store, key) for key, content in documents.items()]
        if kept is not None:
            size = sum(map(len, known.values()))
            for key in new:
                content = documents.get(key, b"")
                if content and (size := size + len(content)) <= KEPT_BYTES:
                    known[key] = content
            kept.clear()
            kept.update(known)
        return sorted(records, key=lambda record: (record.ended, record.run_id))

    @classmethod
    def _parse(cls, content: bytes, store: str, key: str) -> Self:
        source = f"store {store}: {key} is no record of a run"
        return parse_document(content, source, cls, StoreDamagedError, "remove it")

    @classmethod
    def _key(cls, name: str, run_id: str) -> str:
        return f"{name}/{cls.folder}/{run_id}.json"

    @property
    def line(self) -> str:
        """The record in one line, for a log or a message."""
        return one_line(f"{self.name}: {self.outcome.replace('_', ' ')}. {self.sentence}")


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

    @classmethod
    def of_run(
        cls,
        name: str,
        run_id: str,
        verdict: Path | None,
        pushed: Path | None,
        data_verdict: Path | None = None,
    ) -> Self:
        """Make the record of a completed run.

        Args:
            name: of the model in the store.
            run_id: of the run.
            verdict: the gate's; None when the run ended before anything was trained.
            pushed: the document that push wrote; None when nothing was pushed.
            data_verdict: that of the gate for data.

        Raises:
            EvaluationError: the verdict cannot be read.
        """
        if verdict is None:
            sentence = "There is no new data since the live model, so nothing was trained."
            return cls(
                name=name, run_id=run_id, outcome="nothing_new", sentence=sentence, ended=_now()
            )
        judged = Verdict.read(verdict)
        revision = json.loads(pushed.read_text("utf-8"))["revision"] if pushed else None
        outcome: RunOutcome = "staged" if judged.mode == "manual" else "promoted"
        return cls(
            name=name,
            run_id=run_id,
            outcome=outcome if revision else "refused",
            sentence=judged.sentence,
            revision=revision,
            ended=_now(),
            verdict=judged,
            data_verdict=DataVerdict.read(data_verdict) if data_verdict else None,
        )

    @property
    def line(self) -> str:
        """The record in one line, for a log or a message."""
        pushed = f" as revision {self.revision}" if self.revision else ""
        warnings = self.data_verdict.with_outcome("warn") if self.data_verdict else []
        data = f" The data: {'; '.join(each.sentence for each in warnings)}." if warnings else ""
        outcome = self.outcome.replace("_", " ")
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


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
