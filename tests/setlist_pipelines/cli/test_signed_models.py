"""`setlist models` by a person with and without the key, and with keys to verify with."""

from pathlib import Path

import pytest
from tests.signing_keys import KeyPair, make_key

from setlist.store.model_store import open_store


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@pytest.fixture
def store(tmp_path: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two revisions, the second live; signed. The key is gone from the environment."""
    uri = str(tmp_path / "store")
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(pair.private))
    opened = open_store(uri)
    for number in (1, 2):
        model = tmp_path / f"model-{number}"
        model.mkdir()
        (model / "saved_model.pb").write_bytes(b"%d" % number)
        opened.stage(
            "home", model, run_id=f"r{number}", digest=f"d{number}", training_window={}, metadata={}
        )
        opened.promote("home", number, expected=opened.head("home"))
    monkeypatch.delenv("SETLIST_SIGNING_KEY")
    return uri


def test_verify_checks_signatures_where_keys_are_given(setlist, store, pair, tmp_path):
    done = setlist("models", "verify", "--store", store, "--verify", str(pair.public))
    assert (done.code, done.out.count("is whole")) == (0, 2)
    other = make_key(tmp_path, "other")
    done = setlist("models", "verify", "2", "--store", store, "--verify", str(other.public))
    assert done.code == 1
    assert "another key has signed it" in done.out + done.err
    both = ["--verify", str(other.public), "--verify", str(pair.public)]
    assert setlist("models", "verify", "--store", store, *both).code == 0


@pytest.mark.parametrize(
    "words", [["rollback"], ["pin", "1"], ["promote", "1", "--older"]], ids=lambda words: words[0]
)
def test_without_the_key_a_person_changes_nothing(setlist, store, words):
    head = Path(store) / "home" / "HEAD"
    before = head.read_bytes()
    done = setlist("models", *words, "--store", store)
    assert done.code == 1
    if words[0] != "promote":  # which is refused for its missing verdict before
        assert "SETLIST_SIGNING_KEY names no key" in done.err
    assert head.read_bytes() == before


def test_with_the_key_a_person_signs(setlist, store, pair, monkeypatch):
    monkeypatch.setenv("SETLIST_SIGNING_KEY", str(pair.private))
    for words in (["rollback", "--why", "odd lists"], ["pin", "2"], ["unpin", "2"]):
        assert setlist("models", *words, "--store", store).code == 0
    monkeypatch.delenv("SETLIST_SIGNING_KEY")
    done = setlist("models", "verify", "--store", store, "--verify", str(pair.public))
    assert done.code == 0


def test_a_key_that_is_none_is_one_sentence(setlist, store, tmp_path):
    done = setlist("models", "verify", "--store", store, "--verify", str(tmp_path / "none.pub"))
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "none.pub cannot be read" in done.err
