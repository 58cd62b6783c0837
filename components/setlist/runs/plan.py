"""The first step of a run: everything that depends on "now", decided once and passed on by value.

Later steps do not look at the clock, the input's listing or HEAD again, so that all steps of a run
work on the same data and compare with the same models.
"""

from typing import NamedTuple

import pandas as pd

from setlist.data.curation import DataSettings, WindowSettings, resolve_window
from setlist.data.schema import UNBOUNDED_END, Window, parse_instant
from setlist.data.source import fingerprint
from setlist.errors import SettingsError, StoreNotFoundError
from setlist.evaluation.policy import Policy
from setlist.evaluation.verdict import SeenHead
from setlist.runs.promotion import anchor_of
from setlist.runs.scheduled_time import resolve_scheduled
from setlist.store.reader import StoreReader, open_reader

DATA_FINGERPRINT = "data_fingerprint"
"""In the metadata of a revision: the fingerprint of the input that its run read."""


class Plan(NamedTuple):
    """What the run works on.

    Attributes:
        window: as `Window.to_json`.
        data_fingerprint: SHA-256 over the listing of the input and how it is read.
        head: HEAD of the store as `SeenHead`, {} where nothing is live.
        rivals: the live revision and, where it is another revision, the anchor.
        operations: that a model may have beside the usual ones.
    """

    window: dict[str, str]
    data_fingerprint: str
    head: dict[str, int | str]
    rivals: list[int]
    operations: list[str]


def plan(
    name: str,
    store: str,
    as_of: str,
    data: DataSettings,
    window: WindowSettings,
    policy: Policy,
) -> Plan:
    """Look at the clock, the input and the store, once.

    Args:
        name: of the model in the store.
        store: a local folder or gs://bucket/prefix.
        as_of: the end of the window; "" is now.
        data: where the tables are.
        window: the lengths of the two periods.
        policy: whether candidates are compared with the anchor, too, and what of the graph of a
            model is allowed.

    Raises:
        SettingsError: the live model or the anchor has seen the test period, so that a comparison
            would favour it.
    """
    resolved = resolve_window(window, resolve_scheduled(as_of), pd.Timestamp.now("UTC"))
    models = open_reader(store, new=True)
    head = models.head(name)
    anchor_revision = _anchor(models, name, head.live) if head and policy.anchor else None
    rivals = [revision for revision in (head and head.live, anchor_revision) if revision]
    for revision in rivals:
        trained_until = models.manifest(name, revision).training_window["end"]
        _check_unseen(name, revision, trained_until, resolved)
    print(f"training {resolved.start:%Y-%m-%d} to {resolved.cutoff:%Y-%m-%d %H:%M} UTC", flush=True)
    print(f"test period to {resolved.end:%Y-%m-%d %H:%M} UTC", flush=True)
    print(f"live: {f'revision {head.live}' if head else 'nothing yet'}", flush=True)
    seen_head = SeenHead(**vars(head), anchor=anchor_revision) if head else None
    return Plan(
        window=resolved.to_json(),
        data_fingerprint=_fingerprint(data),
        # Kubeflow Pipelines knows no null inside a parameter, so absent values are left out.
        head=seen_head.model_dump(exclude_none=True) if seen_head else {},
        rivals=rivals,
        operations=list(policy.operations),
    )


def _anchor(models: StoreReader, name: str, live: int) -> int | None:
    """The anchor of the live revision; None where it is its own, or where it was pruned.

    Prune keeps the anchors of the revisions that it was told to keep. After a rollback to one of
    those anchors, its own may be gone; then the live revision stands in its place.
    """
    anchor = anchor_of(models.manifest(name, live))
    if anchor is None or anchor in models.revisions(name):
        return anchor
    print(f"revision {anchor}, the anchor of revision {live}, was pruned", flush=True)
    return None


class MonitoringPlan(NamedTuple):
    """What a monitoring run works on.

    Attributes:
        window: as `Window.to_json`.
        data_fingerprint: SHA-256 over the listing of the input and how it is read.
        revision: the live one, whose requests are compared.
    """

    window: dict[str, str]
    data_fingerprint: str
    revision: int


def plan_monitoring(
    name: str, store: str, as_of: str, data: DataSettings, window: WindowSettings
) -> MonitoringPlan:
    """Look at the clock, the input and the store, once.

    Args:
        name: of the model in the store.
        store: a local folder or gs://bucket/prefix.
        as_of: the end of the window; "" is now.
        data: where the tables are.
        window: the lengths of the two periods.

    Raises:
        StoreNotFoundError: nothing is live.
    """
    resolved = monitored(resolve_window(window, resolve_scheduled(as_of), pd.Timestamp.now("UTC")))
    head = open_reader(store, new=True).head(name)
    if head is None:
        raise StoreNotFoundError(
            f"store {store}: nothing is live under {name}", "promote a revision, then monitor it"
        )
    print(f"plays from {resolved.start:%Y-%m-%d} to {resolved.end:%Y-%m-%d %H:%M} UTC", flush=True)
    print(f"live: revision {head.live}", flush=True)
    return MonitoringPlan(resolved.to_json(), _fingerprint(data), head.live)


def monitored(window: Window) -> Window:
    """The window whose rows requests are compared with: its cutoff is a day before its end.

    Items and users are taken as of the cutoff, and the requests are of the last day.
    """
    if window.end == UNBOUNDED_END:
        return window
    cutoff = max(window.cutoff, window.end - pd.Timedelta(days=1))
    return Window(window.start, cutoff, window.end)


def _fingerprint(data: DataSettings) -> str:
    sources = {key: table for key in type(data).model_fields if (table := getattr(data, key))}
    return fingerprint(sources)


def news(store: str, name: str, data_fingerprint: str, only_new_data: bool) -> bool:
    """Whether the run should train: there are data that the live model was not made from.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        data_fingerprint: of the input, from the plan.
        only_new_data: if false, the answer is yes whatever the data.
    """
    models = open_reader(store, new=True)
    head = models.head(name)
    live_fingerprint = None
    if head:
        live_fingerprint = models.manifest(name, head.live).metadata.get(DATA_FINGERPRINT)
    if live_fingerprint != data_fingerprint:
        return True
    print("the data are those that the live model was made from", flush=True)
    return not only_new_data


def _check_unseen(name: str, revision: int, trained_until: str, window: Window) -> None:
    """Raise SettingsError if a revision was trained on data of the test period."""
    until = parse_instant(trained_until, "training_window.end")
    if until > window.cutoff:
        raise SettingsError(
            f"revision {revision} of {name} was trained on data until {until:%Y-%m-%d %H:%M}, "
            f"after the cutoff of this run ({window.cutoff:%Y-%m-%d %H:%M}), so it knows the test "
            "period",
            "choose a later as_of or another name",
        )
