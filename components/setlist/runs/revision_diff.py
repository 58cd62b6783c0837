"""What differs between two revisions: origin, data, settings, what the verdict measured, files."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from setlist.store.manifest import Manifest
from setlist.store.reader import StoreReader, open_reader

ORIGIN_KEYS = (
    "label",
    "data_fingerprint",
    "refit_of",
    "refit_overlap",
    "refresh_of",
    "new_items",
)
"""The keys of the metadata that say where a revision came from."""
ABSENT = "-"


class Difference(NamedTuple):
    """A property that differs, and its value in each revision; "-" where a revision lacks it."""

    label: str
    first: str
    second: str


def compare_revisions(store: str, name: str, first: int, second: int) -> list[Difference]:
    """List the properties that differ, origin and data before settings, rules and files.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        first: a revision.
        second: another revision.

    Raises:
        StoreError: a revision cannot be read.
    """
    models = open_reader(store)
    left, right = (
        _properties(models, models.manifest(name, revision)) for revision in (first, second)
    )
    labels = dict.fromkeys([*left, *right])  # in order, each once
    rows = [
        Difference(label, left.get(label, ABSENT), right.get(label, ABSENT)) for label in labels
    ]
    return [row for row in rows if row.first != row.second]


def _properties(models: StoreReader, manifest: Manifest) -> dict[str, str]:
    """Everything that is compared of a revision, by the label that people see."""
    metadata = manifest.metadata
    verdict, settings = metadata.get("verdict"), metadata.get("settings")
    properties: dict[str, object] = {
        "digest": manifest.digest,
        "made by run": manifest.run_id,
        "created": manifest.created,
        **{f"data {key}": value for key, value in manifest.training_window.items()},
        **{key: metadata[key] for key in ORIGIN_KEYS if key in metadata},
    }
    # The metadata are any JSON: a revision may have been staged by other means than `push`.
    if isinstance(verdict, dict):
        properties["verdict"] = verdict.get("sentence")
        reasons = verdict.get("reasons")
        for reason in reasons if isinstance(reasons, list) else []:
            if isinstance(reason, dict):
                value = f"{reason.get('outcome')}: {_measured(reason)}"
                properties[f"rule {reason.get('rule')}"] = value
    if isinstance(settings, dict):
        properties |= {f"setting {key}": value for key, value in settings.items()}
    content = models.file(manifest.name, manifest.revision, "model.json")
    info = json.loads(content) if content else {}
    properties |= {f"model {key}": value for key, value in info.items() if key != "training_window"}
    properties |= {
        f"file {path}": f"{file.size:,} bytes, {file.sha256[:12]}"
        for path, file in manifest.files.items()
    }
    return {label: str(value) for label, value in properties.items()}


def _measured(reason: Mapping[str, object]) -> str:
    value = reason.get("value")
    return f"{value:.4f}" if isinstance(value, float | int) else ABSENT
