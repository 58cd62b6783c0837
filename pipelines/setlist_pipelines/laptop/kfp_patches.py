"""What setlist replaces in kfp 2.17.0, all in one place; each patch says why.

The patches work on `kfp.local`, which runs the pipeline on this machine. Nothing that a cluster
runs is patched.
"""

from typing import Any

import docker
from kfp.local import (
    docker_task_handler,
    executor_input_utils,
    placeholder_utils,
    subprocess_task_handler,
)

from setlist_pipelines.laptop.step_command import StepCommand
from setlist_pipelines.laptop.supervisor import Supervisor


def name_run(folder: str, run_id: str) -> None:
    """Have the next local run write its outputs to a folder of that name, and have that id.

    kfp names the folder by the time in seconds and does not tell the name. Two runs that share a
    work folder could meet in it, and the caller could not find its own. Its id is one of 10^8, and
    another one when the run goes on after a kill: a push would not know its own run.
    """
    executor_input_utils.get_local_pipeline_resource_name = lambda _: folder
    placeholder_utils.make_random_id = lambda: run_id


def supervise_processes(supervisor: Supervisor) -> None:
    """Have the process of a step run by the supervisor.

    kfp leaves it behind when the run is ended, leaves a temporary folder of each step, passes the
    settings in one argument, which Linux bounds, and knows no finished steps.
    """
    subprocess_task_handler.run_local_subprocess = supervisor.run_step


def supervise_containers(supervisor: Supervisor) -> None:
    """Have a container not run for a finished step, and its exit code read before it is removed.

    kfp lets the engine remove a container when it ends. Where the removal is quicker than the
    question for the exit code, kfp records a failure as a success (seen in 4 of 30 runs).
    """

    def attempt(
        client: docker.DockerClient,
        image: str,
        command: list[str],
        volumes: dict[str, Any],
        **arguments: Any,  # noqa: ANN401 - whatever `docker run` takes
    ) -> int:
        step = StepCommand.parse(command)
        own = {"environment": supervisor.environment(step) | arguments.pop("environment", {})}
        return supervisor.attempt(
            step,
            lambda: run_container(supervisor, client, image, command, volumes, **arguments, **own),
        )

    docker_task_handler.run_docker_container = attempt


def run_container(
    supervisor: Supervisor,
    client: docker.DockerClient,
    image: str,
    command: list[str],
    volumes: dict[str, Any],
    **arguments: Any,  # noqa: ANN401 - whatever `docker run` takes
) -> int:
    """Run a container to its end, print what it prints, remove it, and return its exit code."""
    container = client.containers.run(image, command, detach=True, volumes=volumes, **arguments)
    try:
        for line in supervisor.waited(container.logs(stream=True)):
            print(line.decode(), end="")  # noqa: T201 - the runner turns it into progress
        with supervisor.waiting():
            return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)
