"""Run the pipeline on this machine: `kfp.local`, in subprocesses or in containers.

The Kubeflow SDK writes everything to standard output. Here it goes to a log file, and the lines
that say what happens become progress.
"""

import io
import os
import re
import shlex
import time
import warnings
from collections.abc import Mapping
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from kfp import local
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from setlist import errors
from setlist.errors import SetlistError
from setlist.models.library_noise import is_noise
from setlist.runs.step_failure import NAME_VARIABLE, STORE_VARIABLE
from setlist.termination import RUN_VARIABLE
from setlist_pipelines.laptop.kfp_patches import (
    name_run,
    supervise_containers,
    supervise_processes,
)
from setlist_pipelines.laptop.preflight import FREE_SPACE, disk_faults, ready
from setlist_pipelines.laptop.run_outputs import FINAL, Run, ShowStep
from setlist_pipelines.laptop.run_page import finish_page
from setlist_pipelines.laptop.run_state import RunState
from setlist_pipelines.laptop.supervisor import Interrupted, Supervisor
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings

STARTED = re.compile(r"Executing task '([\w-]+)'")
FINISHED = re.compile(r"Task '([\w-]+)' finished with status (SUCCESS|FAILURE)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
EXCEPTION = re.compile(r"([\w.]+\.)?([A-Z]\w*(?:Error|Exception)): (.+)")
"""The last line of a traceback: module, class, message."""


FULL_DISK = ("No space left on device", "Disk quota exceeded", "File too large")


class _Log(io.TextIOBase):
    """Standard output while the pipeline runs: goes to a file, and its lines become progress."""

    def __init__(
        self, file: TextIO, say: ShowStep, titles: Mapping[str, str] | None = None
    ) -> None:
        self.file = file
        self.say = say
        self.titles = titles or {}
        self.line = ""
        self.task = ""
        self.fault = ""
        self.failed = ""
        self.began: dict[str, float] = {}

    def write(self, text: str) -> int:
        try:
            self.file.write(COLOUR.sub("", text))
            self.file.flush()
        except OSError as fault:
            # The steps meet the full disk themselves, and what they say of it is read below.
            self.fault = self.fault or f"the log cannot be written: {fault.strerror}"
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            self._read(COLOUR.sub("", line).strip())
        return len(text)

    def _read(self, line: str) -> None:
        if started := STARTED.search(line):
            self.task = self._title(started[1])
            self.fault = ""
            self.began[self.task] = time.monotonic()
            self.say(self.task, "", None)
        elif finished := FINISHED.search(line):
            task = self._title(finished[1])
            self.say(task, finished[2], time.monotonic() - self.began[task])
            if finished[2] == "FAILURE" and not self.failed:
                # Branches that do not depend on the step go on; what they print is not the reason.
                reason = self.fault or "it ended without saying why, as when memory runs out"
                self.failed = f"{reason.rstrip('.')} (step {task})."
        elif exception := EXCEPTION.fullmatch(line):
            module, name, message = exception.groups()
            # The message of an error of ours is a sentence; other errors need their class.
            explains_itself = module == f"{errors.__name__}."
            self.fault = message if explains_itself else f"{name}: {message}"
        elif self.task and line and not line.startswith("[") and not is_noise(line):
            self.say(self.task, line, None)

    @property
    def place(self) -> str:
        """Where the run is, in a sentence."""
        return (
            f"in step {self.task}, which was ended, too" if self.task else "before its first step"
        )

    def _title(self, task: str) -> str:
        return self.titles.get(task, task)


def step_titles(spec: PipelineSpec) -> dict[str, str]:
    """The display name of each task, by the name under which `kfp.local` runs it."""
    dags = [spec.root.dag, *(component.dag for component in spec.components.values())]
    return {
        task.component_ref.name.removeprefix("comp-"): task.task_info.name
        for dag in dags
        for task in dag.tasks.values()
    }


def run_local(
    settings: Settings,
    workdir: Path,
    say: ShowStep,
    docker_image: str = "",
    container: Mapping[str, Any] | None = None,
    pipeline: PipelineName = "retraining",
) -> Run:
    """Run a pipeline and wait for it.

    Args:
        settings: checked.
        workdir: a folder for the outputs of all runs.
        say: shows the progress of each step.
        docker_image: run every step in a container of this image, without network.
        container: arguments of `docker run` in place of ours, e.g. a network.
        pipeline: which one.

    Raises:
        SettingsError: the machine lacks what the run needs; nothing was started.
        SetlistError: a step failed, or a signal ended the run; the message names the log.
    """
    settings, workdir = ready(settings, workdir, pipeline)
    with disk_faults(workdir):
        state = RunState.create(workdir, pipeline, docker_image, settings)
    with closing(state):
        return _run(state, settings, say, container or {})


def resume_local(
    root: Path, say: ShowStep, container: Mapping[str, Any] | None = None
) -> tuple[Run, Settings]:
    """Take up a run that was ended: what it has finished is not done again.

    Args:
        root: the folder of the run.
        say: shows the progress of each step.
        container: arguments of `docker run` in place of ours.

    Returns:
        The run, and the settings with which it was begun.

    Raises:
        SettingsError: there is no such run, it is finished, or another process works on it.
        SetlistError: as `run_local`.
    """
    root = root.absolute()
    with disk_faults(root), closing(RunState.reopen(root)) as state:
        settings, _ = ready(state.settings(), root.parent, state.identity.pipeline)
        return _run(state, settings, say, container or {}), settings


def _run(state: RunState, settings: Settings, say: ShowStep, container: Mapping[str, Any]) -> Run:
    from setlist_pipelines.graphs import graph

    pipeline, workdir = state.identity.pipeline, state.root.parent
    arguments, component = settings.arguments(pipeline), graph(pipeline, settings)
    titles = step_titles(component.pipeline_spec)
    place = {
        RUN_VARIABLE: state.identity.run_id,
        STORE_VARIABLE: settings.store,
        NAME_VARIABLE: settings.name,
    }
    supervisor = Supervisor(state, place, titles)
    runner = _runner(supervisor, settings, container)
    name_run(state.root.name, state.identity.run_id)
    local.init(
        runner=runner,
        pipeline_root=str(workdir),
        workspace_root=str(state.workspace),  # kfp would make one where temporary folders go
        raise_on_error=True,
    )
    again = f"setlist run --resume {shlex.quote(str(state.root))}"
    ending, fault = f"To go on with it: {again}. The log is {state.log}", ""
    with (
        disk_faults(workdir, ending),
        state.log.open("a", encoding="utf-8", errors="replace") as file,
        warnings.catch_warnings(),
    ):
        screen = _Log(file, say, titles)
        warnings.filterwarnings("ignore", module=r"kfp\.local")  # display names, image names
        try:
            with supervisor.interrupted_by_signals():
                with redirect_stdout(screen):
                    component(**arguments)
                state.complete()
        except Interrupted as signalled:
            fault = (
                f"{signalled.word} ended the run {screen.place}; nothing is left running, and what "
                f"was finished is in {state.root}"
            )
        except RuntimeError as failed:
            fault = screen.failed or COLOUR.sub("", str(failed))
            if any(words in fault for words in FULL_DISK):
                fault = f"{fault}; {FREE_SPACE}."
        if fault:
            screen.write(f"\n{fault}\n")
            if any(words in fault for words in FINAL):
                ending = f"Then start a new run. The log is {state.log}"
            raise SetlistError(f"{fault.rstrip('.')}. {ending}")
    run = Run(root=state.root, log=state.log)
    # The artifact's own name has no ending, and a browser would show its source.
    if (page := state.root / "report" / "page").is_file():
        with disk_faults(workdir, ending):
            finish_page(run, settings, page.read_text("utf-8"), state.root / "report.html")
    return run


def _runner(
    supervisor: Supervisor, settings: Settings, container: Mapping[str, Any]
) -> local.SubprocessRunner | local.DockerRunner:
    """Where the steps run: in processes, or in containers."""
    state = supervisor.state
    if image := state.identity.image:
        os.environ["SETLIST_IMAGE"] = image
        from setlist_pipelines.laptop.containers import container_runner

        supervise_containers(supervisor)
        runner = container_runner(image, state.root.parent, settings, container)
        if not os.getuid():  # the containers run as the account that now has the work folder
            owner = state.root.parent.stat()
            os.chown(state.root, owner.st_uid, owner.st_gid)
        return runner
    supervise_processes(supervisor)
    return local.SubprocessRunner(use_venv=False)
