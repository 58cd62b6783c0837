"""What setlist replaces in kfp 2.17.0, all in one place; each patch says why.

The patches work on `kfp.local`, which runs the pipeline on this machine. Nothing that a cluster
runs is patched.
"""

from typing import Any

import docker
from kfp.local import docker_task_handler, executor_input_utils


def name_outputs(folder: str) -> None:
    """Have the outputs of the next local run written to a folder of that name.

    kfp names the folder by the time in seconds and does not tell the name. Two runs that share a
    work folder could meet in it, and the caller could not find its own.
    """
    executor_input_utils.get_local_pipeline_resource_name = lambda _: folder


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
