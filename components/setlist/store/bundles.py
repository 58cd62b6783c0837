"""Bundles of OpenSSF model signing over files whose SHA-256 is known already.

A bundle is a DSSE envelope with an in-toto statement that lists files and their SHA-256. The
library hashes a folder before it signs or verifies; here the store's manifest has done that.

This module needs the extra `sign`; `setlist.store.signing` imports it where a key is given.
"""

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from model_signing import hashing, manifest, signing, verifying

# The library offers no other way to a digest that was computed before.
from model_signing._hashing.hashing import Digest

Digests: TypeAlias = Mapping[str, str]
"""The SHA-256 of every file, in hexadecimal, by its path in the signed folder."""
SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


class _KnownDigests(hashing.Config):
    """Stands where the library hashes a folder, and leaves no file out."""

    def __init__(self, digests: Digests) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._digests = digests

    def hash(self, model_path: hashing.PathLike, **_: object) -> manifest.Manifest:
        """The digests as the library's manifest; `model_path` is only its title."""
        serialization = manifest.SerializationType.from_args(SERIALIZATION)
        return manifest.Manifest(
            str(model_path),
            [
                serialization.new_item(path, Digest("sha256", bytes.fromhex(sha256)))
                for path, sha256 in self._digests.items()
            ],
            serialization,
        )

    def add_ignored_paths(self, **_: object) -> None:
        """Ignore nothing, whatever the bundle asks for."""


def signer(key: Path, password: bytes | None) -> signing.Config:
    """What signs with a private key.

    Raises:
        Exception: whatever the library raises about the key.
    """
    config = signing.Config()  # type: ignore[no-untyped-call]
    # The annotation of the library says str; the key is opened with bytes only.
    return config.use_elliptic_key_signer(private_key=key, password=password)  # type: ignore[arg-type]


def public_half(key: bytes, password: bytes | None) -> str:
    """The public key, in PEM, of a private one.

    Raises:
        Exception: whatever the library raises about the key.
    """
    public = load_pem_private_key(key, password).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def verifier(public_key: bytes) -> verifying.Config:
    """What verifies with a public key in PEM.

    Raises:
        Exception: whatever the library raises about the key.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "key.pub"
        path.write_bytes(public_key)
        config = verifying.Config()  # type: ignore[no-untyped-call]
        return config.use_elliptic_key_verifier(public_key=path)


def sign(config: signing.Config, title: str, digests: Digests) -> bytes:
    """The bundle over these files; the title is for people who look into it."""
    own = copy.copy(config).set_hashing_config(_KnownDigests(digests))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "bundle.sig"
        own.sign(title, path)
        return path.read_bytes()


def fault_of(config: verifying.Config, digests: Digests, bundle: bytes) -> str:
    """Why a bundle does not vouch for exactly these files under this key; "" where it does.

    Nothing of the bundle is in the answer: whoever wrote it may be anybody.
    """
    # A copy, because threads verify at once and each sets its own digests.
    own = copy.copy(config).set_hashing_config(_KnownDigests(digests))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "bundle.sig"
        path.write_bytes(bundle)
        try:
            own.verify("", path)
        except InvalidSignature:
            return "its signature is not by the key that it names"
        except ValueError as fault:
            if str(fault).startswith("Key mismatch"):
                return "another key has signed it"
            if str(fault).startswith("Signature mismatch"):
                return "its signature is for other content"
            return "its signature cannot be read"
        except Exception:  # a bundle of anybody: whatever it does to the library, it is refused
            return "its signature cannot be read"
    return ""
