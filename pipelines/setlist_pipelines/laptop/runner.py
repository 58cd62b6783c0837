"""Run the pipeline on this machine: `kfp.local`, in subprocesses or in containers.

The Kubeflow SDK writes everything to standard output. Here it goes to a log file, and the lines
that say what happens become progress.
"""

import io
import os
import re
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import yaml
from kfp import local
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from setlist import errors
from setlist.errors import SetlistError, SettingsError
from setlist_pipelines.laptop.kfp_patches import end_steps_with_us, name_outputs
from setlist_pipelines.laptop.run_outputs import SETTINGS_FILE, Run, ShowStep
from setlist_pipelines.settings.cron_schedule import PipelineName
from setlist_pipelines.settings.file import Settings, with_absolute_paths

STARTED = re.compile(r"Executing task '([\w-]+)'")
FINISHED = re.compile(r"Task '([\w-]+)' finished with status (SUCCESS|FAILURE)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
EXCEPTION = re.compile(r"([\w.]+\.)?([A-Z]\w*(?:Error|Exception)): (.+)")
"""The last line of a traceback: module, class, message."""


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
        self.file.write(COLOUR.sub("", text))
        self.file.flush()
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
                self.failed = f"{reason} (step {task})"
        elif exception := EXCEPTION.fullmatch(line):
            module, name, message = exception.groups()
            # The message of an error of ours is a sentence; other errors need their class.
            explains_itself = module == f"{errors.__name__}."
            self.fault = message if explains_itself else f"{name}: {message}"
        elif self.task and line and not line.startswith("["):
            self.say(self.task, line, None)

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


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM interrupt what runs in this block, as Ctrl-C does; in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        SettingsError: the work folder cannot be made or written.
        SetlistError: a step failed; the message is that of the step, and names the log.
    """
    settings = with_absolute_paths(settings)
    workdir = workdir.absolute()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(
            f"{workdir} cannot be made: {fault.strerror}", "use another --workdir"
        ) from fault
    if not os.access(workdir, os.W_OK | os.X_OK):
        raise SettingsError(f"{workdir}: no permission to write", "use another --workdir")
    if docker_image:
        os.environ["SETLIST_IMAGE"] = docker_image
        from setlist_pipelines.laptop.containers import container_runner

        runner = container_runner(docker_image, workdir, settings, container or {})
    else:
        end_steps_with_us()
        runner = local.SubprocessRunner(use_venv=False)
    from setlist_pipelines.graphs import graph

    arguments, component = settings.arguments(pipeline), graph(pipeline, settings)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    root = workdir / f"{pipeline}-{stamp}"
    name_outputs(root.name)
    log = workdir / f"run-{stamp}.log"
    local.init(runner=runner, pipeline_root=str(workdir), raise_on_error=True)
    failed = ""
    with log.open("w", encoding="utf-8") as file, warnings.catch_warnings():
        screen = _Log(file, say, step_titles(component.pipeline_spec))
        warnings.filterwarnings("ignore", module=r"kfp\.local")  # display names, image names
        try:
            with redirect_stdout(screen), interrupted_by_sigterm():
                component(**arguments)
        except KeyboardInterrupt as signalled:
            raise SetlistError(
                f"{signalled or 'Ctrl-C'} ended the run in step {screen.task}, which was ended, "
                f"too; nothing is left running, and what was written is in {root}. The log is {log}"
            ) from signalled
        except RuntimeError as fault:
            failed = COLOUR.sub("", str(fault))
    if failed:
        raise SetlistError(f"{(screen.failed or failed).rstrip('.')}. The log is {log}")
    text = yaml.safe_dump(settings.document(), sort_keys=False, allow_unicode=True)
    (root / SETTINGS_FILE).write_text(text, "utf-8")
    # The artifact's own name has no ending, and a browser would show its source.
    if (page := root / "report" / "page").is_file():
        shutil.copyfile(page, root / "report.html")
    return Run(root=root, log=log)
