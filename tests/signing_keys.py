"""Key pairs, made when a test wants one."""

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


class KeyPair(NamedTuple):
    """The files of the two halves."""

    private: Path
    public: Path


CURVES = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1, "k256": ec.SECP256K1}


def make_key(folder: Path, name: str = "key", kind: str = "p256", password: str = "") -> KeyPair:
    """A new key of a curve, or of "rsa", in two files."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
    made = key or ec.generate_private_key(CURVES[kind]())
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.pub")
    pair.private.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    pair.public.write_bytes(
        made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return pair
