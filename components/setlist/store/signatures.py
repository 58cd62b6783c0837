"""The signatures of one store: each lies beside its document, under the SHA-256 of its bytes.

NAME/signatures/SHA256.sig            for a HEAD
NAME/revisions/REVISION.SHA256.sig    for a manifest, and so for all files of the revision

A signature is written before its document: whoever reads the document finds it, and the two never
tear. Whoever signs verifies, too: a key must not vouch for what somebody else has put into a store.
"""

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

from setlist.errors import StoreRefusedError
from setlist.store.manifest import MANIFEST, Manifest
from setlist.store.objects import Objects
from setlist.store.race import Race
from setlist.store.signing import BUNDLE_BYTES, KEY_VARIABLE, Signer, TrustedKeys

SIGNATURES = "signatures"
Digests: TypeAlias = Mapping[str, str]
"""The SHA-256 of every signed file, in hexadecimal, by its path."""


class Signatures:
    """Reads and checks the signatures of a store, and writes them where there is a key."""

    def __init__(
        self, objects: Objects, trusted: TrustedKeys | None = None, signer: Signer | None = None
    ) -> None:
        """Nothing is read or written yet.

        Args:
            objects: the place of the store.
            trusted: the keys of which one must have signed what is read; None: nothing is checked.
            signer: signs what is written; its own key is trusted as well.
        """
        self._objects, self._signer = objects, signer
        if signer:
            trusted = TrustedKeys([*(trusted.pems if trusted else ()), signer.public_key])
        self.trusted = trusted

    def check_head(self, name: str, content: bytes) -> None:
        """Raise StoreUntrustedError unless a trusted key has signed these bytes of a HEAD."""
        if self.trusted:
            self.trusted.check(
                f"store {self._objects.uri}: {name}/HEAD",
                head_digests(content),
                self._read(head_signature_key(name, content)),
            )

    def check_revision(self, manifest: Manifest, sha256: str) -> None:
        """Raise StoreUntrustedError unless a trusted key has signed a revision.

        Args:
            manifest: of the revision.
            sha256: of the manifest's bytes.
        """
        if self.trusted:
            name, revision = manifest.name, manifest.revision
            self.trusted.check(
                f"store {self._objects.uri}: {name}/revisions/{revision}/{MANIFEST}",
                revision_digests(manifest, sha256),
                self.of_revision(manifest, sha256),
            )

    def of_revision(self, manifest: Manifest, sha256: str) -> bytes | None:
        """The signature of a revision; None where it has none."""
        return self._read(revision_signature_key(manifest.name, manifest.revision, sha256))

    def sign_head(self, name: str, content: bytes, before: bytes | None) -> None:
        """Write the signature of a HEAD that will be written next.

        Args:
            name: of the model.
            content: of the HEAD that will be written.
            before: the HEAD that it will replace; None where there is none.

        Raises:
            StoreRefusedError: HEAD is signed, and there is no key.
        """
        if self._signer:
            key = head_signature_key(name, content)
            self._write(self._signer, key, f"HEAD of {name}", head_digests(content))
        elif before is not None:
            self.refuse_unsigned(name, before)

    def refuse_unsigned(self, name: str, head: bytes) -> None:
        """Raise StoreRefusedError if a HEAD is signed, and there is no key to sign another with."""
        if self._signer is None and self._read(head_signature_key(name, head)) is not None:
            raise StoreRefusedError(
                f"store {self._objects.uri}: HEAD of {name} is signed, and {KEY_VARIABLE} names no "
                "key",
                "set it to the file of the private key",
            )

    def sign_revision(self, manifest: Manifest, sha256: str) -> None:
        """Write the signature of a revision whose manifest will be written next."""
        if self._signer:
            title = f"{manifest.name} revision {manifest.revision}"
            key = revision_signature_key(manifest.name, manifest.revision, sha256)
            self._write(self._signer, key, title, revision_digests(manifest, sha256))

    def _read(self, key: str) -> bytes | None:
        stored = self._objects.read(key, BUNDLE_BYTES)
        return stored[0] if stored else None

    def _write(self, signer: Signer, key: str, title: str, digests: Digests) -> None:
        """Sign, over whatever lies there: a signature that was written again counts as new."""
        bundle = signer.sign(title, digests)
        race = Race(f"store {self._objects.uri}: {key}")
        while self._objects.write(key, bundle, expected=self._version(key)) is None:
            race.lost()

    def _version(self, key: str) -> str | None:
        stored = self._objects.read(key, BUNDLE_BYTES)
        return stored[1] if stored else None


def head_signature_key(name: str, content: bytes) -> str:
    """Where the signature of a HEAD with these bytes lies."""
    return f"{name}/{SIGNATURES}/{hashlib.sha256(content).hexdigest()}.sig"


def head_digests(content: bytes) -> dict[str, str]:
    """What the signature of HEAD is over: the file alone, which the library calls "."."""
    return {".": hashlib.sha256(content).hexdigest()}


def revision_signature_key(name: str, revision: int, sha256: str) -> str:
    """Where the signature of a revision lies whose manifest has this SHA-256."""
    return f"{name}/revisions/{revision}.{sha256}.sig"


def revision_digests(manifest: Manifest, sha256: str) -> dict[str, str]:
    """What the signature of a revision is over: its manifest, and every file that this lists."""
    return {MANIFEST: sha256} | {path: file.sha256 for path, file in manifest.files.items()}
