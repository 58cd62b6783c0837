"""`setlist doctor`: checks what a run on a cluster needs, from this machine.

Every check uses the credentials of the person at this machine. The rights of the cluster's accounts
and the content of its Secrets cannot be seen from here; they are reported as not checked, with the
command that shows them.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from setlist.addresses import REMOTE_PATH
from setlist.data.source import TableSource, listing
from setlist.errors import SetlistError, StoreDamagedError, StoreRefusedError
from setlist.store.objects import Objects, open_objects
from setlist_pipelines.cli.connection import command
from setlist_pipelines.kubeflow.api import Json, Kubeflow
from setlist_pipelines.kubeflow.controller import (
    STOCK,
    patch_command,
    repeats_failures,
    workflow_defaults,
)
from setlist_pipelines.kubeflow.recurring_runs import recurring_runs
from setlist_pipelines.kubeflow.schedule_sync import DesiredSchedule, check_schedules, is_in_step
from setlist_pipelines.laptop.registry import look_up, registry_of
from setlist_pipelines.settings.file import Settings, read_settings
from setlist_pipelines.settings.platform import IMAGE_BY_DIGEST

State = Literal["ok", "missing", "unsure", "not checked"]
KUBEFLOW_VERSION = "2.17"
"""The version of Kubeflow Pipelines that setlist is written for and tested against."""
STORE_PERMISSIONS = tuple(f"storage.objects.{verb}" for verb in ("create", "get", "list", "delete"))
CLOUD_REGISTRIES = ("pkg.dev", "gcr.io", "amazonaws.com", "azurecr.io")
"""Registries that the nodes of the same cloud may read without a pull secret."""
PROBE_FOLDER = ".doctor"
"""The folder of the store for the object that is written, read and removed at once."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: what was checked.
        state: "unsure" is a warning; "not checked" names something that cannot be seen from here.
        message: what the check found.
        remedy: what to do where the state is not ok; "" for nothing.
    """

    subject: str
    state: State
    message: str
    remedy: str = ""


def examine(
    config: Path, change: list[str] | None, image: str, connect: Callable[[], Kubeflow]
) -> Iterator[Finding]:
    """Make all checks, one after the other; a failed one stops only those that depend on it.

    Args:
        config: the settings file.
        change: `key=value` pairs that replace single settings.
        image: of every step.
        connect: returns the API, or raises a SetlistError.
    """
    try:
        settings = read_settings(config, change)
        desired = check_schedules(settings)
    except SetlistError as fault:
        yield _failed("settings", fault)
        yield Finding("all else", "not checked", "the other checks need the settings")
        return
    yield _settings(config, settings, desired)
    yield _guarded("image", lambda: _image(image, settings))
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
            yield Finding("schedules", "not checked", "they cannot be seen without access")
        else:
            apply = command("setlist schedule apply", config, change)
            yield from _schedules(kubeflow, settings, desired, image, apply)
    if REMOTE_PATH.match(settings.store):
        yield from _store(settings.store)
    for key in type(settings.data).model_fields:
        table = getattr(settings.data, key)
        if table:
            yield _guarded(f"data.{key}", partial(_table, key, table))
    yield _retries()
    yield from _invisible(settings)


def _guarded(subject: str, check: Callable[[], Finding]) -> Finding:
    """The check's finding, or the fault that ends the check."""
    try:
        return check()
    except SetlistError as fault:
        return _failed(subject, fault)


def _failed(subject: str, fault: SetlistError) -> Finding:
    return Finding(subject, "missing", fault.message, fault.remedy)


def _settings(config: Path, settings: Settings, desired: dict[str, DesiredSchedule]) -> Finding:
    local = [key for key, path in settings.locations().items() if not REMOTE_PATH.match(path)]
    if local:
        return Finding(
            "settings",
            "missing",
            f"{', '.join(local)} lies on this machine's disk, which a cluster does not see",
            f"--set {local[0]}=gs://your-bucket/prefix",
        )
    schedules = f"{len(desired)} schedule{'' if len(desired) == 1 else 's'}"
    return Finding("settings", "ok", f"{config}: {settings.name}, {settings.store}, {schedules}")


def _image(image: str, settings: Settings) -> Finding:
    if not IMAGE_BY_DIGEST.fullmatch(image):
        return Finding(
            "image",
            "missing",
            f"{image or 'no image'} is not named by digest, so it may change",
            "put what `setlist image digest NAME` prints into SETLIST_IMAGE or --image",
        )
    short = image[: image.index("sha256:") + 19]
    access = look_up(image)
    if access == "public":
        return Finding("image", "ok", f"{short} can be pulled by anybody")
    if access == "absent":
        return Finding("image", "missing", f"{short} does not exist", "setlist image push NAME")
    needs_login = f"{registry_of(image)} needs a login"
    secrets = settings.platform.image_pull_secrets
    if secrets:
        return Finding(
            "image",
            "not checked",
            f"{needs_login}; the cluster has platform.image_pull_secrets for it",
            f"kubectl -n NAMESPACE get secret {' '.join(secrets)}",
        )
    if registry_of(image).endswith(CLOUD_REGISTRIES):
        return Finding(
            "image",
            "not checked",
            f"{needs_login}, which nodes of the same cloud may have",
            "let the nodes' account read it, or set platform.image_pull_secrets",
        )
    return Finding("image", "missing", needs_login, "the cluster needs platform.image_pull_secrets")


def _version(kubeflow: Kubeflow, health: Json, run: str) -> Finding:
    host = kubeflow.access.host
    if health.get("apiServerReady") is False:
        return Finding(
            "Kubeflow",
            "missing",
            f"{host} answers, but the API behind it is not ready",
            "kubectl -n kubeflow get pods -l app=ml-pipeline",
        )
    # The API's own server says tag_name, the server of its page apiServerTagName.
    tag = str(health.get("tag_name") or health.get("apiServerTagName") or "unknown")
    # As with the version; only where it is Kubernetes, `setlist compile --namespace` is of use.
    store = str(health.get("pipeline_store") or health.get("pipelineStore") or "")
    stored = {"kubernetes": ", its pipelines in Kubernetes", "database": ", its pipelines in a "
              "database"}.get(store, "")  # fmt: skip
    if tag.removeprefix("v").startswith(f"{KUBEFLOW_VERSION}."):
        return Finding("Kubeflow", "ok", f"{host} has Kubeflow Pipelines {tag}{stored}")
    return Finding(
        "Kubeflow",
        "unsure",
        f"{host} has Kubeflow Pipelines {tag}, and setlist is made for {KUBEFLOW_VERSION}",
        f"upgrade it to {KUBEFLOW_VERSION}, or try a run first: {run}",
    )


def _access(kubeflow: Kubeflow, health: Json, settings: Settings) -> Finding:
    has_profiles = health.get("multi_user") or health.get("apiServerMultiUser")
    if has_profiles and not kubeflow.access.namespace:
        return Finding(
            "access",
            "missing",
            "the server has several namespaces, and none is named",
            "set KFP_NAMESPACE or --namespace to your profile's",
        )
    if health.get("multi_user") is False and kubeflow.access.namespace:
        return Finding(
            "access",
            "missing",
            f"the server has no profiles, and {kubeflow.access.namespace} is named as one; it "
            "refuses schedules with it",
            "leave out KFP_NAMESPACE and --namespace",
        )
    scope = kubeflow.scope
    experiment = kubeflow.find_by_name("experiments", "experiments", settings.name, **scope)
    kubeflow.get("runs", page_size=1, **scope)
    kubeflow.get("pipelines", page_size=1, **scope)
    headers = kubeflow.access.headers()
    login = "no login"
    if headers:
        login = "a token" if "Authorization" in headers else "cookies"
    place = f" in {kubeflow.access.namespace}" if kubeflow.access.namespace else ""
    state = "exists" if experiment else "will be created by the first run"
    return Finding(
        "access",
        "ok",
        f"with {login}, runs can be seen{place}; experiment {settings.name} {state}",
    )


def _schedules(
    kubeflow: Kubeflow,
    settings: Settings,
    desired: dict[str, DesiredSchedule],
    image: str,
    apply: str,
) -> Iterator[Finding]:
    missing = partial(Finding, "schedules", "missing", remedy=apply)
    try:
        existing = recurring_runs(kubeflow, settings.name, settings.store)
        # Without an image by digest and remote paths, nothing can be compiled and compared.
        compares = (
            bool(IMAGE_BY_DIGEST.fullmatch(image)) and _settings(Path(), settings, {}).state == "ok"
        )
        for name, schedule in desired.items():
            group = existing.get(name, [])
            version = ""
            if compares and group:
                version = schedule.package(image).version
            if not group:
                yield missing(f"{name} is not on the cluster")
            elif len(group) > 1 or not is_in_step(group[0], schedule, version):
                yield missing(f"{name} on the cluster differs from the settings")
            else:
                state = "runs" if group[0].enabled else "is paused"
                limit = "" if compares else "; its image was not compared"
                yield Finding("schedules", "ok", f"{name} {state}{limit}")
        for name in sorted(existing.keys() - desired.keys()):
            yield missing(f"{name} is on the cluster, but not in the settings")
        if not (existing or desired):
            yield Finding("schedules", "ok", "none, neither in the settings nor on the cluster")
    except SetlistError as fault:
        yield _failed("schedules", fault)


def _store(uri: str) -> Iterator[Finding]:
    try:
        denied = _denied_permissions(uri)
        if denied:
            yield Finding(
                "store",
                "missing",
                f"{uri}: no permission for {', '.join(denied)}",
                "ask for roles/storage.objectUser on the bucket",
            )
            return
        _probe(open_objects(uri))
    except SetlistError as fault:
        yield _failed("store", fault)
    else:
        yield Finding("store", "ok", f"{uri}: listed, written, read, guarded, removed")


def _denied_permissions(uri: str) -> list[str]:
    """The permissions that are known to be missing; none where the server does not tell."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    try:
        bucket = Client().bucket(uri.removeprefix("gs://").partition("/")[0])
        granted = bucket.test_iam_permissions(list(STORE_PERMISSIONS), timeout=10, retry=None)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError):
        return []  # then the probe shows what is missing
    if not granted:  # a server that does not know permissions, such as an emulator
        return []
    return [permission for permission in STORE_PERMISSIONS if permission not in granted]


def _probe(objects: Objects) -> None:
    """Write an object, read it, see that it is not overwritten unconditionally, and remove it."""
    key = f"{PROBE_FOLDER}/{uuid.uuid4().hex}.json"
    try:
        written = objects.write(key, b"{}\n", expected=None)
        if written is None or objects.read(key) != (b"{}\n", written):
            raise StoreDamagedError(
                f"store {objects.uri}: an object is not read as it was written",
                "use another bucket",
            )
        if objects.write(key, b"[]\n", expected=None) is not None:
            raise StoreRefusedError(
                f"store {objects.uri}: an existing object is overwritten in spite of "
                "ifGenerationMatch",
                "use Google Cloud Storage itself",
            )
        if key not in objects.keys(f"{PROBE_FOLDER}/"):
            raise StoreDamagedError(
                f"store {objects.uri}: an object that was written is not listed",
                "use another bucket",
            )
    finally:
        objects.remove(key)


def _table(key: str, table: TableSource) -> Finding:
    local = [path for path in table.paths if not REMOTE_PATH.match(path)]
    if local:
        return Finding(
            f"data.{key}",
            "missing",
            f"{local[0]} lies on this machine's disk",
            f"--set data.{key}.path=gs://your-bucket/prefix",
        )
    files = listing(table)
    if table.paths[0].startswith("sample://"):
        return Finding(f"data.{key}", "ok", f"{table.name}: bundled with setlist")
    size = sum(size for _, size, _ in files)
    return Finding(
        f"data.{key}",
        "ok",
        f"{table.name}: {len(files):,} file{'' if len(files) == 1 else 's'}, {size:,} bytes",
    )


def _retries() -> Finding:
    """Whether the controller starts a step that fails again: its own defaults decide."""
    defaults = workflow_defaults()
    if defaults is not None and repeats_failures(defaults):
        return Finding("retries", "ok", "a step that fails is started again; a lost pod may not be")
    return Finding(
        "retries",
        "not checked" if defaults is None else "ok",
        "a stock controller starts a step again whose pod is lost, but none that fails",
        f"where steps that fail shall be repeated, and lost pods not: "
        f"{patch_command(defaults or STOCK)}",
    )


def _invisible(settings: Settings) -> Iterator[Finding]:
    """What only the cluster's administrators see; `describe` shows a Secret's keys, no values."""
    from setlist_pipelines.placement import NOTIFICATION_ADDRESSES

    account = settings.platform.service_account or "the cluster's own"
    yield Finding(
        "steps' account",
        "not checked",
        f"{account}: whether it may use the store and the data",
        f"kubectl -n NAMESPACE describe serviceaccount "
        f"{settings.platform.service_account or 'pipeline-runner'}",
    )
    for secret in (NOTIFICATION_ADDRESSES, *settings.platform.secrets):
        yield Finding(
            "notifications" if secret == NOTIFICATION_ADDRESSES else "secrets",
            "not checked",
            f"Secret {secret} of the cluster"
            + (", optional" if secret == NOTIFICATION_ADDRESSES else ""),
            f"kubectl -n NAMESPACE describe secret {secret}",
        )
