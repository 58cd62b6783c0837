"""The steps of a run as the pipeline has them, from the backend's tasks and the stored version.

A run's document lists every node of the backend: groups, drivers, executors, each twice where it
can be repeated. The pipeline's version, which the server keeps, has the steps, their order and
their display names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from setlist.errors import ClusterNotFoundError
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.argo_nodes import ATTEMPT, node_names, task_details

ENDED_STATES = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
BEING_ENDED = "CANCELING"
LONGEST_END = timedelta(minutes=10)
"""From `runs stop` to the end of a run, with its exit handler."""
POD_SECONDS = 3.0
"""No pod starts and ends in less; a step that took its result from the cache has no pod."""
LEFT_OUT, CACHED, UNKNOWN, NOT_BEGUN = "left out", "cached", "not known", "not begun"


@dataclass(frozen=True)
class PlannedStep:
    """A step of a pipeline.

    Attributes:
        task: its name in the compiled pipeline, unique in it.
        name: the display name.
        group: the node of the backend that it belongs to.
        repeats: whether the compiled pipeline has retries for it.
    """

    task: str
    name: str
    group: str
    repeats: bool


@dataclass(frozen=True)
class Step:
    """A step of a run.

    Attributes:
        task: its name in the compiled pipeline.
        name: the display name.
        state: one word: succeeded, failed, running and so on as the server has it, or cached, left
            out, not begun; "not known" where the server stopped looking before the step ended.
        seconds: its duration; None until it has ended.
        pods: the ids of the nodes of its pods, the first attempt first.
        repeats: whether the pipeline has retries for it, None where the version is gone.
    """

    task: str
    name: str
    state: str
    seconds: float | None = None
    pods: tuple[str, ...] = ()
    repeats: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state.upper() in ENDED_STATES or self.state in (CACHED, LEFT_OUT, UNKNOWN)


def planned_steps(spec: Json) -> list[PlannedStep]:
    """The steps of a compiled pipeline in its order; what waits for another comes after it."""

    def steps(dag: Json, group: str) -> Iterator[PlannedStep]:
        left = dict(sorted(dag["dag"]["tasks"].items(), key=lambda item: _natural(item[0])))
        while left:
            task = next(
                (key for key in left if not left.keys() & set(left[key].get("dependentTasks", ()))),
                next(iter(left)),  # a circle, which no compiler writes
            )
            entry = left.pop(task)
            component = spec["components"][entry["componentRef"]["name"]]
            if "dag" in component:
                yield from steps(component, task)
                continue
            after_all = (entry.get("triggerPolicy") or {}).get("strategy")
            # The backend runs an exit handler as a hook of the group that it waits for.
            hook = after_all == "ALL_UPSTREAM_TASKS_COMPLETED" and entry.get("dependentTasks")
            display_name = (entry.get("taskInfo") or {}).get("name") or task
            place = f"{hook[0]}.onExit" if hook else group
            yield PlannedStep(task, display_name, place, "retryPolicy" in entry)

    return list(steps(spec["root"], "root"))


def read_plan(kubeflow: Kubeflow, run: Json) -> list[PlannedStep]:
    """The steps of a run's pipeline; none where the server no longer has the version."""
    spec = _specification(kubeflow, run)
    return planned_steps(spec) if spec else []


def with_defaults(kubeflow: Kubeflow, run: Json) -> Json:
    """A run's document with the arguments that it took from its version, as one of the page may."""
    configuration = run.get("runtime_config") or {}
    given = configuration.get("parameters") or {}
    if "store" in given:
        return run
    root = _specification(kubeflow, run).get("root") or {}
    declared = (root.get("inputDefinitions") or {}).get("parameters") or {}
    defaults = {
        key: each["defaultValue"] for key, each in declared.items() if "defaultValue" in each
    }
    return run | {"runtime_config": configuration | {"parameters": defaults | given}}


def _specification(kubeflow: Kubeflow, run: Json) -> Json:
    """The compiled pipeline of a run; empty where the server no longer has the version."""
    reference = run.get("pipeline_version_reference") or {}
    pipeline, version = reference.get("pipeline_id"), reference.get("pipeline_version_id")
    spec = run.get("pipeline_spec")
    if not spec and pipeline and version:
        try:
            spec = kubeflow.get(f"pipelines/{pipeline}/versions/{version}").get("pipeline_spec")
        except ClusterNotFoundError:
            return {}
    # With settings of a platform, the specification is one of two parts.
    whole: Json = spec or {}
    return dict(whole.get("pipeline_spec") or whole)


def steps_of(run: Json, plan: list[PlannedStep]) -> list[Step]:
    """The steps of a run, in the order of its pipeline."""
    details = {str(task.get("display_name") or ""): task for task in task_details(run)}
    details.pop("", None)
    plan = plan or _guessed_plan(details)
    # What has not begun is left out here, and cannot be the name of a node.
    executors = _executors(node_names(run, {ATTEMPT.sub("", name) for name in details}))
    over = run.get("state") in ENDED_STATES
    return [_step(planned, details, executors.get(planned.task, ()), over) for planned in plan]


def failed_step(steps: list[Step]) -> Step | None:
    """The step that ended a run, None where none failed."""
    return next((step for step in steps if step.state == "failed"), None)


def is_stuck(run: Json) -> bool:
    """Whether somebody ended the run a while ago, and it does not end: its Workflow is gone."""
    history = run.get("state_history") or ()
    since = [each.get("update_time") for each in history if each.get("state") == BEING_ENDED]
    if run.get("state") != BEING_ENDED or not since:
        return False
    return datetime.now(UTC) - datetime.fromisoformat(str(since[0])) > LONGEST_END


def was_ended_by_hand(run: Json) -> bool:
    """Whether somebody ended the run, which the server then calls FAILED."""
    return any(entry.get("state") == BEING_ENDED for entry in run.get("state_history") or ())


def seconds_between(start: str | None, end: str | None) -> float | None:
    """The seconds between two instants of the API; None where one is missing or not set."""
    instants = [datetime.fromisoformat(text) for text in (start, end) if text]
    # The server writes the year 1 or 1970 for an end that is not set.
    if len(instants) < 2 or instants[1] < instants[0]:
        return None
    return (instants[1] - instants[0]).total_seconds()


def _step(
    planned: PlannedStep, details: dict[str, Json], pods: tuple[str, ...], over: bool
) -> Step:
    detail = details.get(planned.task)
    state, seconds = NOT_BEGUN, None
    if detail is not None:
        state = str(detail.get("state") or LEFT_OUT)
        if state in ENDED_STATES:
            seconds = seconds_between(detail.get("start_time"), detail.get("end_time"))
        if state == "SUCCEEDED" and not pods and (seconds or 0.0) < POD_SECONDS:
            state, seconds = CACHED, None
        elif state == "SKIPPED":
            state, seconds = LEFT_OUT, None
        elif over and state not in (*ENDED_STATES, LEFT_OUT):
            # The last tasks of a run may stay as they were when the server looked last.
            state = UNKNOWN
    elif over:
        group = details.get(planned.group, {}).get("state")
        state = UNKNOWN if group in ("RUNNING", "PENDING") and planned.group != "root" else LEFT_OUT
    return Step(planned.task, planned.name, state.lower(), seconds, pods, planned.repeats)


def _executors(names: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The ids of the nodes of pods, by task: the attempts at an executor, else the executor."""
    by_task: dict[str, list[tuple[str, str]]] = {}
    repeated = any(name.endswith(".executor(0)") for name in names.values())
    for node, name in names.items():
        above, _, last = name.rpartition(".")
        if ATTEMPT.sub("", last) == "executor" and (ATTEMPT.search(last) or not repeated):
            task = ATTEMPT.sub("", above.rpartition(".")[2])
            by_task.setdefault(task, []).append((name, node))
    return {
        task: tuple(node for _, node in sorted(nodes, key=lambda pair: _natural(pair[0])))
        for task, nodes in by_task.items()
    }


def _guessed_plan(details: dict[str, Json]) -> list[PlannedStep]:
    """The steps where the version is gone: what has a driver and is no group, as it began."""
    drivers = {name.removesuffix("-driver") for name in details if name.endswith("-driver")}
    groups = ("root", "exit-handler-", "condition-", "for-loop-")
    begun = sorted(details.items(), key=lambda item: str(item[1].get("start_time", "")))
    return [
        PlannedStep(name, name, "", False)
        for name, _ in begun
        if name in drivers and not name.startswith(groups)
    ]


def _natural(name: str) -> list[str | int]:
    """A key that sorts train-10 after train-9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
