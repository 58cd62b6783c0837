"""Names, revisions and HEAD, for those who only read."""

import hashlib
import re
import shutil
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setlist.errors import (
    ModelError,
    SettingsError,
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreUntrustedError,
)
from setlist.store.files import Entry
from setlist.store.kept_report import REPORT_SHA256, revision_path
from setlist.store.manifest import MANIFEST, NUMBER, Manifest, Pointer, Promotion
from setlist.store.objects import Objects, read_only_objects
from setlist.store.signatures import Signatures
from setlist.store.signing import Signer, TrustedKeys
from setlist.store.sizes import DOCUMENT_BYTES, FILE_BYTES, HEAD_BYTES, MANIFEST_BYTES, REPORT_BYTES
from setlist.store.transfer import TRANSFER_THREADS, download_files, file_faults, listing_faults

MODEL_NAME = r"[a-z0-9-]+(/[a-z0-9-]+)*"
RESERVED = ("revisions", "runs", "monitoring", "checkpoints", "head", "signatures")
"""No part of a name: "home/revisions" would lie among the revisions of "home"."""
CARD_SHA256 = "card_sha256"
"""In the metadata of a revision: the SHA-256 of its model card."""


def open_reader(
    uri: str,
    *,
    retry_seconds: float | None = None,
    new: bool = False,
    trusted: TrustedKeys | None = None,
) -> "StoreReader":
    """Open the store at "gs://bucket/prefix" or in a local folder to read it.

    Nothing is created, and no permission to write is needed.

    Args:
        uri: the address.
        retry_seconds: how long faults of a bucket are tried again; a minute if left out.
        new: whether a local folder that does not exist is a store in which nothing is live, as
            before the first run.
        trusted: the keys of which one must have signed what is read; None: nothing is checked.

    Raises:
        SettingsError: the text is no address, or has an unknown scheme.
        StoreNotFoundError: there is no store at the address.
        StoreError: the place cannot be used; see `setlist.store.objects.Objects`.
    """
    return StoreReader(read_only_objects(uri, retry_seconds, new=new), trusted)


@dataclass(frozen=True)
class Head:
    """What was live when HEAD was read.

    `version` identifies the promotion: `ModelStore.promote` succeeds only while HEAD has it.
    """

    live: int
    previous: int | None
    version: str


class StoreReader:
    """Named models, each with its revisions and its HEAD.

    Every method raises SettingsError for a text that is no model name, StoreNotFoundError for a
    revision that does not exist, StoreDamagedError for a document or file that is not what was
    written, StoreUntrustedError for a HEAD or manifest that no trusted key has signed, and another
    StoreError where the place of the objects cannot be read.
    """

    def __init__(
        self, objects: Objects, trusted: TrustedKeys | None = None, signer: Signer | None = None
    ) -> None:
        """Nothing is read yet.

        Args:
            objects: the place of the store.
            trusted: the keys of which one must have signed what is read; None: nothing is checked.
            signer: signs what is written; its own key is trusted as well.
        """
        self.uri = objects.uri
        self.objects = objects
        self.signatures = Signatures(objects, trusted, signer)

    def head(self, name: str) -> Head | None:
        """What is live under a name, or None where nothing was promoted yet."""
        pointer, _ = self.read_pointer(name)
        return head_of(pointer) if pointer else None

    def history(self, name: str) -> list[Promotion]:
        """The last promotions of a name (at most 50), oldest first."""
        pointer, _ = self.read_pointer(name)
        return pointer.promotions if pointer else []

    def promoted_revisions(self, name: str) -> list[int]:
        """The revisions that were live, each once, the last promoted first."""
        return list(dict.fromkeys(entry.revision for entry in reversed(self.history(name))))

    def revisions(self, name: str) -> list[int]:
        """The complete revisions of a name that were not pruned, ascending."""
        return self._complete(name, self.read_pointer(name)[0])

    def manifest(self, name: str, revision: int) -> Manifest:
        """The manifest of a complete revision.

        Raises:
            StoreNotFoundError: there is no such revision.
            StoreDamagedError: its manifest is damaged or belongs to another revision, or HEAD,
                which holds the checksum of the live manifest, is damaged.
        """
        return self.read_manifest(name, revision, self.read_pointer(name)[0])[0]

    def manifests(
        self, name: str, revisions: Collection[int] | None = None
    ) -> dict[int, Manifest | StoreError]:
        """The manifests of all revisions, ascending; the error in place of an unreadable one.

        Args:
            name: of the model.
            revisions: those that are read; all where it is None.
        """
        pointer, _ = self.read_pointer(name)

        def read(revision: int) -> Manifest | StoreError:
            try:
                return self.read_manifest(name, revision, pointer)[0]
            except StoreError as fault:
                return fault

        if revisions is None:
            revisions = self._complete(name, pointer)
        with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
            return dict(zip(revisions, pool.map(read, revisions), strict=True))

    def fetch(self, name: str, revision: int, to: Path) -> Path:
        """Copy a revision into the folder `to` (new or empty), every file verified.

        Returns:
            `to`, which appears with all files at once or not at all.

        Raises:
            StoreNotFoundError: there is no such revision.
            StoreDamagedError: a file is missing, unlisted or damaged; it is named.
            ModelError: `to` holds something else, or cannot be written.
        """
        return self.download(self.manifest(name, revision), to)

    def download(self, manifest: Manifest, to: Path) -> Path:
        """Copy the revision of a manifest that was read before, as `fetch` does."""
        name, revision = manifest.name, manifest.revision
        folder = f"{name}/revisions/{revision}/"
        self.check_listing(manifest, folder)
        # Beside `to`, so that the rename stays within one file system and is atomic.
        scratch = to.absolute().parent / f".{to.name}.{uuid.uuid4().hex}"
        try:
            scratch.mkdir(parents=True)
            download_files(self.objects, folder, manifest.files, scratch)
            scratch.replace(to)
        except OSError as fault:
            raise ModelError(
                f"{to}: cannot hold {name} revision {revision} ({fault.strerror or fault})",
                "name a new or empty folder that can be written",
            ) from fault
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return to

    def verify(self, name: str, revision: int) -> list[StoreError]:
        """Read all of a revision; one error for each fault, none where it is whole."""
        try:
            manifest = self.manifest(name, revision)
        except StoreError as fault:
            return [fault]
        faults = file_faults(self.objects, f"{name}/revisions/{revision}/", manifest.files)
        for read in (self.card, self.report):
            try:
                read(name, revision)
            except StoreError as fault:
                faults.append(fault)
        return faults

    def file(self, name: str, revision: int, path: str) -> bytes | None:
        """The content of a small file of a revision, verified; None where it has no such file."""
        listed = self.manifest(name, revision).files.get(path)
        if listed is None:
            return None
        key = f"{name}/revisions/{revision}/{path}"
        stored = self.objects.read(key, min(listed.size, FILE_BYTES))
        if stored is None or hashlib.sha256(stored[0]).hexdigest() != listed.sha256:
            raise StoreDamagedError(
                f"store {self.uri}: {key} is {'damaged' if stored else 'missing'}",
                "stage the model again",
            )
        return stored[0]

    def card(self, name: str, revision: int) -> str | None:
        """The model card of a revision, in Markdown; None where it was staged without a card."""
        content = self._listed(name, revision, f"revisions/{revision}.card.md", CARD_SHA256)
        return None if content is None else content.decode()

    def report(self, name: str, revision: int) -> bytes | None:
        """The report of a revision, as HTML; None where it was staged without a report."""
        return self._listed(name, revision, revision_path(revision), REPORT_SHA256)

    def _listed(self, name: str, revision: int, path: str, entry: str) -> bytes | None:
        """What lies beside a revision, held against its manifest; None where that lists none."""
        sha256 = self.manifest(name, revision).metadata.get(entry)
        if sha256 is None:
            return None
        key = f"{name}/{path}"
        stored = self.objects.read(key, max(DOCUMENT_BYTES, REPORT_BYTES))
        if stored is None or hashlib.sha256(stored[0]).hexdigest() != sha256:
            raise StoreDamagedError(
                f"store {self.uri}: {key} is {'damaged' if stored else 'missing'} (its manifest "
                "has another SHA-256)",
                "restore it",
            )
        return stored[0]

    def read_pointer(self, name: str) -> tuple[Pointer | None, str | None]:
        """What HEAD holds, and the version of the object; None twice where there is no HEAD.

        Raises:
            StoreDamagedError: HEAD is damaged, or belongs to another model.
            StoreUntrustedError: no trusted key has signed it.
        """
        key = f"{checked_name(name)}/HEAD"
        try:
            stored = self.objects.read(key, HEAD_BYTES)
        except StoreDamagedError as fault:
            raise StoreDamagedError(fault.message, Pointer.remedy) from fault
        if stored is None:
            return None, None
        content, version = stored
        try:
            self.signatures.check_head(name, content)
        except StoreUntrustedError:
            # Prune may have removed the signature of an older HEAD: then there is a newer one.
            again = self.objects.read(key, HEAD_BYTES)
            if again is None or again[0] == content:
                raise
            content, version = again
            self.signatures.check_head(name, content)
        pointer = Pointer.parse(content, f"store {self.uri}: {key}")
        if pointer.name != name:
            raise StoreDamagedError(
                f"store {self.uri}: {key} is that of {pointer.name}", Pointer.remedy
            )
        return pointer, version

    def revision_numbers(self, name: str, pattern: str) -> list[int]:
        """The numbers in the keys under `NAME/revisions/` that match a pattern, ascending.

        The pattern begins with `setlist.store.manifest.NUMBER`: other keys are no revisions.
        """
        folder = f"{checked_name(name)}/revisions/"
        keys = (key.removeprefix(folder) for key in self.objects.keys(folder))
        return sorted({int(match[1]) for key in keys if (match := re.fullmatch(pattern, key))})

    def manifest_entries(self, name: str) -> dict[int, Entry]:
        """Size and time of the manifests of the complete revisions that were not pruned."""
        pointer, _ = self.read_pointer(name)
        folder = f"{name}/revisions/"
        pattern = re.compile(rf"{re.escape(folder)}{NUMBER}/{re.escape(MANIFEST)}")
        entries = {
            int(match[1]): entry
            for entry in self.objects.entries(folder)
            if (match := pattern.fullmatch(entry.key))
        }
        return {each: entries[each] for each in self._retained(sorted(entries), pointer)}

    def read_manifest(
        self, name: str, revision: int, pointer: Pointer | None
    ) -> tuple[Manifest, str]:
        """Read a manifest, and check who signed it and what HEAD says about the revision.

        Returns:
            The manifest, and the SHA-256 of its bytes.
        """
        manifest, sha256 = self.read_unsigned_manifest(name, revision, pointer)
        self.signatures.check_revision(manifest, sha256)
        return manifest, sha256

    def read_unsigned_manifest(
        self, name: str, revision: int, pointer: Pointer | None
    ) -> tuple[Manifest, str]:
        """The same, whoever signed it."""
        self.refuse_pruned(name, revision, pointer)
        key = f"{checked_name(name)}/revisions/{revision}/{MANIFEST}"
        stored = self.objects.read(key, MANIFEST_BYTES)
        if stored is None and pointer and revision in (pointer.live, pointer.previous):
            raise StoreDamagedError(
                f"store {self.uri}: {key} is missing, though HEAD names it", Manifest.remedy
            )
        if stored is None:
            revisions = ", ".join(map(str, self._complete(name, pointer))) or "none"
            raise StoreNotFoundError(
                f"store {self.uri}: {name} has no revision {revision}; its revisions are: "
                f"{revisions}."
            )
        manifest = Manifest.parse(stored[0], f"store {self.uri}: {key}")
        if (manifest.name, manifest.revision) != (name, revision):
            raise StoreDamagedError(
                f"store {self.uri}: {key} is the manifest of {manifest.name} revision "
                f"{manifest.revision}",
                "stage the model again instead of copying it",
            )
        sha256 = hashlib.sha256(stored[0]).hexdigest()
        promoted: dict[int | None, str | None] = {}
        if pointer:
            # Where both numbers are equal, the live one counts: it comes last.
            promoted = {
                pointer.previous: pointer.previous_manifest,
                pointer.live: pointer.live_manifest,
            }
        # A manifest may be valid and still not be the manifest that went live.
        if promoted.get(revision, sha256) != sha256:
            raise StoreDamagedError(
                f"store {self.uri}: {key} is damaged (it is not the one that went live: HEAD has "
                "another SHA-256)",
                Manifest.remedy,
            )
        if (
            pointer
            and revision == pointer.live
            and pointer.live_verdict not in ("", manifest.verdict_digest)
        ):
            raise StoreDamagedError(
                f"store {self.uri}: {key} is damaged (its verdict is not the one by which it went "
                "live: HEAD has another SHA-256)",
                Manifest.remedy,
            )
        return manifest, sha256

    def _complete(self, name: str, pointer: Pointer | None) -> list[int]:
        """The numbers that have a manifest and were not pruned, ascending."""
        numbers = self.revision_numbers(name, rf"{NUMBER}/{re.escape(MANIFEST)}")
        return self._retained(numbers, pointer)

    def _retained(self, numbers: list[int], pointer: Pointer | None) -> list[int]:
        return [each for each in numbers if not (pointer and pointer.retires(each))]

    def refuse_pruned(self, name: str, revision: int, pointer: Pointer | None) -> None:
        """Raise StoreNotFoundError for a revision that HEAD has retired, or that cannot be."""
        if revision < 1:
            raise StoreNotFoundError(
                f"store {self.uri}: {name} never had a revision {revision}: numbers begin at 1",
                "see those that there are with `setlist models list`",
            )
        if pointer and pointer.retires(revision):
            raise StoreNotFoundError(
                f"store {self.uri}: revision {revision} of {name} was pruned",
                "choose another, or start a new run",
            )

    def check_listing(self, manifest: Manifest, folder: str) -> None:
        """Raise StoreDamagedError if a folder's files are not exactly those of the manifest."""
        for fault in listing_faults(self.objects, folder, manifest.files):
            raise fault


def head_of(pointer: Pointer) -> Head:
    """The part of HEAD that callers see."""
    return Head(pointer.live, pointer.previous, pointer.move)


def checked_name(name: str) -> str:
    """Return a model name unchanged.

    Raises:
        SettingsError: the text is no model name.
    """
    if not re.fullmatch(MODEL_NAME, name) or set(RESERVED) & set(name.split("/")):
        raise SettingsError(
            f"name: {name!r} is no model name",
            "write lower-case letters, digits and hyphens, parts separated by /, none of them "
            + ", ".join(RESERVED),
        )
    return name
