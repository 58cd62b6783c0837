"""What differs between two revisions: origin, data, settings, what the verdict measured, files."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from setlist.store.manifest import Manifest
from setlist.store.model_store import ModelStore, open_store

ORIGIN = ("label", "data_fingerprint", "refit_of", "refit_overlap", "refresh_of", "new_items")
"""Of the metadata, what says where a revision came from."""
NONE = "-"


class Line(NamedTuple):
    """One thing that differs, and what each of the two has of it; "-" for nothing."""

    what: str
    first: str
    second: str


def differences(store: str, name: str, first: int, second: int) -> list[Line]:
    """One line a thing that differs, those that differ most in meaning first.

    Args:
        store: a local folder or gs://bucket/prefix.
        name: of the model.
        first: a revision.
        second: another one.

    Raises:
        SetlistError: when one of them cannot be read.
    """
    models = open_store(store)
    told = [_told(models, models.manifest(name, revision)) for revision in (first, second)]
    every = list(dict.fromkeys([*told[0], *told[1]]))
    lines = [Line(what, told[0].get(what, NONE), told[1].get(what, NONE)) for what in every]
    return [line for line in lines if line.first != line.second]


def _told(models: ModelStore, manifest: Manifest) -> dict[str, str]:
    """Everything that is compared of one revision."""
    metadata = manifest.metadata
    verdict, settings = metadata.get("verdict"), metadata.get("settings")
    told: dict[str, object] = {
        "digest": manifest.digest,
        "made by run": manifest.run_id,
        "created": manifest.created,
        **{f"data {key}": value for key, value in manifest.training_window.items()},
        **{key: metadata[key] for key in ORIGIN if key in metadata},
    }
    if isinstance(verdict, dict):
        told["verdict"] = verdict.get("sentence")
        reasons = verdict.get("reasons")
        for reason in reasons if isinstance(reasons, list) else []:
            if isinstance(reason, dict):
                told[f"rule {reason.get('rule')}"] = f"{reason.get('outcome')}: {_value(reason)}"
    if isinstance(settings, dict):
        told |= {f"setting {key}": value for key, value in settings.items()}
    content = models.file(manifest.name, manifest.revision, "model.json")
    info = json.loads(content) if content else {}
    told |= {f"model {key}": value for key, value in info.items() if key != "training_window"}
    told |= {
        f"file {path}": f"{file.size:,} bytes, {file.sha256[:12]}"
        for path, file in manifest.files.items()
    }
    return {what: str(value) for what, value in told.items()}


def _value(reason: Mapping[str, object]) -> str:
    value = reason.get("value")
    return f"{value:.4f}" if isinstance(value, float | int) else NONE
