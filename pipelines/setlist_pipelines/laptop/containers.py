"""Run the steps in containers of one image: the laptop's rehearsal of the cluster."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
from kfp import local

from setlist.addresses import REMOTE_PATH
from setlist.errors import ClusterError
from setlist_pipelines.settings.file import Settings

CONFINED: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "tmpfs": {"/tmp": "mode=1777"},  # noqa: S108 - the container's
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
"""What `docker run` is told, so that a step fails here if it would where a cluster is strict."""
MOST_SETTINGS_BYTES = 100_000
"""Linux takes 128 KiB in one argument, with the paths of the outputs beside the settings."""


def container_runner(
    image: str, workdir: Path, settings: Settings, container: Mapping[str, Any]
) -> local.DockerRunner:
    """A runner without network, whose containers may write into `workdir`, /tmp and nowhere else.

    They run as whoever runs this; where that is root, as the image's user.

    Args:
        image: in the engine.
        workdir: where all outputs go.
        settings: checked.
        container: arguments of `docker run` in place of these.

    Raises:
        ClusterError: when no engine answers, the image is not there, or the settings name a local
            path outside of `workdir`.
    """
    _check_mounted(settings, workdir)
    if len(json.dumps(settings.document())) > MOST_SETTINGS_BYTES:
        raise ClusterError(
            f"the settings are longer than {MOST_SETTINGS_BYTES:,} characters, as no argument of a "
            "container can be",
            "shorten them, or leave out --docker",
        )
    try:
        attributes = docker.from_env().images.get(image).attrs
    except docker.errors.ImageNotFound as fault:
        raise ClusterError(
            f"the image {image} is not on this machine", f"build it with `make image IMAGE={image}`"
        ) from fault
    except docker.errors.DockerException as fault:
        raise ClusterError(
            f"no Docker engine answers ({fault})", "start one, or leave out --docker"
        ) from fault
    run = CONFINED | dict(container)
    if os.getuid():
        return local.DockerRunner(**{"user": f"{os.getuid()}:{os.getgid()}"} | run)
    user, _, group = run.get("user", attributes["Config"]["User"]).partition(":")
    # The containers write into the folder itself, to make the run's own, and into a local store.
    writable = [workdir]
    if not REMOTE_PATH.match(settings.store) and Path(settings.store).is_dir():
        writable += [Path(settings.store), *Path(settings.store).rglob("*")]
    for path in writable:
        os.chown(path, int(user or 0), int(group or 0), follow_symlinks=False)
    return local.DockerRunner(**run)


def _check_mounted(settings: Settings, workdir: Path) -> None:
    """A container sees the work folder and nothing else of this machine."""
    for key, path in settings.locations().items():
        if not REMOTE_PATH.match(path) and not Path(path).is_relative_to(workdir):
            raise ClusterError(
                f"{key}: {path} lies outside of {workdir}, which is all that the containers see",
                "move it there, or choose another --workdir",
            )
