"""Bundles and keys: what is signed, who may have signed it, and what is refused."""

import hashlib
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from tests.signing_keys import make_key
from tests.waiting import PATIENCE

from setlist.errors import EXTRAS, SettingsError, StoreUntrustedError
from setlist.store.signatures import head_digests
from setlist.store.signing import BUNDLE_BYTES, KEY_BYTES, Signer, TrustedKeys

CONTENT = b'{"live": 1}'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_what_is_signed_is_trusted_and_nothing_else(tmp_path: Path, kind: str):
    pair = make_key(tmp_path, kind=kind)
    bundle = Signer(pair.private).sign("HEAD", head_digests(CONTENT))
    trusted = TrustedKeys([str(pair.public)])
    trusted.check("HEAD", head_digests(CONTENT), bundle)
    assert trusted.fault_of(head_digests(b"other"), bundle) == "its signature is for other content"
    assert trusted.fault_of(head_digests(CONTENT), None) == "it has no signature"
    with pytest.raises(StoreUntrustedError, match=r"HEAD is not signed .* \(it has no signature\)"):
        trusted.check("HEAD", head_digests(CONTENT), None)


def test_a_key_may_be_text_and_its_password_a_variable(tmp_path: Path):
    pair = make_key(tmp_path, password="correct horse")
    variables = {"SETLIST_SIGNING_KEY": str(pair.private)}
    signer = Signer.from_environment(variables | {"SETLIST_SIGNING_KEY_PASSWORD": "correct horse"})
    assert signer is not None
    assert signer.public_key == pair.public.read_text()
    bundle = signer.sign("HEAD", head_digests(CONTENT))
    assert TrustedKeys([signer.public_key]).fault_of(head_digests(CONTENT), bundle) == ""
    for password in ({}, {"SETLIST_SIGNING_KEY_PASSWORD": "wrong"}):
        with pytest.raises(SettingsError, match="SETLIST_SIGNING_KEY_PASSWORD is not its password"):
            Signer.from_environment(variables | password)
    assert Signer.from_environment({}) is None


def test_during_a_change_of_keys_both_are_trusted(tmp_path: Path):
    old, new, strange = (make_key(tmp_path, name) for name in ("old", "new", "strange"))
    digests = head_digests(CONTENT)
    by = {pair: Signer(pair.private).sign("HEAD", digests) for pair in (old, new, strange)}
    both = TrustedKeys([str(old.public), str(new.public)])
    assert [both.fault_of(digests, by[pair]) for pair in (old, new, strange)] == [
        "",
        "",
        "another key has signed it",
    ]
    afterwards = TrustedKeys([str(new.public)])
    assert afterwards.fault_of(digests, by[new]) == ""
    assert afterwards.fault_of(digests, by[old]) == "another key has signed it"


def test_a_bundle_that_was_touched_or_is_none_is_refused(tmp_path: Path):
    pair, other = make_key(tmp_path), make_key(tmp_path, "other")
    digests = head_digests(CONTENT)
    bundle = Signer(pair.private).sign("HEAD", digests)
    trusted = TrustedKeys([str(pair.public)])
    document = json.loads(bundle)
    payload = json.loads(b64decode(document["dsseEnvelope"]["payload"]))

    def with_payload(changed: object) -> bytes:
        envelope = document["dsseEnvelope"] | {
            "payload": b64encode(json.dumps(changed).encode()).decode()
        }
        return json.dumps(document | {"dsseEnvelope": envelope}).encode()

    # The strange key says that it is the trusted one.
    strange = json.loads(Signer(other.private).sign("HEAD", digests))
    strange["verificationMaterial"] = document["verificationMaterial"]
    hintless = json.loads(bundle)
    hintless["verificationMaterial"]["publicKey"]["hint"] = ""
    lines = {
        with_payload(payload | {"extra": 1}): "its signature is not by the key that it names",
        json.dumps(strange).encode(): "its signature is not by the key that it names",
        b"": "its signature cannot be read",
        b"\xff\xfe": "its signature cannot be read",
        b"[" * 100_000: "its signature cannot be read",
        b"{}": "its signature cannot be read",
        b"\x1b[31m": "its signature cannot be read",
        b" " * (BUNDLE_BYTES + 1): "its signature is too large",
    }
    assert {touched: trusted.fault_of(digests, touched) for touched in lines} == lines


def test_a_bundle_cannot_leave_files_out(tmp_path: Path):
    """The library lets a bundle name paths that it ignores; here every file counts."""
    from model_signing import hashing, signing

    pair = make_key(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    (model / "manifest.json").write_bytes(CONTENT)
    (model / "saved_model.pb").write_bytes(b"bad")
    config = signing.Config().use_elliptic_key_signer(private_key=pair.private)
    ignoring = hashing.Config().set_ignored_paths(paths=["saved_model.pb"])
    config.set_hashing_config(ignoring).sign(model, tmp_path / "sig")
    bundle = (tmp_path / "sig").read_bytes()
    trusted = TrustedKeys([str(pair.public)])
    whole = {"manifest.json": sha256(CONTENT), "saved_model.pb": sha256(b"bad")}
    assert trusted.fault_of(whole, bundle) == "its signature is for other content"


@pytest.mark.parametrize("kind", ["rsa", "k256"])
def test_keys_of_other_kinds_are_refused_in_one_sentence(tmp_path: Path, kind: str):
    pair = make_key(tmp_path, kind=kind)
    with pytest.raises(SettingsError, match=r"key\.pub is no public key of an elliptic curve"):
        TrustedKeys([str(pair.public)])
    with pytest.raises(SettingsError, match=r"key\.pem is no private key of an elliptic curve"):
        Signer(pair.private)


def test_files_that_hold_no_key_are_refused_in_one_sentence(tmp_path: Path):
    pair = make_key(tmp_path)
    with pytest.raises(SettingsError, match="name the public half of the key that signs"):
        TrustedKeys([str(pair.private)])
    with pytest.raises(SettingsError, match="the text of a key is no public key"):
        TrustedKeys(["-----BEGIN PUBLIC KEY-----\n"])
    with pytest.raises(SettingsError, match=r"none\.pub cannot be read \(No such file"):
        TrustedKeys([str(tmp_path / "none.pub")])
    with pytest.raises(SettingsError, match=r"SETLIST_SIGNING_KEY: .*none\.pem cannot be read"):
        Signer(tmp_path / "none.pem")
    assert TrustedKeys.of([]) is None
    with pytest.raises(SettingsError, match="no key"):
        TrustedKeys([])


def test_the_tool_of_the_format_verifies_a_head(tmp_path: Path):
    pair = make_key(tmp_path)
    (tmp_path / "HEAD").write_bytes(CONTENT)
    (tmp_path / "HEAD.sig").write_bytes(Signer(pair.private).sign("HEAD", head_digests(CONTENT)))
    command = [sys.executable, "-m", "model_signing", "verify", "key", "HEAD"]
    command += ["--signature", "HEAD.sig", "--public_key", str(pair.public)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr
    (tmp_path / "HEAD").write_bytes(b"other")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "Signature mismatch" in done.stderr


@pytest.mark.parametrize("package", ["model_signing", "OpenSSL"])
def test_without_the_extra_the_store_works_and_a_key_is_one_sentence(tmp_path: Path, package: str):
    """Each of the two packages of the extra `sign` is missing in a process of its own."""
    assert package in EXTRAS
    pair = make_key(tmp_path)
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from setlist.store.model_store import open_store\n"
        "from setlist.store.signing import Signer, TrustedKeys\n"
        "open_store(sys.argv[1])\n"
        "from setlist.errors import MissingExtraError\n"
        "for make in (lambda: TrustedKeys([sys.argv[2]]), lambda: Signer(sys.argv[3])):\n"
        "    try: make()\n"
        "    except MissingExtraError as error: print(error)\n"
    )
    paths = [str(tmp_path / "store"), str(pair.public), str(pair.private)]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=PATIENCE
    )
    line = f"{package} is not installed; install it with: pip install 'setlist[sign]'.\n"
    assert (done.returncode, done.stdout) == (0, line * 2), done.stderr


def test_a_key_that_is_no_file_of_a_key_is_not_read_whole(tmp_path: Path):
    """The library reads all of what it is given: of /dev/zero, until memory is full."""
    large = tmp_path / "large.pem"
    large.write_bytes(make_key(tmp_path).private.read_bytes() + b"\n" * KEY_BYTES)
    for use in (Signer, lambda key: TrustedKeys([str(key)])):
        with pytest.raises(SettingsError, match="has more than 10,000 bytes"):
            use(large)
