"""What `setlist models show` says of a revision: whether it is live, and its metadata."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise

from setlist.store.manifest import Manifest, Pointer
from setlist_pipelines.cli.answer import Cell


def standing(head: Pointer | None, manifest: Manifest) -> Cell:
    """Whether a revision is live, was live or never was, by HEAD and its history.

    Args:
        head: what HEAD holds; None where nothing was promoted yet.
        manifest: of the revision.

    Returns:
        `live`, `was live` or `staged`, and the same in words; the value is None where the history
        does not go back to the revision.
    """
    from setlist.store.model_store import PROMOTIONS_KEPT

    if head is None:
        return Cell("staged", "staged, not live")
    if head.live == manifest.revision:
        return Cell("live", "live")
    for entry, following in reversed(list(pairwise(head.promotions))):
        if entry.revision == manifest.revision:
            return Cell("was live", f"was live until {following.when}")
    if head.previous == manifest.revision:
        return Cell("was live", f"was live before revision {head.live}")
    if len(head.promotions) >= PROMOTIONS_KEPT and manifest.created <= head.promotions[0].when:
        since = head.promotions[0].when
        return Cell(None, f"not live, and was not since {since}, when the history in HEAD begins")
    return Cell("staged", "staged, not live")


def described(metadata: Mapping[str, object], live: bool) -> dict[str, object]:
    """The metadata of a revision, for a person in words: the verdict, and settings as `key=value`.

    Args:
        metadata: of its manifest.
        live: whether it is live; of any other, what the verdict says of that is past.
    """
    return {
        key: Cell(entry, _verdict(entry, live) if key == "verdict" else _settings(entry))
        if isinstance(entry, Mapping) and entry
        else entry
        for key, entry in metadata.items()
    }


def _verdict(verdict: Mapping[str, object], live: bool) -> str:
    going_live = verdict.get("live_sentence", "")
    if going_live and not live:
        going_live = f"When it was judged: {going_live}"
    return f"candidate: {verdict.get('decision')}. {verdict.get('sentence')} {going_live}".strip()


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in _leaves(settings, ""))


def _leaves(settings: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    """The settings without nesting: the keys of a section follow its own and a dot."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)
