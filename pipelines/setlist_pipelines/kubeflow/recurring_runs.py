"""The recurring runs on a cluster, brought in step with the schedules of the settings.

The API cannot change a recurring run (kubeflow/pipelines#3789), so a changed schedule gets another
one in its place. What was read in the backend of 2.17 and decides how:

- A recurring run fires at the times after its last one, or else after its creation. So one that is
  enabled late runs what it missed since: all of it with catch-up, else the latest (#8344).
- Its runs are owned by it: deleting it ends those that go on.
- Names need not be unique, `mode` changes at once, and `status` only with the next report.

The new one is therefore made disabled, in a quiet minute in which the old one has run all that was
due and nothing of it goes on. From its creation on, times are the new one's: the old one is
disabled, the new one enabled, and the old one deleted. Whatever falls between these calls, however
long, is run by the new one. `finish` takes up what an earlier call left in the middle.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import sleep

from setlist.errors import SetlistError
from setlist.runs.scheduled_time import last_time
from setlist_pipelines.kubeflow.api import Json, Kubeflow, equal
from setlist_pipelines.kubeflow.submission import ENDED
from setlist_pipelines.settings.schedule import next_time

Say = Callable[[str], None]

MARK = "setlist"
"""The first word of the description of what is ours."""
COPIED = (
    *("display_name", "experiment_id", "namespace", "pipeline_version_reference"),
    *("runtime_config", "service_account", "max_concurrency", "trigger", "no_catchup"),
)
BEFORE, AFTER = timedelta(seconds=60), timedelta(seconds=120)
"""How far a fire time has to be: the controller looks every 30 seconds, and we need some calls."""
SOON = timedelta(seconds=30)
"""The same once the new one is there, and two calls are left."""
PATIENCE = timedelta(minutes=10)
"""So long a run that is due may take to start before something must be wrong."""
POLL = 5.0
"""Seconds between two looks."""
LATE = "has not started"
RECENT = 20
"""So many runs are looked at: at most ten of a schedule go on at once."""


@dataclass(frozen=True)
class Recurring:
    """A recurring run of ours, as it is at the server."""

    document: Json
    said: dict[str, str]
    """The lines of its description: the first word, and the others."""

    @property
    def id(self) -> str:
        """Of the server."""
        return str(self.document["recurring_run_id"])

    @property
    def store(self) -> str:
        """Where its runs push to."""
        parameters = self.document.get("runtime_config", {}).get("parameters", {})
        return str(parameters.get("store", ""))

    @property
    def enabled(self) -> bool:
        """Whether it fires."""
        return bool(self.document.get("mode") == "ENABLE")

    @property
    def cron(self) -> str:
        """When it fires."""
        return str(self.document["trigger"]["cron_schedule"]["cron"])

    @property
    def created(self) -> datetime:
        """By the server's clock; what it fires at comes later."""
        return datetime.fromisoformat(self.document["created_at"])

    @property
    def replaces(self) -> str:
        """The id of the one that it takes the place of, "" for none."""
        return self.said.get("replaces", "").partition(" ")[0]

    @property
    def pending(self) -> bool:
        """Whether it waits to be enabled in the place of another."""
        return not self.enabled and self.said.get("replaces", "").endswith(" running")


def recurring_runs(kubeflow: Kubeflow, name: str, store: str) -> dict[str, list[Recurring]]:
    """The recurring runs that were made for a model of a store, by schedule, the oldest first."""
    found: dict[str, list[Recurring]] = {}
    for schedule, one in _of_model(kubeflow, name):
        if _same(one.store, store):
            found.setdefault(schedule, []).append(one)
    return found


def of_other_stores(kubeflow: Kubeflow, name: str, store: str) -> list[tuple[str, Recurring]]:
    """Those of a model of this name in other stores, with their schedules; they are not ours."""
    return [pair for pair in _of_model(kubeflow, name) if not _same(pair[1].store, store)]


def _of_model(kubeflow: Kubeflow, name: str) -> Iterator[tuple[str, Recurring]]:
    for document in kubeflow.pages(
        "recurringruns", "recurringRuns", page_size=100, sort_by="created_at asc", **kubeflow.scope
    ):
        lines = [line.partition(" ") for line in str(document.get("description", "")).splitlines()]
        said = {word: rest for word, _, rest in lines}
        owner, _, schedule = said.get(MARK, "").rpartition("/")
        if owner == name and schedule:
            yield schedule, Recurring(document, said)


def _same(store: str, other: str) -> bool:
    return store.rstrip("/") == other.rstrip("/")


def digest(content: Json) -> str:
    """What the content of a schedule is recognised by: 80 bits of its SHA-256."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def make(kubeflow: Kubeflow, body: Json, said: dict[str, str], enabled: bool) -> Recurring:
    """Create a recurring run, once, also when the answer is lost."""
    said = said | {"made": now().isoformat()}
    description = "\n".join(f"{word} {rest}" for word, rest in said.items())
    body = body | {"description": description, "mode": "ENABLE" if enabled else "DISABLE"}

    def find() -> Json | None:
        listed = kubeflow.pages("recurringruns", "recurringRuns", page_size=100, **kubeflow.scope)
        return next((one for one in listed if one.get("description") == description), None)

    made, _ = kubeflow.ensure(find, lambda: kubeflow.post("recurringruns", body))
    return Recurring(made, said)


def replace(kubeflow: Kubeflow, old: Recurring, body: Json, said: dict[str, str], say: Say) -> None:
    """Put another recurring run in the place of one, without a gap or a double.

    A paused one is replaced by a paused one.
    """
    cron = body["trigger"]["cron_schedule"]["cron"]
    state = "running" if old.enabled else "paused"
    while True:
        _wait_until_quiet(kubeflow, old, cron, say)
        new = make(kubeflow, body, said | {"replaces": f"{old.id} {state}"}, enabled=False)
        if _unquiet(kubeflow, old, cron, SOON):  # the server took its time
            kubeflow.delete(f"recurringruns/{new.id}")
        elif _complete(kubeflow, new, old, say):
            return


def finish(kubeflow: Kubeflow, group: list[Recurring], say: Say) -> Recurring | None:
    """Take up what an earlier call left in the middle.

    Returns:
        The one that is left of a schedule's recurring runs, None when there was none.
    """
    left = {one.id: one for one in group}
    for new in group:
        old = left.get(new.replaces)
        if old is None:
            continue
        say("an earlier replacement was not finished; finishes it")
        if new.pending and old.enabled:
            kubeflow.delete(f"recurringruns/{new.id}")  # it never ran, and may be out of date
            del left[new.id]
        else:
            del left[old.id if _complete(kubeflow, new, old, say) else new.id]
    if not left:
        return None
    *others, last = sorted(left.values(), key=lambda one: (one.enabled, one.created))
    for one in others:
        say("there is more than one; deletes the others")
        retire(kubeflow, one, say)
    return Recurring(kubeflow.get(f"recurringruns/{last.id}"), last.said)


def pause(kubeflow: Kubeflow, one: Recurring) -> None:
    """No runs until it is resumed."""
    kubeflow.act(f"recurringruns/{one.id}:disable")


def resume(kubeflow: Kubeflow, one: Recurring, say: Say) -> None:
    """Runs again, from now on: without catch-up, what was missed is not run.

    Enabling would run the latest missed time at once; so if there is one, another takes its place.
    """
    last = max([one.created, *(_moment(run) for run in _runs(kubeflow, one))])
    if one.document.get("no_catchup") and last_time(one.cron, now()) > last:
        body = {key: one.document[key] for key in COPIED if key in one.document}
        said = {key: rest for key, rest in one.said.items() if key != "replaces"}
        new = make(kubeflow, body, said | {"replaces": f"{one.id} running"}, enabled=False)
        _complete(kubeflow, new, one, say)
    else:
        kubeflow.act(f"recurringruns/{one.id}:enable")


def retire(kubeflow: Kubeflow, one: Recurring, say: Say) -> None:
    """Delete it, after its runs: they would be ended with it."""
    if one.enabled:
        pause(kubeflow, one)
    while going := _going(_runs(kubeflow, one)):
        say(f"waits: its run {going['display_name']} goes on, and would be ended with it")
        sleep(POLL)
    kubeflow.delete(f"recurringruns/{one.id}")


def latest_run(kubeflow: Kubeflow, one: Recurring) -> Json | None:
    """Its latest run."""
    return next(_runs(kubeflow, one), None)


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def _complete(kubeflow: Kubeflow, new: Recurring, old: Recurring, say: Say) -> bool:
    """Let the new one take over; False when the old one has run past that, and stays."""
    if new.pending:
        pause(kubeflow, old)
        if last_time(old.cron, now()) > new.created:
            say("waits a minute, since a time fell in between")
            sleep(BEFORE.total_seconds())  # until a run that has begun can be seen
        if any(_moment(run) > new.created for run in _runs(kubeflow, old)):
            kubeflow.act(f"recurringruns/{old.id}:enable")
            kubeflow.delete(f"recurringruns/{new.id}")
            return False
        kubeflow.act(f"recurringruns/{new.id}:enable")
    retire(kubeflow, old, say)
    return True


def _wait_until_quiet(kubeflow: Kubeflow, old: Recurring, cron: str, say: Say) -> None:
    since = now()
    while reason := _unquiet(kubeflow, old, cron, AFTER):
        if reason.endswith(LATE) and now() - since > PATIENCE:
            raise SetlistError(
                f"{old.document['display_name']}: {reason} for ten minutes; see what "
                "ml-pipeline-scheduledworkflow logs, or give that run up with `setlist schedule "
                f"delete {old.said[MARK].rpartition('/')[2]} --config FILE` and apply again."
            )
        say(f"waits: {reason}")
        sleep(POLL)


def _unquiet(kubeflow: Kubeflow, old: Recurring, cron: str, after: timedelta) -> str:
    """Why the old one cannot be replaced now; "" when it can, as one that is paused always can."""
    if not old.enabled:
        return ""
    moment = now()
    for one in (old.cron, cron):
        if near := _near(one, moment, after):
            return f"it runs at {near:%H:%M:%S} UTC"
    runs = list(_runs(kubeflow, old))
    if going := _going(runs):
        return f"its run {going['display_name']} goes on"
    due = last_time(old.cron, moment)
    if due > old.created and not any(_moment(run) >= due for run in runs):
        return f"the run of {due:%Y-%m-%d %H:%M:%S} UTC {LATE}"
    return ""


def _near(cron: str, moment: datetime, after: timedelta) -> datetime | None:
    before, following = last_time(cron, moment), next_time(cron, moment)
    if moment - before < BEFORE:
        return before
    return following if following - moment < after else None


def _runs(kubeflow: Kubeflow, one: Recurring) -> Iterator[Json]:
    """Its recent runs, the latest first."""
    runs = kubeflow.pages(
        "runs",
        "runs",
        experiment_id=one.document["experiment_id"],
        filter=equal("recurring_run_id", one.id),
        sort_by="created_at desc",
        page_size=RECENT,
    )
    return islice(runs, RECENT)


def _moment(run: Json) -> datetime:
    """The time that a run was scheduled for, or else that it was created at."""
    scheduled = datetime.fromisoformat(run.get("scheduled_at") or run["created_at"])
    return scheduled if scheduled.year > 1970 else datetime.fromisoformat(run["created_at"])


def _going(runs: Iterable[Json]) -> Json | None:
    return next((run for run in runs if run.get("state") not in ENDED), None)
