"""What setlist replaces in kfp 2.17.0, all in one place; each patch says why.

The patches work on `kfp.local`, which runs the pipeline on this machine. Nothing that a cluster
runs is patched.
"""

import os
import signal
import subprocess
from typing import Any

import docker
from kfp.local import docker_task_handler, executor_input_utils, subprocess_task_handler

GRACE_SECONDS = 10
"""From asking a step to end until it is killed."""


def name_outputs(folder: str) -> None:
    """Have the outputs of the next local run written to a folder of that name.

    kfp names the folder by the time in seconds and does not tell the name. Two runs that share a
    work folder could meet in it, and the caller could not find its own.
    """
    executor_input_utils.get_local_pipeline_resource_name = lambda _: folder


def end_steps_with_us() -> None:
    """Have the process of a step ended when the run is: kfp waits for it, or leaves it behind."""
    subprocess_task_handler.run_local_subprocess = run_step


def run_step(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
    """Run the process of a step to its end, print what it prints, and return its exit code.

    Whatever interrupts this ends the process as well.
    """
    process = subprocess.Popen(  # noqa: S603 - the command that kfp has made
        full_command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(env_vars or {})},
        start_new_session=True,  # a Ctrl-C reaches us alone, and we tell the step
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as lines:
        try:
            for line in lines:
                print(line, end="")  # noqa: T201 - the runner turns it into progress
            return process.wait()
        finally:
            if process.poll() is None:
                # All of its session: kfp starts a step through a shell.
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def wait_for_containers() -> None:
    """Have the exit code of every container read before the container is removed.

    kfp lets the engine remove a container when it ends. Where the removal is quicker than the
    question for the exit code, kfp records a failure as a success (seen in 4 of 30 runs).
    """
    docker_task_handler.run_docker_container = run_container


def run_container(
    client: docker.DockerClient,
    image: str,
    command: list[str],
    volumes: dict[str, Any],
    **arguments: Any,  # noqa: ANN401 - whatever `docker run` takes
) -> int:
    """Run a container to its end, print what it prints, remove it, and return its exit code."""
    container = client.containers.run(image, command, detach=True, volumes=volumes, **arguments)
    try:
        for line in container.logs(stream=True):
            print(line.decode(), end="")  # noqa: T201 - the runner turns it into progress
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)
