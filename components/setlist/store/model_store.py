"""A model store: immutable revisions of named models, and one pointer to the live one.

NAME/revisions/REVISION/...            the files of a model
NAME/revisions/REVISION/manifest.json  written after all of them: without it there is no revision
NAME/revisions/REVISION.claim          whose number it is: the first to write it owns the number
NAME/revisions/REVISION.card.md        the model card, whose SHA-256 is in the manifest
NAME/revisions/REVISION.pin            that it is to be kept; see `setlist.store.retention`
NAME/revisions/RUN.run                 which number a run has, so that a second attempt finds it
NAME/HEAD                              what is live, and what is gone; it moves by compare-and-swap
NAME/runs/                             what came of each run; see `setlist.runs.record`
checkpoints/                           of trainings; see `setlist.runs.checkpoints`

Nothing reads a model but through HEAD and the manifest, and every file is verified.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from setlist.errors import SetlistError
from setlist.store.manifest import MANIFEST, Action, Claim, Manifest, Pointer, Promotion
from setlist.store.objects import open_objects
from setlist.store.reader import CARD, Head, StoreReader, checked, head_of
from setlist.store.transfer import describe, described, faults, send
from setlist.store.who import now, this_person

__all__ = ["Head", "ModelStore", "describe", "open_store"]

PROMOTIONS_KEPT = 50


def open_store(uri: str) -> "ModelStore":
    """The store at "gs://bucket/prefix" or in a local folder, which is created when missing.

    Raises:
        SetlistError: the scheme is unknown, the bucket is missing, or access is denied.
    """
    return ModelStore(open_objects(uri))


class ModelStore(StoreReader):
    """A store that can be written, too."""

    def stage(
        self,
        name: str,
        model: Path,
        *,
        run_id: str,
        digest: str,
        training_window: Mapping[str, str],
        metadata: Mapping[str, JsonValue],
        card: Callable[[int], str] | None = None,
    ) -> int:
        """Copy a model folder into the store as the run's revision of `name`; nothing goes live.

        A second call of the same run returns the same revision, and completes it where the first
        was cut off; what is there whole is not sent again. Empty folders are not kept.

        Args:
            name: matches NAME; no part of it is in RESERVED
            model: a folder of plain files, no links
            run_id: whose revision it is: a run has one revision a name
            digest: the digest of the model, the same at every attempt of the run
            training_window: the period that the model has seen, as ISO text
            metadata: any JSON values without NaN, such as the verdict
            card: the model card, in Markdown, of the revision with that number

        Returns:
            The revision, a number greater than those of all earlier runs.

        Raises:
            SetlistError: the model cannot be stored, or the run has staged another one.
        """
        manifest = Manifest.checked(
            f"store {self.uri}: the manifest of {checked(name)}",
            {
                "name": name,
                "revision": 1,  # until the claim says which
                "run_id": run_id,
                "created": now(),
                "digest": digest,
                "files": described(model),
                "training_window": dict(training_window),
                "metadata": dict(metadata),
            },
        )
        self.objects.sweep()
        revision = self._claim(name, run_id, digest).revision
        self.not_gone(name, revision, self.look(name)[0])
        folder = f"{name}/revisions/{revision}/"
        if self.objects.read(folder + MANIFEST) is None:
            send(self.objects, model, manifest.files, folder)
            self.compare(manifest, folder)
            self.not_gone(name, revision, self.look(name)[0])
            more = {CARD: self._put_card(name, revision, card(revision))} if card else {}
            content = manifest.model_copy(
                update={"revision": revision, "metadata": manifest.metadata | more}
            ).to_bytes()
            # When it is there by now, another attempt of this run has finished the same revision.
            self.objects.write(folder + MANIFEST, content, expected=None)
        return revision

    def promote(
        self,
        name: str,
        revision: int,
        *,
        expected: Head | None,
        who: str = "",
        why: str = "",
        action: Action = "promote",
        older: bool = False,
    ) -> Head:
        """Make a revision live, if HEAD is still what the caller saw; no-op if it is live already.

        Args:
            name: of the model.
            revision: a complete one.
            expected: HEAD as the caller saw it; None for nothing.
            who: `this_person` if left out.
            why: one sentence for the history.
            action: what the history calls it.
            older: whether it may have been trained on data that end before the live one's.

        Raises:
            SetlistError: HEAD moved since, there is no such revision, or its data are older;
                nothing was promoted.
        """
        while True:
            # HEAD first: what prune takes away after this moment, it has written into HEAD before,
            # and the write below fails.
            pointer, version = self.look(name)
            manifest, sha256 = self.read_manifest(name, revision, pointer)
            if pointer and pointer.live == revision:
                return head_of(pointer)
            if (head_of(pointer) if pointer else None) != expected:
                was = f"revision {expected.live}" if expected else "no revision"
                raise SetlistError(
                    f"store {self.uri}: HEAD of {name} moved from {was} to "
                    f"{pointer.live if pointer else 'no revision'} since this run was planned; "
                    "nothing was promoted, run again."
                )
            if pointer and not older:
                self._no_older(manifest, self.read_manifest(name, pointer.live, pointer)[0])
            moved = _moved(pointer, manifest, sha256, who or this_person(), why, action)
            if self.objects.write(f"{name}/HEAD", moved.to_bytes(), expected=version) is not None:
                return head_of(moved)

    def point_anew(
        self, name: str, revision: int, *, why: str, allowed: Callable[[Manifest], object]
    ) -> Head:
        """Replace a HEAD that is lost or damaged by one that names a revision, and nothing before.

        Args:
            name: of the model.
            revision: a complete one.
            why: one sentence for the history.
            allowed: raises where this revision must not go live.

        Raises:
            SetlistError: HEAD is whole, or the revision is not.
        """
        key = f"{checked(name)}/HEAD"
        found = self.objects.read(key)
        try:
            pointer = Pointer.parse(found[0], key) if found else None
        except SetlistError:
            pointer = None
        if pointer and pointer.name == name:
            raise SetlistError(
                f"store {self.uri}: HEAD of {name} is not damaged; promote or roll back instead."
            )
        manifest, sha256 = self.read_manifest(name, revision, None)
        allowed(manifest)
        if wrong := faults(self.objects, f"{name}/revisions/{revision}/", manifest.files):
            raise SetlistError(wrong[0])
        moved = _moved(None, manifest, sha256, this_person(), why, "promote")
        if self.objects.write(key, moved.to_bytes(), expected=found[1] if found else None) is None:
            raise SetlistError(f"store {self.uri}: {key} was replaced meanwhile; look again.")
        return head_of(moved)

    def _no_older(self, manifest: Manifest, live: Manifest) -> None:
        """Refuse a model of older data; where one of the two has no period, nothing is known."""
        ends = [_end(self.uri, one) for one in (manifest, live)]
        if ends[0] and ends[1] and ends[0] < ends[1]:
            raise SetlistError(
                f"store {self.uri}: revision {manifest.revision} of {manifest.name} was trained on "
                f"data until {ends[0]:%Y-%m-%d %H:%M}, the live revision {live.revision} until "
                f"{ends[1]:%Y-%m-%d %H:%M}; nothing was promoted, ask for it with --older or roll "
                "back."
            )

    def _put_card(self, name: str, revision: int, text: str) -> str:
        """Write the card, over that of an attempt that was cut off; its SHA-256."""
        key, content = f"{name}/revisions/{revision}.card.md", text.encode()
        while (found := self.objects.read(key)) is None or found[0] != content:
            self.objects.write(key, content, expected=found[1] if found else None)
        return hashlib.sha256(content).hexdigest()

    def _claim(self, name: str, run_id: str, digest: str) -> Claim:
        """The number that belongs to a run, claimed now unless an earlier attempt did."""
        folder = f"{name}/revisions/"
        binding = f"{folder}{quote(run_id, safe='')}.run"
        found = self.objects.read(binding)
        if found is None:
            revision = max(self.numbers(name, r"(\d+)(?:\.claim|/.*)"), default=0) + 1
            claim = Claim(revision=revision, run_id=run_id, digest=digest, created=now())
            key = f"{folder}{revision}.claim"
            while self.objects.write(key, claim.to_bytes(), expected=None) is None:
                claim = claim.model_copy(update={"revision": claim.revision + 1})
                key = f"{folder}{claim.revision}.claim"
            # Of two attempts of one run at once, the first to write this decides for both; the
            # other's number stays unused.
            self.objects.write(binding, claim.to_bytes(), expected=None)
            found = self.objects.read(binding)
        if found is None:
            raise SetlistError(f"store {self.uri}: {binding} was removed meanwhile; run again.")
        claim = Claim.parse(found[0], f"store {self.uri}: {binding}")
        if claim.digest != digest:
            raise SetlistError(
                f"store {self.uri}: run {run_id} has claimed revision {claim.revision} of {name} "
                f"for another model (digest {claim.digest}, now {digest}); start a new run."
            )
        return claim


def _moved(
    pointer: Pointer | None, manifest: Manifest, sha256: str, who: str, why: str, action: Action
) -> Pointer:
    """HEAD after a promotion; what it remembers of before goes on."""
    entry = Promotion(
        revision=manifest.revision,
        when=now(),
        run_id=manifest.run_id,
        who=who,
        why=why,
        action=action,
    )
    return Pointer(
        name=manifest.name,
        move=uuid.uuid4().hex,
        live=manifest.revision,
        live_manifest=sha256,
        previous=pointer.live if pointer else None,
        previous_manifest=pointer.live_manifest if pointer else None,
        promotions=[*(pointer.promotions if pointer else []), entry][-PROMOTIONS_KEPT:],
        retired=pointer.retired if pointer else [],
    )


def _end(uri: str, manifest: Manifest) -> datetime | None:
    """Where the data of a model end; a date without a zone is UTC."""
    if not (said := manifest.training_window.get("end")):
        return None
    try:
        end = datetime.fromisoformat(said)
    except ValueError as fault:
        raise SetlistError(
            f"store {uri}: training_window.end of {manifest.name} revision {manifest.revision} is "
            f"{said!r}, no date; stage the model again, or ask for it with --older."
        ) from fault
    return end if end.tzinfo else end.replace(tzinfo=UTC)
