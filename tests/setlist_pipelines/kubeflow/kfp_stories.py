"""What becomes of a run of the stub: its tasks as the API tells them, its nodes as Argo has them.

Every run has two steps that begin, `plan` and `curate`; a story says what befalls `curate`.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

WORKFLOW = "retraining-x7k2p"
GROUP = f"{WORKFLOW}(0).root(0).exit-handler-1(0)"
UNSET = "0001-01-01T00:00:00Z"
"""The end of what goes on."""


@dataclass
class Story:
    """A run from its beginning to its end.

    Attributes:
        outcome: the state in which it ends.
        attempts: at `curate`; all but the last are pods that were lost.
        message: what Argo writes down of the last pod of `curate`.
        stopped: whether somebody ends it.
    """

    outcome: str = "SUCCEEDED"
    attempts: int = 1
    message: str = ""
    stopped: bool = False

    def following(self, state: str) -> str:
        """The state after one; an ended run stays as it is."""
        if self.stopped and state in ("PENDING", "RUNNING"):
            return "CANCELING"
        return {"PENDING": "RUNNING", "RUNNING": self.outcome, "CANCELING": "FAILED"}.get(
            state, state
        )

    def history(self, state: str) -> list[dict]:
        """The states so far; the second entry has none, as in some of the recordings."""
        states: list[str | None] = ["PENDING", None, "RUNNING"]
        if state == "PENDING":
            states = ["PENDING"]
        elif state != "RUNNING":
            states += ["CANCELING"] if self.stopped else []
            states += [] if state == "CANCELING" else [state]
        now = datetime.now(UTC).isoformat()
        return [
            {"update_time": now if each == "CANCELING" else instant(0)}
            | ({"state": each} if each else {})
            for each in states
        ]

    def curate(self, state: str) -> str:
        """The state of `curate` in a run of this state."""
        return {"RUNNING": "RUNNING", "CANCELING": "RUNNING", "SUCCEEDED": "SUCCEEDED"}.get(
            state, "FAILED"
        )


def instant(number: int) -> str:
    return f"2026-01-01T00:{number % 60:02d}:00Z"


def pod(step: str, attempt: int = 0) -> str:
    """What Argo names the pod of an attempt at a step; those of `plan` have no retries."""
    template = ("retry-" if step not in ("plan", "curate") else "") + "system-container-impl"
    return f"{WORKFLOW}-{template}-{fnv(f'{GROUP}.{step}(0).executor({attempt})')}"


def fnv(text: str) -> int:
    """FNV-1a of 32 bits, by which Argo tells nodes apart."""
    found = 2166136261
    for byte in text.encode():
        found = (found ^ byte) * 16777619 % 2**32
    return found


def details(run_id: str, story: Story, curate: str) -> list[dict]:
    """The tasks of a run that is at `curate`: every node of Argo is one that can be repeated."""
    times = {"plan": (1, 5), "curate": (2, 5)}
    made = []
    nodes = _nodes(curate)
    for name, state in nodes.items():
        last = name.rpartition(".")[2]
        begin, end = times.get(re.sub(r"(\(0\))?$", "", last), (0, 5))
        tries = story.attempts if name.endswith("curate(0).executor") else 1
        repeated = [f"{name}({attempt})" for attempt in range(tries)]
        below = [other for other in nodes if other.rpartition(".")[0] == f"{name}(0)"]
        kept = {"run_id": run_id, "create_time": instant(0), "start_time": instant(begin)}
        entries = [(last, repeated, state)]
        for attempt in range(tries):
            lost = attempt < tries - 1
            entries.append((f"{last}({attempt})", below, "FAILED" if lost else state))
        for display_name, children, its in entries:
            ids = [{"pod_name": f"{WORKFLOW}-{fnv(child)}"} for child in children]
            made.append(
                kept
                | {"end_time": UNSET if its == "RUNNING" else instant(end), "state": its}
                | {"state_history": [{"update_time": instant(begin), "state": its}]}
                | {"task_id": f"{len(made):08x}-2222", "display_name": display_name}
                | ({"child_tasks": ids} if ids else {})
            )
    # What the launcher reports by itself has no name and no state.
    unnamed = {"run_id": run_id, "create_time": instant(0), "start_time": instant(0)}
    unnamed |= {"end_time": instant(5)}
    made.append(unnamed | {"task_id": "0000ffff-2222", "execution_id": "24"})
    return made


def manifest(story: Story, curate: str) -> str:
    """The Workflow object, as JSON, as the v1beta1 API answers it within a run."""
    nodes = {}
    for name, state in _nodes(curate).items():
        tries = story.attempts if name.endswith("curate(0).executor") else 1
        for attempt in range(tries):
            whole = f"{name}({attempt})"
            node = {"name": whole, "phase": state.title()}
            if name.endswith("curate(0).executor"):
                lost = attempt < tries - 1
                # `podReconciliation` of Argo 4.0.5, for a pod that is not there any more.
                message = "pod deleted" if lost else story.message
                node |= {"phase": "Error"} if lost else {}
                node |= {"message": message} if message and curate != "RUNNING" else {}
            nodes[f"{WORKFLOW}-{fnv(whole)}"] = node
    return json.dumps({"metadata": {"name": WORKFLOW}, "status": {"nodes": nodes}})


def _nodes(curate: str) -> dict[str, str]:
    """The states of the nodes, by their names without the number of an attempt."""
    return {
        WORKFLOW: curate,
        f"{WORKFLOW}(0).root-driver": "SUCCEEDED",
        f"{WORKFLOW}(0).root": curate,
        f"{WORKFLOW}(0).root(0).exit-handler-1-driver": "SUCCEEDED",
        GROUP.removesuffix("(0)"): curate,
        f"{GROUP}.plan-driver": "SUCCEEDED",
        f"{GROUP}.plan": "SUCCEEDED",
        f"{GROUP}.plan(0).executor": "SUCCEEDED",
        f"{GROUP}.curate-driver": "SUCCEEDED",
        f"{GROUP}.curate": curate,
        f"{GROUP}.curate(0).executor": curate,
    }
