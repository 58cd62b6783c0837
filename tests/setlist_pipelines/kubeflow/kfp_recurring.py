"""Recurring runs of the stub, and a clock that fires them as the controller of 2.17 does.

Read in its sources (backend/src/crd/controller/scheduledworkflow): every 30 seconds it looks at
each one; the next time is the first after the last one that ran, or else after the creation;
without catch-up it is the latest that has passed; it runs if the recurring run is enabled and fewer
of its runs than allowed go on. Whatever is deleted takes its runs along.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from croniter import croniter

LOOK = timedelta(seconds=30)
SHOWN = timedelta(seconds=5)
"""So much later a run can be seen."""


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class Clock:
    """Virtual time; every call to the server takes a second of it."""

    now: datetime = datetime(2026, 11, 25, 12, 0, 7, tzinfo=UTC)
    lasts: timedelta = timedelta(minutes=20)
    """How long a run goes on."""
    recurring: list[dict] = field(default_factory=list)
    fired: list[dict] = field(default_factory=list)
    """All scheduled runs, those that cannot be seen yet among them."""
    gone: list[str] = field(default_factory=list)
    """The runs whose pods and logs are gone."""
    last: dict[str, datetime] = field(default_factory=dict)

    def advance(self, by: timedelta) -> None:
        """Let time pass, look by look."""
        until = self.now + by
        while self.now < until:
            self.look()
            seconds = LOOK.total_seconds()
            ahead = [self.next(one) for one in self.recurring if one["mode"] == "ENABLE"] + [until]
            ahead += [datetime.fromisoformat(run["ends"]) for run in self.going()]
            soon = max(min(ahead), self.now + timedelta(seconds=1))
            grid = datetime.fromtimestamp(-(-soon.timestamp() // seconds) * seconds, UTC)
            self.now = min(grid, until)
        self.look()

    def going(self, owner: str = "") -> list[dict]:
        return [
            run
            for run in self.fired
            if run["state"] == "RUNNING" and owner in ("", run["recurring_run_id"])
        ]

    def next(self, one: dict) -> datetime:
        after = self.last.get(one["recurring_run_id"]) or datetime.fromisoformat(one["created_at"])
        times = croniter(one["trigger"]["cron_schedule"]["cron"], after, second_at_beginning=True)
        found = times.get_next(datetime)
        while one.get("no_catchup") and (following := times.get_next(datetime)) <= self.now:
            found = following
        return found

    def look(self) -> None:
        for run in self.going():
            if datetime.fromisoformat(run["ends"]) <= self.now:
                run["state"] = "SUCCEEDED"
        if self.now.second % LOOK.seconds:
            return
        for one in self.recurring:
            one["status"] = "ENABLED" if one["mode"] == "ENABLE" else "DISABLED"
            while one["mode"] == "ENABLE" and (time := self.next(one)) <= self.now:
                if len(self.going(one["recurring_run_id"])) >= int(one["max_concurrency"]):
                    break
                self.last[one["recurring_run_id"]] = time
                self.fired.append(
                    {
                        "run_id": f"{len(self.fired) + 1:08x}-3333",
                        "display_name": f"{one['display_name']}-{len(self.fired) + 1}",
                        "recurring_run_id": one["recurring_run_id"],
                        "experiment_id": one["experiment_id"],
                        "runtime_config": one["runtime_config"],
                        "created_at": stamp(self.now),
                        "scheduled_at": stamp(time),
                        "state": "RUNNING",
                        "ends": stamp(self.now + self.lasts),
                    }
                )

    def seen(self) -> list[dict]:
        """The scheduled runs as the API shows them."""
        return [
            {key: value for key, value in run.items() if key != "ends"}
            for run in self.fired
            if datetime.fromisoformat(run["created_at"]) + SHOWN <= self.now
        ]

    def create(self, body: dict) -> dict:
        made = body | {
            "recurring_run_id": f"{len(self.last) + len(self.recurring):08x}-{len(self.fired):04x}"
            f"-{int(self.now.timestamp()):x}",
            "created_at": stamp(self.now),
            "updated_at": stamp(self.now),
            "status": "STATUS_UNSPECIFIED",
        }
        self.recurring.append(made)
        return made

    def delete(self, one: dict, policy: str = "") -> None:
        """Delete it; its workflows and their pods go along, unless they become orphans."""
        self.recurring.remove(one)
        if policy == "ORPHAN":
            return
        owned = [run for run in self.fired if run["recurring_run_id"] == one["recurring_run_id"]]
        self.gone += [run["run_id"] for run in owned]
        for run in self.going(one["recurring_run_id"]):
            run["state"] = "FAILED"  # its workflow goes with its owner


def wrong(body: dict) -> str:
    """What the server refuses of a recurring run, "" for nothing."""
    cron = body.get("trigger", {}).get("cron_schedule", {}).get("cron", "")
    if not re.fullmatch(r"(\S+ ){4,5}\S+", cron):
        return "Schedule cron is not a supported format"
    if not re.fullmatch(r"[1-9]|10", body.get("max_concurrency", "")):
        return "The max concurrency of the recurring run is out of range. Support 1-10"
    return "" if body.get("mode") in ("ENABLE", "DISABLE") else "mode is required"
