"""The recurring runs on a cluster: created, paused, resumed, deleted and replaced.

A recurring run is Kubeflow's object for a schedule. The API cannot change one
(kubeflow/pipelines#3789), so a changed schedule gets a new recurring run in place of the old one.
The backend of 2.17 decides how:

- A recurring run fires at the times after its last run, or else after its creation. So if it is
  enabled late, it runs what it missed: every time with catch-up, else the latest one (#8344).
- It owns its runs: deleting it ends those that go on, and takes workflows, pods and logs of the
  others along, unless it is deleted with the policy ORPHAN (2.17; read in its sources).
- Names need not be unique. `mode` changes at once, `status` only with the next report.

Therefore the new recurring run is created disabled, at a quiet moment: the old one has run all that
was due, no run of it goes on, and no fire time is near. Times after the creation belong to the new
one: the old one is disabled, the new one enabled, and the old one deleted. The new one runs
whatever falls between these calls, however long they take. `finish` completes a
replacement that an earlier call left half done.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import sleep

from setlist.errors import ClusterError
from setlist.runs.scheduled_time import last_time
from setlist_pipelines.kubeflow.api import Json, Kubeflow, equals_filter
from setlist_pipelines.kubeflow.run_steps import ENDED_STATES
from setlist_pipelines.settings.cron_schedule import next_time

ShowLine = Callable[[str], None]
"""Shows a line about what is done, or what is waited for."""

MARK = "setlist"
"""The first word of the description of every recurring run that setlist creates."""
# Not the namespace: a server without profiles fills it in, and refuses it when it is sent back.
COPIED_KEYS = (
    *("display_name", "experiment_id", "pipeline_version_reference"),
    *("runtime_config", "service_account", "max_concurrency", "trigger", "no_catchup"),
)
QUIET_BEFORE, QUIET_AFTER = timedelta(seconds=60), timedelta(seconds=120)
"""How far the last and the next fire time have to be: the controller looks every 30 seconds, and
a replacement needs some calls."""
QUIET_AFTER_CREATION = timedelta(seconds=30)
"""How far the next fire time has to be once the new one is created, and two calls are left."""
LONGEST_RUN = timedelta(days=1)
"""After which a run that a schedule has begun is waited for no longer."""
LATE_RUN_TIMEOUT = timedelta(minutes=10)
"""After this time, a run that was due and has not started points to a broken controller."""
SCHEDULE_POLL_SECONDS = 5.0
LATE = "has not started"
MOST_RECENT_RUNS = 20
"""So many runs of a schedule are read. At most ten of a schedule go on at once."""


@dataclass(frozen=True)
class RecurringRun:
    """A recurring run that setlist created, as the server has it.

    Attributes:
        document: the server's JSON.
        notes: the lines of its description, the first word of each by itself.
    """

    document: Json
    notes: dict[str, str]

    @property
    def id(self) -> str:
        """The server's id."""
        return str(self.document["recurring_run_id"])

    @property
    def store(self) -> str:
        """The store that its runs push to."""
        parameters = self.document.get("runtime_config", {}).get("parameters", {})
        return str(parameters.get("store", ""))

    @property
    def enabled(self) -> bool:
        """Whether it starts runs."""
        return bool(self.document.get("mode") == "ENABLE")

    @property
    def cron(self) -> str:
        """The cron line with its fire times."""
        return str(self.document["trigger"]["cron_schedule"]["cron"])

    @property
    def created(self) -> datetime:
        """The server's time of its creation; its fire times come later."""
        return datetime.fromisoformat(self.document["created_at"])

    @property
    def replaces(self) -> str:
        """The id of the recurring run that it replaces; "" for none."""
        return self.notes.get("replaces", "").partition(" ")[0]

    @property
    def pending(self) -> bool:
        """Whether it still has to be enabled, in place of one that was enabled."""
        return not self.enabled and self.notes.get("replaces", "").endswith(" running")


def recurring_runs(kubeflow: Kubeflow, name: str, store: str) -> dict[str, list[RecurringRun]]:
    """The recurring runs of a model in a store, by schedule, the oldest first."""
    by_schedule: dict[str, list[RecurringRun]] = {}
    for schedule, recurring in _of_model(kubeflow, name):
        if _same_store(recurring.store, store):
            by_schedule.setdefault(schedule, []).append(recurring)
    return by_schedule


def of_other_stores(kubeflow: Kubeflow, name: str, store: str) -> list[tuple[str, RecurringRun]]:
    """The recurring runs of models of this name in other stores, each with its schedule."""
    return [pair for pair in _of_model(kubeflow, name) if not _same_store(pair[1].store, store)]


def _of_model(kubeflow: Kubeflow, name: str) -> Iterator[tuple[str, RecurringRun]]:
    for document in kubeflow.pages(
        "recurringruns", "recurringRuns", page_size=100, sort_by="created_at asc", **kubeflow.scope
    ):
        lines = [line.partition(" ") for line in str(document.get("description", "")).splitlines()]
        notes = {word: rest for word, _, rest in lines}
        owner, _, schedule = notes.get(MARK, "").rpartition("/")
        if owner == name and schedule:
            yield schedule, RecurringRun(document, notes)


def _same_store(store: str, other: str) -> bool:
    return store.rstrip("/") == other.rstrip("/")


def content_digest(content: Json) -> str:
    """The first 80 bits of the SHA-256 of a JSON document, in hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def create(kubeflow: Kubeflow, body: Json, notes: dict[str, str], enabled: bool) -> RecurringRun:
    """Create a recurring run, only once even when the response is lost."""
    # The time makes the description unique, so that `find` recognises this very creation.
    notes = notes | {"made": utc_now().isoformat()}
    description = "\n".join(f"{word} {rest}" for word, rest in notes.items())
    body = body | {"description": description, "mode": "ENABLE" if enabled else "DISABLE"}

    def find() -> Json | None:
        listed = kubeflow.pages("recurringruns", "recurringRuns", page_size=100, **kubeflow.scope)
        return next((entry for entry in listed if entry.get("description") == description), None)

    document, _ = kubeflow.ensure(find, lambda: kubeflow.post("recurringruns", body))
    return RecurringRun(document, notes)


def replace(
    kubeflow: Kubeflow, old: RecurringRun, body: Json, notes: dict[str, str], show: ShowLine
) -> None:
    """Replace a recurring run: no fire time is missed, and none is run twice.

    The replacement of a paused one is paused, too.

    Raises:
        ClusterError: a run of the old one that was due does not start.
    """
    cron = body["trigger"]["cron_schedule"]["cron"]
    state = "running" if old.enabled else "paused"
    while True:
        _wait_until_quiet(kubeflow, old, cron, show)
        new = create(kubeflow, body, notes | {"replaces": f"{old.id} {state}"}, enabled=False)
        if _unquiet(kubeflow, old, cron, QUIET_AFTER_CREATION):  # the creation took too long
            kubeflow.delete(f"recurringruns/{new.id}")
        elif _take_over(kubeflow, new, old, show):
            return


def finish(kubeflow: Kubeflow, group: list[RecurringRun], show: ShowLine) -> RecurringRun | None:
    """Complete the replacements that an earlier, interrupted call left half done.

    Args:
        kubeflow: the API.
        group: the recurring runs of one schedule.
        show: shows what is done.

    Returns:
        The only recurring run that is left of the schedule, None when there was none.
    """
    left = {recurring.id: recurring for recurring in group}
    for new in group:
        old = left.get(new.replaces)
        if old is None:
            continue
        show("an earlier replacement was not finished; finishes it")
        if new.pending and old.enabled:
            # The new one never ran, and the settings may have changed since.
            kubeflow.delete(f"recurringruns/{new.id}")
            del left[new.id]
        else:
            del left[old.id if _take_over(kubeflow, new, old, show) else new.id]
    if not left:
        return None
    # Two are left where two people applied at once: the enabled one stays, else the newest.
    *others, last = sorted(
        left.values(), key=lambda recurring: (recurring.enabled, recurring.created)
    )
    for recurring in others:
        show("there is more than one; deletes the others")
        retire(kubeflow, recurring, show)
    return RecurringRun(kubeflow.get(f"recurringruns/{last.id}"), last.notes)


def pause(kubeflow: Kubeflow, recurring: RecurringRun) -> None:
    """Start no more runs until it is resumed."""
    kubeflow.post_idempotent(f"recurringruns/{recurring.id}:disable")


def resume(kubeflow: Kubeflow, recurring: RecurringRun, show: ShowLine) -> None:
    """Start runs again from now on; without catch-up, missed times are not run.

    The server runs the latest missed time at once when a recurring run is enabled. So if a time was
    missed, a new recurring run takes the place of this one.
    """
    last = max([recurring.created, *(_moment(run) for run in _runs(kubeflow, recurring))])
    if recurring.document.get("no_catchup") and last_time(recurring.cron, utc_now()) > last:
        body = {key: recurring.document[key] for key in COPIED_KEYS if key in recurring.document}
        body |= kubeflow.scope
        notes = {word: rest for word, rest in recurring.notes.items() if word != "replaces"}
        notes |= {"replaces": f"{recurring.id} running"}
        new = create(kubeflow, body, notes, enabled=False)
        _take_over(kubeflow, new, recurring, show)
    else:
        kubeflow.post_idempotent(f"recurringruns/{recurring.id}:enable")


def retire(kubeflow: Kubeflow, recurring: RecurringRun, show: ShowLine) -> None:
    """Delete a recurring run once its runs have ended; these, their pods and logs stay.

    Raises:
        ClusterError: one goes on for LONGEST_RUN.
    """
    if recurring.enabled:
        pause(kubeflow, recurring)
    since = utc_now()
    while run := _ongoing(_runs(kubeflow, recurring)):
        if utc_now() - since > LONGEST_RUN:
            raise ClusterError(
                f"the run {run['display_name']} has not ended in a day",
                f"end it with `setlist runs stop {run['run_id']}` and delete it with `setlist runs "
                f"delete {run['run_id']}`, then repeat this command",
            )
        show(f"waits: its run {run['display_name']} goes on, and the deletion would end it")
        sleep(SCHEDULE_POLL_SECONDS)
    kubeflow.delete(f"recurringruns/{recurring.id}", propagation_policy="ORPHAN")


def latest_run(kubeflow: Kubeflow, recurring: RecurringRun) -> Json | None:
    """The latest run of a recurring run; None where it has not run yet."""
    return next(_runs(kubeflow, recurring), None)


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def _take_over(kubeflow: Kubeflow, new: RecurringRun, old: RecurringRun, show: ShowLine) -> bool:
    """Let the new one take over; False if the old one has run a time of the new one, and stays."""
    if new.pending:
        pause(kubeflow, old)
        if last_time(old.cron, utc_now()) > new.created:
            show("waits a minute, since a time fell in between")
            sleep(QUIET_BEFORE.total_seconds())  # until a run that has begun is in the list
        if any(_moment(run) > new.created for run in _runs(kubeflow, old)):
            kubeflow.post_idempotent(f"recurringruns/{old.id}:enable")
            kubeflow.delete(f"recurringruns/{new.id}")
            return False
        kubeflow.post_idempotent(f"recurringruns/{new.id}:enable")
    retire(kubeflow, old, show)
    return True


def _wait_until_quiet(kubeflow: Kubeflow, old: RecurringRun, cron: str, show: ShowLine) -> None:
    since = utc_now()
    while reason := _unquiet(kubeflow, old, cron, QUIET_AFTER):
        if reason.endswith(LATE) and utc_now() - since > LATE_RUN_TIMEOUT:
            raise ClusterError(
                f"{old.document['display_name']}: {reason} for ten minutes",
                "see what ml-pipeline-scheduledworkflow logs, or give that run up with `setlist "
                f"schedule delete {old.notes[MARK].rpartition('/')[2]} --config FILE` and apply "
                "again",
            )
        show(f"waits: {reason}")
        sleep(SCHEDULE_POLL_SECONDS)


def _unquiet(kubeflow: Kubeflow, old: RecurringRun, cron: str, after: timedelta) -> str:
    """Why a recurring run cannot be replaced now; "" when it can, as always when it is paused."""
    if not old.enabled:
        return ""
    moment = utc_now()
    for line in (old.cron, cron):
        if near := _near_time(line, moment, after):
            return f"it runs at {near:%H:%M:%S} UTC"
    runs = list(_runs(kubeflow, old))
    if run := _ongoing(runs):
        return f"its run {run['display_name']} goes on"
    due = last_time(old.cron, moment)
    if due > old.created and not any(_moment(run) >= due for run in runs):
        return f"the run of {due:%Y-%m-%d %H:%M:%S} UTC {LATE}"
    return ""


def _near_time(cron: str, moment: datetime, after: timedelta) -> datetime | None:
    """A fire time less than QUIET_BEFORE before the moment, or less than `after` after it."""
    before, following = last_time(cron, moment), next_time(cron, moment)
    if moment - before < QUIET_BEFORE:
        return before
    return following if following - moment < after else None


def _runs(kubeflow: Kubeflow, recurring: RecurringRun) -> Iterator[Json]:
    """The recent runs of a recurring run, the latest first."""
    runs = kubeflow.pages(
        "runs",
        "runs",
        experiment_id=recurring.document["experiment_id"],
        filter=equals_filter("recurring_run_id", recurring.id),
        sort_by="created_at desc",
        page_size=MOST_RECENT_RUNS,
    )
    return islice(runs, MOST_RECENT_RUNS)


def _moment(run: Json) -> datetime:
    """The fire time of a run, or else the time of its creation."""
    scheduled = datetime.fromisoformat(run.get("scheduled_at") or run["created_at"])
    # The server writes 1970-01-01 for a time that is not set.
    return scheduled if scheduled.year > 1970 else datetime.fromisoformat(run["created_at"])


def _ongoing(runs: Iterable[Json]) -> Json | None:
    return next((run for run in runs if run.get("state") not in ENDED_STATES), None)
