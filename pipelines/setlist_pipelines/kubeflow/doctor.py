"""`setlist doctor`: what is missing between this machine and a run on a cluster.

Everything is asked as whoever sits here. What the cluster's own accounts may do, and what is in its
Secrets, cannot be seen from here, and is said to be not checked, with the command that shows it.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from setlist.data.source import TableSource, listing
from setlist.errors import SetlistError
from setlist.store.objects import Objects, open_objects
from setlist_pipelines.cli.connection import command
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.recurring_runs import recurring_runs
from setlist_pipelines.kubeflow.scheduling import Wanted, check_schedules, in_step
from setlist_pipelines.kubeflow.submission import package
from setlist_pipelines.laptop.registry import look_up, registry_of
from setlist_pipelines.settings.file import ELSEWHERE, Settings, read_settings
from setlist_pipelines.settings.platform import DIGEST

State = Literal["ok", "missing", "unsure", "not checked"]
VERSION = "2.17"
"""Of Kubeflow Pipelines: what all of this was read from and is tested against."""
PERMISSIONS = tuple(f"storage.objects.{verb}" for verb in ("create", "get", "list", "delete"))
NODES_SIGN_IN = ("pkg.dev", "gcr.io", "amazonaws.com", "azurecr.io")
"""Registries that the nodes of the same cloud may read without a pull secret."""
PROBE = ".doctor"
"""The folder of the store for objects that are written, read and removed at once."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `remedy` says what to do where it is not ok."""

    what: str
    state: State
    said: str
    remedy: str = ""


def examine(
    config: Path, change: list[str] | None, image: str, connect: Callable[[], Kubeflow]
) -> Iterator[Finding]:
    """All checks, one after the other; none stops those that can be made without it.

    Args:
        config: the settings file.
        change: what replaces single settings.
        image: of every step.
        connect: gives the API, or raises a SetlistError.
    """
    try:
        settings = read_settings(config, change)
        wanted = check_schedules(settings)
    except SetlistError as fault:
        yield _failed("settings", fault)
        yield Finding("all else", "not checked", "it needs the settings")
        return
    yield _settings(config, settings, wanted)
    pullable = _guarded("image", lambda: _image(image, settings))
    yield pullable
    try:
        kubeflow = connect()
        health = kubeflow.get("healthz")
        yield _version(kubeflow, health, command("setlist submit --wait", config, change))
        access = _guarded("access", lambda: _access(kubeflow, health, settings))
        yield access
    except SetlistError as fault:
        yield _failed("Kubeflow", fault)
        yield Finding("access", "not checked", "Kubeflow Pipelines does not answer")
        yield Finding("schedules", "not checked", "Kubeflow Pipelines does not answer")
    else:
        if access.state == "missing":
            yield Finding("schedules", "not checked", "Kubeflow Pipelines does not let us see them")
        else:
            apply = command("setlist schedule apply", config, change)
            yield from _schedules(kubeflow, settings, wanted, image, apply)
    if ELSEWHERE.match(settings.store):
        yield from _store(settings.store)
    for key in type(settings.data).model_fields:
        table = getattr(settings.data, key)
        if table:
            yield _guarded(f"data.{key}", partial(_table, key, table))
    yield from _unseen(settings)


def _guarded(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except SetlistError as fault:
        return _failed(what, fault)


def _failed(what: str, fault: SetlistError) -> Finding:
    said, _, remedy = str(fault).rpartition("; ")
    return Finding(what, "missing", said or str(fault), remedy if said else "")


def _settings(config: Path, settings: Settings, wanted: dict[str, Wanted]) -> Finding:
    here = [key for key, path in settings.locations().items() if not ELSEWHERE.match(path)]
    if here:
        return Finding(
            "settings",
            "missing",
            f"{', '.join(here)} lies on this machine's disk, which a cluster does not see",
            f"--set {here[0]}=gs://your-bucket/prefix",
        )
    schedules = f"{len(wanted)} schedule{'' if len(wanted) == 1 else 's'}"
    return Finding("settings", "ok", f"{config}: {settings.name}, {settings.store}, {schedules}")


def _image(image: str, settings: Settings) -> Finding:
    if not DIGEST.fullmatch(image):
        return Finding(
            "image",
            "missing",
            f"{image or 'none'} can mean something else tomorrow",
            "name it by digest in SETLIST_IMAGE or --image: setlist image digest NAME",
        )
    short = image[: image.index("sha256:") + 19]
    answer = look_up(image)
    if answer == "there":
        return Finding("image", "ok", f"{short} can be pulled by anybody")
    if answer == "absent":
        return Finding("image", "missing", f"{short} is not there", "setlist image push NAME")
    wants = f"{registry_of(image)} wants a login"
    secrets = settings.platform.image_pull_secrets
    if secrets:
        return Finding(
            "image",
            "not checked",
            f"{wants}; the cluster has platform.image_pull_secrets for it",
            f"kubectl -n NAMESPACE get secret {' '.join(secrets)}",
        )
    if registry_of(image).endswith(NODES_SIGN_IN):
        return Finding(
            "image",
            "not checked",
            f"{wants}, which nodes of the same cloud may have",
            "let the nodes' account read it, or set platform.image_pull_secrets",
        )
    return Finding("image", "missing", wants, "the cluster needs platform.image_pull_secrets")


def _version(kubeflow: Kubeflow, health: Json, run: str) -> Finding:
    host = kubeflow.access.host
    if health.get("apiServerReady") is False:
        return Finding(
            "Kubeflow",
            "missing",
            f"{host} is there, and the API behind it is not ready",
            "kubectl -n kubeflow get pods -l app=ml-pipeline",
        )
    # The API's own server says tag_name, the server of its page apiServerTagName.
    tag = str(health.get("tag_name") or health.get("apiServerTagName") or "unknown")
    if tag.removeprefix("v").startswith(f"{VERSION}."):
        return Finding("Kubeflow", "ok", f"{host} has Kubeflow Pipelines {tag}")
    return Finding(
        "Kubeflow",
        "unsure",
        f"{host} has Kubeflow Pipelines {tag}, and this was made for {VERSION}",
        f"upgrade it to {VERSION}, or try a run first: {run}",
    )


def _access(kubeflow: Kubeflow, health: Json, settings: Settings) -> Finding:
    several = health.get("multi_user") or health.get("apiServerMultiUser")
    if several and not kubeflow.access.namespace:
        return Finding(
            "access",
            "missing",
            "there are several namespaces, and none is named",
            "set KFP_NAMESPACE or --namespace to your profile's",
        )
    scope = kubeflow.scope
    there = kubeflow.named("experiments", "experiments", settings.name, **scope)
    kubeflow.get("runs", page_size=1, **scope)
    kubeflow.get("pipelines", page_size=1, **scope)
    sent = kubeflow.access.headers()
    who = "a token" if "Authorization" in sent else "cookies" if "Cookie" in sent else "no login"
    place = f" in {kubeflow.access.namespace}" if kubeflow.access.namespace else ""
    experiment = "is there" if there else "will be made by the first run"
    return Finding(
        "access",
        "ok",
        f"with {who}, runs can be seen{place}; experiment {settings.name} {experiment}",
    )


def _schedules(
    kubeflow: Kubeflow, settings: Settings, wanted: dict[str, Wanted], image: str, apply: str
) -> Iterator[Finding]:
    lacks = partial(Finding, "schedules", "missing", remedy=apply)
    try:
        there = recurring_runs(kubeflow, settings.name, settings.store)
        compares = bool(DIGEST.fullmatch(image)) and _settings(Path(), settings, {}).state == "ok"
        for name, one in wanted.items():
            group = there.get(name, [])
            version = package(one.settings, image).version if compares and group else ""
            if not group:
                yield lacks(f"{name} is not on the cluster")
            elif len(group) > 1 or not in_step(group[0], one, version):
                yield lacks(f"{name} on the cluster differs from the settings")
            else:
                state = "runs" if group[0].enabled else "is paused"
                image_too = "" if compares else "; its image was not compared"
                yield Finding("schedules", "ok", f"{name} {state}{image_too}")
        for name in sorted(there.keys() - wanted.keys()):
            yield lacks(f"{name} is on the cluster, and not in the settings")
        if not (there or wanted):
            yield Finding("schedules", "ok", "none, neither in the settings nor on the cluster")
    except SetlistError as fault:
        yield _failed("schedules", fault)


def _store(uri: str) -> Iterator[Finding]:
    try:
        lacking = _lacking(uri)
        if lacking:
            yield Finding(
                "store",
                "missing",
                f"{uri}: no permission for {', '.join(lacking)}",
                "ask for roles/storage.objectUser on the bucket",
            )
            return
        _probe(open_objects(uri))
    except SetlistError as fault:
        yield _failed("store", fault)
    else:
        yield Finding("store", "ok", f"{uri}: listed, written, read, guarded, removed")


def _lacking(uri: str) -> list[str]:
    """The permissions that we know to lack; none where the server does not tell."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    try:
        bucket = Client().bucket(uri.removeprefix("gs://").partition("/")[0])
        held = bucket.test_iam_permissions(list(PERMISSIONS), timeout=10, retry=None)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError):
        return []  # the probe finds out
    return [one for one in PERMISSIONS if one not in held] if held else []


def _probe(objects: Objects) -> None:
    """Write an object, read it, see that it is not overwritten blindly, and remove it."""
    key = f"{PROBE}/{uuid.uuid4().hex}.json"
    try:
        written = objects.write(key, b"{}\n", expected=None)
        if written is None or objects.read(key) != (b"{}\n", written):
            raise SetlistError(
                f"store {objects.uri}: what was written is not read back; use another bucket."
            )
        if objects.write(key, b"[]\n", expected=None) is not None:
            raise SetlistError(
                f"store {objects.uri}: an object that is there is overwritten in spite of "
                "ifGenerationMatch; use Google Cloud Storage itself."
            )
        if key not in objects.keys(f"{PROBE}/"):
            raise SetlistError(
                f"store {objects.uri}: what was written is not listed; use another bucket."
            )
    finally:
        objects.remove(key)


def _table(key: str, table: TableSource) -> Finding:
    if not ELSEWHERE.match(table.path):
        return Finding(
            f"data.{key}",
            "missing",
            f"{table.path} lies on this machine's disk",
            f"--set data.{key}.path=gs://your-bucket/prefix",
        )
    files = listing(table)
    if table.path.startswith("sample://"):
        return Finding(f"data.{key}", "ok", f"{table.path}: bundled with setlist")
    size = sum(size for _, size, _ in files)
    return Finding(
        f"data.{key}",
        "ok",
        f"{table.path}: {len(files):,} file{'' if len(files) == 1 else 's'}, {size:,} bytes",
    )


def _unseen(settings: Settings) -> Iterator[Finding]:
    """What only somebody at the cluster sees. `describe` shows the keys of a Secret, no value."""
    from setlist_pipelines.placement import NOTIFICATIONS

    account = settings.platform.service_account or "the cluster's own"
    yield Finding(
        "steps' account",
        "not checked",
        f"{account}: whether it may use the store and the data",
        f"kubectl -n NAMESPACE describe serviceaccount "
        f"{settings.platform.service_account or 'pipeline-runner'}",
    )
    for secret in (NOTIFICATIONS, *settings.platform.secrets):
        yield Finding(
            "notifications" if secret == NOTIFICATIONS else "secrets",
            "not checked",
            f"Secret {secret} of the cluster" + (", optional" if secret == NOTIFICATIONS else ""),
            f"kubectl -n NAMESPACE describe secret {secret}",
        )
