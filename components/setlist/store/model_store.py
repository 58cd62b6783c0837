"""A model store: immutable revisions of named models, and one pointer to the live one.

NAME/revisions/REVISION/...            the files of a model
NAME/revisions/REVISION/manifest.json  written after all of them: without it there is no revision
NAME/revisions/REVISION.claim          which run owns the number: the first run that writes it
NAME/revisions/REVISION.card.md        the model card, whose SHA-256 is in the manifest
NAME/revisions/REVISION.report.html    the report of its run, whose SHA-256 is in the manifest
NAME/revisions/REVISION.SHA256.sig     who vouches for it; see `setlist.store.signatures`
NAME/revisions/RUN.run                 which number a run has, so that a second attempt finds it
NAME/HEAD                              what is live, pinned and pruned; see `setlist.store.head`
NAME/signatures/                       who vouches for HEAD
NAME/runs/                             the result of each run, see `setlist.runs.record`, and the
                                       report of each that pushed nothing
NAME/monitoring/                       the result of each run of the monitoring pipeline
checkpoints/                           of trainings; see `setlist.runs.checkpoints`

Every reader of a model starts at HEAD or a manifest, and every file is verified.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from setlist.errors import (
    StoreConflictError,
    StoreDamagedError,
    StoreNotFoundError,
    StoreRefusedError,
)
from setlist.store.head import change_head, write_head
from setlist.store.kept_report import REPORT_SHA256, revision_path, write_over
from setlist.store.manifest import (
    MANIFEST,
    NUMBER,
    Action,
    Claim,
    Manifest,
    Pointer,
    Promotion,
    this_person,
    utc_text,
)
from setlist.store.objects import open_objects
from setlist.store.race import Race
from setlist.store.reader import CARD_SHA256, Head, StoreReader, checked_name, head_of
from setlist.store.signing import Signer, TrustedKeys
from setlist.store.sizes import DOCUMENT_BYTES, HEAD_BYTES, REVISION_DIGITS, SMALL_BYTES
from setlist.store.transfer import describe_file, describe_folder, file_faults, upload_files

__all__ = ["Head", "ModelStore", "describe_file", "open_store"]

PROMOTIONS_KEPT = 50
"""In HEAD, which every follower reads at every poll."""


def open_store(
    uri: str, *, retry_seconds: float | None = None, trusted: TrustedKeys | None = None
) -> "ModelStore":
    """Open the store at "gs://bucket/prefix" or in a local folder, which is created when missing.

    Args:
        uri: the address.
        retry_seconds: how long faults of a bucket are tried again; a minute if left out.
        trusted: the keys of which one must have signed what is read; None: nothing is checked.
            Whatever is written is signed where SETLIST_SIGNING_KEY names a key.

    Raises:
        SettingsError: the text is no address, or has an unknown scheme.
        StoreError: the place cannot be used; see `setlist.store.objects.Objects`.
    """
    return ModelStore(open_objects(uri, retry_seconds), trusted, Signer.from_environment())


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
        report: Callable[[int], bytes] | None = None,
    ) -> int:
        """Copy a model folder into the store as the run's revision of `name`; nothing goes live.

        A second call of the same run returns the same revision, and completes it where the first
        call was interrupted; files that are stored whole are not sent again. Empty folders are not
        stored.

        Args:
            name: matches MODEL_NAME; no part of it is in RESERVED.
            model: a folder of plain files, no links.
            run_id: of the run; a run has one revision of a name.
            digest: the digest of the model, the same at every attempt of the run.
            training_window: the period that the model has seen, as ISO text.
            metadata: any JSON values without NaN, such as the verdict.
            card: writes the model card, in Markdown, for the number of the revision.
            report: writes the report of the run, as HTML, for the number; REPORT_BYTES at most.

        Returns:
            The revision, a number greater than those of all earlier runs.

        Raises:
            ModelError: the folder is empty, or holds something else than files.
            StoreRefusedError: the run has staged another model, or a value cannot be written.
            StoreNotFoundError: the run's revision was pruned meanwhile.
            StoreConflictError: somebody else writes what this run writes.
            StoreDamagedError: the revision's folder holds a file that the model does not have.
        """
        # Those of another revision, where it is repeated over newer items.
        metadata = {
            key: value for key, value in metadata.items() if key not in (CARD_SHA256, REPORT_SHA256)
        }
        manifest = Manifest.create(
            f"store {self.uri}: the manifest of {checked_name(name)}",
            {
                "name": name,
                "revision": 1,  # replaced by the number that is claimed below
                "run_id": run_id,
                "created": utc_text(),
                "digest": digest,
                "files": describe_folder(model),
                "training_window": dict(training_window),
                "metadata": metadata,
            },
        )
        self.objects.sweep()
        # Before the upload: a revision without signature never goes live where HEAD is signed.
        if pointer := self.read_pointer(name)[0]:
            self.signatures.refuse_unsigned(name, pointer.to_bytes())
        revision = self._claim(name, run_id, digest).revision
        self.refuse_pruned(name, revision, self.read_pointer(name)[0])
        folder = f"{name}/revisions/{revision}/"
        if not self._is_staged(name, revision, run_id, digest):
            upload_files(self.objects, model, manifest.files, folder)
            self.check_listing(manifest, folder)
            # The upload may have taken so long that prune took this run for dead.
            self.refuse_pruned(name, revision, self.read_pointer(name)[0])
            hashes: dict[str, JsonValue] = {}
            if card:
                hashes[CARD_SHA256] = self._write_card(name, revision, card(revision))
            if report:
                key = f"{name}/{revision_path(revision)}"
                hashes[REPORT_SHA256] = write_over(self.objects, key, report(revision))
            manifest = manifest.model_copy(
                update={"revision": revision, "metadata": manifest.metadata | hashes}
            )
            content = manifest.to_writable_bytes(f"store {self.uri}: {folder}{MANIFEST}")
            self.signatures.sign_revision(manifest, manifest.identity)
            # If the key is taken by now, another attempt of this run has finished the revision.
            if self.objects.write(
                folder + MANIFEST, content, expected=None
            ) is None and not self._is_staged(name, revision, run_id, digest):
                raise StoreConflictError(
                    f"store {self.uri}: {folder}{MANIFEST} was removed meanwhile", "run again"
                )
            self.refuse_pruned(name, revision, self.read_pointer(name)[0])
        return revision

    def _is_staged(self, name: str, revision: int, run_id: str, digest: str) -> bool:
        """Whether there is a manifest of the run's revision.

        Raises:
            StoreConflictError: it is that of another run.
        """
        try:
            manifest = self.manifest(name, revision)
        except StoreNotFoundError:
            self.refuse_pruned(name, revision, self.read_pointer(name)[0])
            return False
        if (manifest.run_id, manifest.digest) != (run_id, digest):
            raise StoreConflictError(
                f"store {self.uri}: revision {revision} of {name} is that of run {manifest.run_id}",
                "start a new run",
            )
        return True

    def promote(
        self,
        name: str,
        revision: int,
        *,
        expected: Head | None,
        who: str = "",
        why: str = "",
        action: Action = "promote",
        allow_older: bool = False,
    ) -> Head:
        """Make a revision live if HEAD is what the caller saw; no change if it is live already.

        Args:
            name: of the model.
            revision: a complete revision.
            expected: HEAD as the caller saw it; None if there was none.
            who: `this_person` if left out.
            why: one sentence for the history.
            action: what the history calls it.
            allow_older: whether its training data may end before those of the live revision.

        Raises:
            StoreConflictError: HEAD moved since, or others wrote it each time.
            StoreNotFoundError: there is no such revision.
            StoreRefusedError: its data are older.
        """

        def move(pointer: Pointer | None) -> Pointer:
            # HEAD is read before the manifest. If prune removes the revision later than this, it
            # has written HEAD first, and the write of what is returned here fails.
            manifest, sha256 = self.read_manifest(name, revision, pointer)
            if pointer and pointer.live == revision:
                return pointer
            if (head_of(pointer) if pointer else None) != expected:
                before = f"revision {expected.live}" if expected else "no revision"
                raise StoreConflictError(
                    f"store {self.uri}: HEAD of {name} moved from {before} to "
                    f"{pointer.live if pointer else 'no revision'} since this run was planned",
                    "nothing was promoted, run again",
                )
            if pointer and not allow_older:
                live_manifest, _ = self.read_manifest(name, pointer.live, pointer)
                self._refuse_older(manifest, live_manifest)
            return _next_pointer(pointer, manifest, sha256, who or this_person(), why, action)

        # Another may have written HEAD and not moved it: a pin, or what prune retires.
        return head_of(change_head(self, checked_name(name), move))

    def replace_head(
        self, name: str, revision: int, *, why: str, check: Callable[[Manifest], object]
    ) -> Head:
        """Make a HEAD that followers follow whatever they have followed before: of a new origin.

        With a key, HEAD and the revision are signed, whoever signed them before.

        A lost or damaged HEAD is replaced by one that names the revision and has no history. A
        whole HEAD that names it already, such as one from a backup, keeps its history.

        Args:
            name: of the model.
            revision: a complete revision.
            why: one sentence for the history.
            check: raises for a revision that must not go live.

        Raises:
            StoreRefusedError: HEAD is whole, and another revision is live.
            StoreConflictError: HEAD was replaced meanwhile.
            StoreNotFoundError, StoreDamagedError: the revision does not exist, or is not whole.
        """
        key = f"{checked_name(name)}/HEAD"
        stored = self.objects.read(key, HEAD_BYTES)
        try:
            pointer = Pointer.parse(stored[0], key) if stored else None
        except StoreDamagedError:
            pointer = None
        if pointer and pointer.name != name:
            pointer = None
        if pointer and pointer.live != revision:
            raise StoreRefusedError(
                f"store {self.uri}: HEAD of {name} is not damaged",
                "promote or roll back instead",
            )
        manifest, sha256 = self.read_unsigned_manifest(name, revision, pointer)
        check(manifest)
        for fault in file_faults(self.objects, f"{name}/revisions/{revision}/", manifest.files):
            raise fault
        new_pointer = _next_pointer(pointer, manifest, sha256, this_person(), why, "promote")
        if pointer:
            kept = {"previous": pointer.previous, "previous_manifest": pointer.previous_manifest}
            new_pointer = new_pointer.model_copy(update={**kept, "origin": uuid.uuid4().hex})
        self.signatures.sign_revision(manifest, sha256)
        if not write_head(self, new_pointer, stored):
            raise StoreConflictError(
                f"store {self.uri}: {key} was replaced meanwhile", "look again"
            )
        return head_of(new_pointer)

    def _refuse_older(self, manifest: Manifest, live: Manifest) -> None:
        """Raise StoreRefusedError for a model of older data.

        Where one of the two has no period, nothing is known and nothing is refused.
        """
        end, live_end = _data_end(self.uri, manifest), _data_end(self.uri, live)
        if end and live_end and end < live_end:
            raise StoreRefusedError(
                f"store {self.uri}: revision {manifest.revision} of {manifest.name} was trained on "
                f"data until {end:%Y-%m-%d %H:%M}, the live revision {live.revision} until "
                f"{live_end:%Y-%m-%d %H:%M}",
                "nothing was promoted, ask for it with --older or roll back",
            )

    def _write_card(self, name: str, revision: int, text: str) -> str:
        """Write the card, over that of an interrupted attempt; return its SHA-256."""
        key, content = f"{name}/revisions/{revision}.card.md", text.encode()
        if len(content) > DOCUMENT_BYTES:
            raise StoreRefusedError(
                f"store {self.uri}: {key} cannot be written: it has {len(content):,} bytes, and "
                f"can have {DOCUMENT_BYTES:,} at most",
                "write a shorter card",
            )
        return write_over(self.objects, key, content)

    def _claim(self, name: str, run_id: str, digest: str) -> Claim:
        """The claim of a run's number, made now unless an earlier attempt has made it."""
        binding = f"{name}/revisions/{quote(run_id, safe='')}.run"
        stored = self.objects.read(binding, SMALL_BYTES)
        if stored is None:
            claim = self._new_claim(name, run_id, digest)
            # If two attempts of one run are here at once, the first to write this document decides
            # for both; the number of the other attempt stays unused.
            if self.objects.write(binding, claim.to_bytes(), expected=None) is not None:
                return claim
            stored = self.objects.read(binding, SMALL_BYTES)
        if stored is None:
            raise StoreConflictError(
                f"store {self.uri}: {binding} was removed meanwhile", "run again"
            )
        claim = Claim.parse(stored[0], f"store {self.uri}: {binding}")
        if claim.digest != digest:
            raise StoreRefusedError(
                f"store {self.uri}: run {run_id} has claimed revision {claim.revision} of {name} "
                f"for another model (digest {claim.digest}, now {digest})",
                "start a new run",
            )
        return claim

    def _new_claim(self, name: str, run_id: str, digest: str) -> Claim:
        """The claim of a number that no run had before; see `setlist.store.retention`."""
        folder = f"{name}/revisions/"
        taken = max(self.revision_numbers(name, rf"{NUMBER}(?:\.claim|/.*)"), default=0)
        race = Race(f"store {self.uri}: each free number of {folder}")
        while True:
            pointer, _ = self.read_pointer(name)
            taken = max(taken, pointer.floor if pointer else 0)
            if taken + 1 >= 10**REVISION_DIGITS:
                raise StoreRefusedError(
                    f"store {self.uri}: {folder} holds the number {taken}, and there is none above "
                    "it",
                    "remove what somebody has put there under that number, or use another store",
                )
            claim = Claim(revision=taken + 1, run_id=run_id, digest=digest, created=utc_text())
            content = claim.to_writable_bytes(f"store {self.uri}: the claim of run {run_id}")
            key = f"{folder}{claim.revision}.claim"
            # Other runs claim at the same time: the first writer of a number has it.
            if self.objects.write(key, content, expected=None) is not None:
                # The claim of an earlier run may have been removed since the listing. Then the
                # floor of HEAD was raised before, and this number was given already.
                pointer, _ = self.read_pointer(name)
                if pointer is None or claim.revision > pointer.floor:
                    return claim
            taken = claim.revision
            race.lost()


def _next_pointer(
    pointer: Pointer | None, manifest: Manifest, sha256: str, who: str, why: str, action: Action
) -> Pointer:
    """HEAD after a promotion, with all else that HEAD had before."""
    entry = Promotion(
        revision=manifest.revision,
        when=utc_text(),
        run_id=manifest.run_id,
        who=who,
        why=why,
        action=action,
    )
    before = pointer or Pointer(
        name=manifest.name,
        move="none",  # replaced below, as all that moves
        live=manifest.revision,
        live_manifest=sha256,
        previous=None,
        previous_manifest=None,
        promotions=[],
        retired=[],
        origin=uuid.uuid4().hex,
    )
    return before.model_copy(
        update={
            "move": uuid.uuid4().hex,
            "live": manifest.revision,
            "live_manifest": sha256,
            "live_verdict": manifest.verdict_digest,
            "previous": pointer.live if pointer else None,
            "previous_manifest": pointer.live_manifest if pointer else None,
            "promotions": [*before.promotions, entry][-PROMOTIONS_KEPT:],
            "number": before.number + 1,
        }
    )


def _data_end(uri: str, manifest: Manifest) -> datetime | None:
    """When the training data of a model end; a date without a zone is UTC."""
    if not (text := manifest.training_window.get("end")):
        return None
    try:
        end = datetime.fromisoformat(text)
    except ValueError as fault:
        raise StoreDamagedError(
            f"store {uri}: training_window.end of {manifest.name} revision {manifest.revision} is "
            f"{text!r}, no date",
            "stage the model again, or ask for it with --older",
        ) from fault
    return end if end.tzinfo else end.replace(tzinfo=UTC)
