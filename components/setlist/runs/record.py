"""What came of a run, one small document in the store: the last word of every run that ended well.

So a run without a record has failed, whatever a workflow engine makes of its tasks' states.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from setlist.errors import SetlistError
from setlist.evaluation.verdict import Verdict
from setlist.store.objects import open_objects
from setlist.store.reader import checked_name
from setlist.store.transfer import TRANSFER_THREADS

Outcome = Literal["promoted", "staged", "refused", "nothing_new", "failed"]


class RunRecord(BaseModel):
    """One run's end."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Of the model in the store."""
    run_id: str
    outcome: Outcome
    sentence: str
    """Why."""
    revision: int | None = None
    """What was pushed, if anything."""
    ended: str
    """UTC, as in 2026-05-01T05:12:34Z."""
    verdict: Verdict | None = None
    """The gate's, where there was something to judge."""

    @classmethod
    def of_run(cls, name: str, run_id: str, verdict: Path | None, pushed: Path | None) -> Self:
        """The record of a run that ended well.

        Args:
            name: of the model in the store.
            run_id: of the run.
            verdict: the gate's; None when the run ended before anything was trained.
            pushed: what push left; None when nothing was pushed.
        """
        if verdict is None:
            sentence = "There is no new data since the live model, so nothing was trained."
            return cls(
                name=name, run_id=run_id, outcome="nothing_new", sentence=sentence, ended=_now()
            )
        said = Verdict.read(verdict)
        revision = json.loads(pushed.read_text("utf-8"))["revision"] if pushed else None
        outcome: Outcome = "staged" if said.mode == "manual" else "promoted"
        return cls(
            name=name,
            run_id=run_id,
            outcome=outcome if revision else "refused",
            sentence=said.sentence,
            revision=revision,
            ended=_now(),
            verdict=said,
        )

    @classmethod
    def of_failure(cls, name: str, run_id: str, message: str) -> Self:
        """The record of a run that did not come to its end; the message may be ""."""
        sentence = message or "A step failed; its log says why."
        return cls(name=name, run_id=run_id, outcome="failed", sentence=sentence, ended=_now())

    def write(self, store: str) -> None:
        """Put the record into a store, once: a second one of the same run changes nothing.

        Raises:
            SetlistError: when the store cannot be written.
        """
        content = self.model_dump_json(indent=1).encode()
        open_objects(store).write(_key(self.name, self.run_id), content + b"\n", expected=None)

    @classmethod
    def read(cls, store: str, name: str, run_id: str) -> Self | None:
        """The record of a run; None where it has left none.

        Raises:
            SetlistError: when the store cannot be read, or the record is none.
        """
        key = _key(name, run_id)
        found = open_objects(store).read(key)
        return cls._parse(found[0], store, key) if found else None

    @classmethod
    def all(cls, store: str, name: str) -> list[Self]:
        """The records of all runs of a name, the one that ended first first.

        Raises:
            SetlistError: when the store cannot be read, `name` is none, or one of them is no
                record; it is named.
        """
        objects = open_objects(store)
        keys = [key for key in objects.keys(f"{checked_name(name)}/runs/") if key.endswith(".json")]
        with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
            found = zip(keys, pool.map(objects.read, keys), strict=True)
            # Nothing is found where one was removed since it was listed.
            records = [cls._parse(has[0], store, key) for key, has in found if has]
        return sorted(records, key=lambda record: (record.ended, record.run_id))

    @classmethod
    def _parse(cls, content: bytes, store: str, key: str) -> Self:
        try:
            return cls.model_validate_json(content)
        except ValueError as fault:
            raise SetlistError(f"store {store}: {key} is no record of a run; remove it.") from fault

    @property
    def line(self) -> str:
        """All of it in one line, for a log or a message."""
        pushed = f" as revision {self.revision}" if self.revision else ""
        return f"{self.name}: {self.outcome.replace('_', ' ')}{pushed}. {self.sentence}"


def _key(name: str, run_id: str) -> str:
    return f"{name}/runs/{run_id}.json"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
