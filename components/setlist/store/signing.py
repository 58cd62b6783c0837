"""Who may say what is live: what is signed with a private key, and verified with public ones.

A signature is a bundle of OpenSSF model signing, which its own command verifies: `model_signing
verify key PATH --signature SIGNATURE --public_key KEY`. Where it lies says `store.signatures`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Self

from setlist.errors import SettingsError, StoreUntrustedError, missing_extra
from setlist.regular_file import open_regular

KEY_VARIABLE = "SETLIST_SIGNING_KEY"
"""Names the file of the private key, in PEM."""
PASSWORD_VARIABLE = "SETLIST_SIGNING_KEY_PASSWORD"  # noqa: S105 - the name of a variable
"""The password of the private key, if it has one."""
KEY_BYTES = 10_000
"""The largest key file; an elliptic curve's takes a few hundred bytes."""
BUNDLE_BYTES = 10_000_000
"""The largest bundle; a file takes 200 bytes in it."""
ONE_LINE = re.compile(r"(-----BEGIN [A-Z ]+-----)([A-Za-z0-9+/=\s]+)(-----END [A-Z ]+-----)")
CURVES = "an elliptic curve (P-256, P-384 or P-521) in PEM"


class TrustedKeys:
    """The public keys of which one must have signed whatever is read."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Read the keys; while a key is changed, both are given.

        Args:
            keys: each a public key in PEM, or the path of a file with one.

        Raises:
            SettingsError: a text is no such key, or there is none.
            MissingExtraError: the extra `sign` is not installed.
        """
        if not keys:
            raise SettingsError("no key to verify with was given.")
        bundles = _bundles()
        self.pems = tuple(read_public_key(key) for key in keys)
        self._verifiers = []
        for key, pem in zip(keys, self.pems, strict=True):
            try:
                self._verifiers.append(bundles.verifier(pem.encode()))
            except Exception as fault:  # the library has no class of its own for its faults
                raise SettingsError(
                    f"{_title(key)} is no public key of {CURVES}",
                    "name the public half of the key that signs",
                ) from fault

    @classmethod
    def of(cls, keys: Sequence[str]) -> Self | None:
        """The keys, or None where none is given: then nothing is verified."""
        return cls(keys) if keys else None

    def check(self, title: str, digests: Mapping[str, str], bundle: bytes | None) -> None:
        """Raise StoreUntrustedError unless one of the keys has signed exactly these digests."""
        reason = self.fault_of(digests, bundle)
        if reason:
            raise StoreUntrustedError(
                f"{title} is not signed by a key that is trusted here ({reason})",
                "ask who wrote it; or verify with the key that signed it, too",
            )

    def fault_of(self, digests: Mapping[str, str], bundle: bytes | None) -> str:
        """Why no key has signed exactly these digests; "" where one has."""
        if bundle is None:
            return "it has no signature"
        if len(bundle) > BUNDLE_BYTES:
            return "its signature is too large"
        reasons = []
        for verifier in self._verifiers:
            if not (reason := _bundles().fault_of(verifier, digests, bundle)):
                return ""
            reasons.append(reason)
        # The key that signed it knows most about what is wrong.
        return next((reason for reason in reasons if "another key" not in reason), reasons[0])


class Signer:
    """Signs what is written, with a private key."""

    def __init__(self, key: Path, password: str = "") -> None:
        """Open the key.

        Raises:
            SettingsError: there is no such file, or it is no such key.
            MissingExtraError: the extra `sign` is not installed.
        """
        bundles = _bundles()
        secret = password.encode() or None
        content = _read_key(f"{KEY_VARIABLE}: {key}", key)
        try:
            self._config = bundles.signer(key, secret)
            self.public_key: str = bundles.public_half(content, secret)
        except Exception as fault:  # as above
            raise SettingsError(
                f"{KEY_VARIABLE}: {key} is no private key of {CURVES}, or "
                f"{PASSWORD_VARIABLE} is not its password",
                "make one with `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`",
            ) from fault

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """The signer whose key SETLIST_SIGNING_KEY names; None where it names none."""
        key = environment.get(KEY_VARIABLE, "").strip()
        return cls(Path(key), environment.get(PASSWORD_VARIABLE, "")) if key else None

    def sign(self, title: str, digests: Mapping[str, str]) -> bytes:
        """The bundle over these digests."""
        bundle: bytes = _bundles().sign(self._config, title, digests)
        return bundle


def read_public_key(key: str) -> str:
    """The PEM of a public key: the text itself, or what the file of that path holds.

    In a text, blanks may stand for the ends of lines, as in one line of settings.

    Raises:
        SettingsError: there is no such file.
    """
    if match := ONE_LINE.fullmatch(key.strip()):
        return "\n".join([match[1], *match[2].split(), match[3], ""])
    if "-----BEGIN" in key:
        return key
    return _read_key(f"the key {key}", Path(key).expanduser()).decode("utf-8", "replace")


def _read_key(title: str, path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(KEY_BYTES + 1)
    except OSError as fault:
        raise SettingsError(
            f"{title} cannot be read ({fault.strerror or fault})", "name the file of the key"
        ) from fault
    if len(content) > KEY_BYTES:  # the library would read all of it
        raise SettingsError(
            f"{title} has more than {KEY_BYTES:,} bytes", "name the file of the key"
        )
    return content


def _title(key: str) -> str:
    return "the text of a key" if "-----BEGIN" in key else f"the key {key}"


def _bundles() -> ModuleType:
    """`setlist.store.bundles`, which only those import who sign or verify.

    Raises:
        MissingExtraError: the extra `sign` is not installed.
    """
    try:
        from setlist.store import bundles
    except ModuleNotFoundError as fault:
        raise missing_extra(fault) or fault from fault
    return bundles
