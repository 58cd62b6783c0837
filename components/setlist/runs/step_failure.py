"""Why a step failed: a document that the step itself writes into the store before it ends.

It lies in NAME/failures/RUN. The announcement of the run takes what lies there into the run's
record, and removes it. So record, webhook and history need neither pods nor a workflow engine:
Kubeflow's documents do not say why a run has failed.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Thread
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from setlist.documents import parse_document
from setlist.errors import SetlistError, StoreDamagedError
from setlist.printable import one_line
from setlist.store.objects import Objects, open_objects
from setlist.store.race import Race
from setlist.store.reader import checked_name
from setlist.termination import RUN_VARIABLE

STORE_VARIABLE, NAME_VARIABLE = "SETLIST_RUN_STORE", "SETLIST_RUN_NAME"
"""The store of the run, and the name of the model in it."""
TASK_VARIABLE, TITLE_VARIABLE = "SETLIST_TASK", "SETLIST_TASK_TITLE"
"""The step's name in the compiled pipeline, unique in it, and its display name."""
FOLDER = "failures"
"""In the store, below the name of the model."""
WRITE_SECONDS = 60.0
"""A store that does not answer keeps no failed step longer than this."""
MOST_CHARACTERS = 4_096
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class StepFailure(BaseModel):
    """A failed attempt at a step."""

    model_config = ConfigDict(frozen=True)

    task: str
    """The step's name in the compiled pipeline."""
    title: str
    """The step's display name."""
    attempt: int = Field(ge=1)
    reason: Annotated[str, Field(max_length=MOST_CHARACTERS)]
    remedy: Annotated[str, Field(max_length=MOST_CHARACTERS)] = ""
    ended: str
    """UTC, as in 2026-05-01T05:12:34Z."""

    @classmethod
    def of_fault(cls, task: str, title: str, fault: BaseException) -> Self:
        """Make that of an exception that ends a step, as a first attempt."""
        reason, remedy = f"{type(fault).__name__}: {fault}", ""
        if isinstance(fault, SetlistError):
            reason, remedy = fault.message, fault.remedy
        return cls(
            task=task,
            title=title,
            attempt=1,
            reason=_text(reason),
            remedy=_text(remedy),
            ended=datetime.now(UTC).strftime(TIME_FORMAT),
        )

    @property
    def sentence(self) -> str:
        """The step, the reason and the remedy, in one line."""
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        reason = f"{self.reason}; {self.remedy}." if self.remedy else self.reason
        return one_line(f"{self.title}{again}: {reason}")

    def write(self, store: str, name: str, run_id: str) -> Self:
        """Put it into a store, with the number of the attempt that it is.

        Raises:
            StoreConflictError: too many attempts have failed.
            StoreError: the store cannot be written.
        """
        objects = open_objects(store)
        race = Race(f"store {store}: the failures of {run_id}")
        failure = self
        while True:
            key = f"{_folder(name, run_id)}{failure.task}-{failure.attempt}.json"
            content = failure.model_dump_json(indent=1).encode() + b"\n"
            if objects.write(key, content, expected=None) is not None:
                return failure
            race.lost()
            failure = failure.model_copy(update={"attempt": failure.attempt + 1})


def read_failures(objects: Objects, name: str, run_id: str) -> list[StepFailure]:
    """The failures of a run, in the order in which they happened.

    Raises:
        StoreDamagedError: a document is none; it is named.
        StoreError: the store cannot be read.
    """
    failures = []
    for entry in objects.entries(_folder(name, run_id)):
        if stored := objects.read(entry.key):
            source = f"store {objects.uri}: {entry.key} is no failure of a step"
            failures.append(
                parse_document(stored[0], source, StepFailure, StoreDamagedError, "remove it")
            )
    return sorted(failures, key=lambda failure: (failure.ended, failure.task, failure.attempt))


def remove_failures(objects: Objects, name: str, run_id: str) -> None:
    """Remove the documents of a run, whose record holds what they say.

    Raises:
        StoreError: the store cannot be written.
    """
    for entry in objects.entries(_folder(name, run_id)):
        objects.remove(entry.key)


def keep_failure(
    step: str, fault: BaseException, environment: Mapping[str, str] = os.environ
) -> None:
    """Write why this step fails into the store of its run; print a line where that fails, too.

    Args:
        step: its name in the settings, for a run whose environment does not name the task.
        fault: the exception that ends the step.
        environment: names the run and its store; without them, nothing is written.
    """
    places = [environment.get(key) for key in (STORE_VARIABLE, NAME_VARIABLE, RUN_VARIABLE)]
    if not all(places):
        return
    store, name, run_id = (place or "" for place in places)
    task = environment.get(TASK_VARIABLE) or step
    failure = StepFailure.of_fault(task, environment.get(TITLE_VARIABLE) or task, fault)
    problem = f"no answer in {WRITE_SECONDS:.0f} seconds"

    def write() -> None:
        nonlocal problem
        try:
            failure.write(store, name, run_id)
            problem = ""
        except Exception as second:  # whatever it is, the step has failed already
            problem = f"{type(second).__name__}: {second}"

    writer = Thread(target=write, daemon=True)
    writer.start()
    writer.join(WRITE_SECONDS)
    if problem:
        print(f"the reason is not kept in the store: {problem}", flush=True)


def old_failures(objects: Objects, name: str, oldest: datetime) -> list[str]:
    """The keys of documents from before an instant, which the end of a run has left behind."""
    entries = objects.entries(f"{checked_name(name)}/{FOLDER}/")
    return [entry.key for entry in entries if entry.updated < oldest]


def _text(text: str) -> str:
    """What a document can hold: no halves of characters, and not without end."""
    return text[:MOST_CHARACTERS].encode(errors="replace").decode()


def _folder(name: str, run_id: str) -> str:
    return f"{checked_name(name)}/{FOLDER}/{run_id}/"
