"""Which addresses are accepted, before anything is opened."""

import pytest

from setlist.addresses import checked_place, checked_table
from setlist.data.engine import EngineSettings
from setlist.errors import SettingsError
from setlist.store.objects import open_objects, read_only_objects

PLAIN = [
    "gs://bucket",
    "gs://bucket/",
    "gs://bucket/a",
    "gs://bucket/a/b.c/..d/",
    "gs://b/...",
    "../a//./b",
]
STRANGE = [
    "gs://a/../b",
    "gs://a/b/..",
    "gs://a/..",
    "gs://a/./b",
    "gs://a/b/.",
    "gs://a//b",
    "gs://a/b//",
]


@pytest.mark.parametrize("address", PLAIN)
def test_a_plain_address_is_taken_as_it_is(address):
    assert checked_place(address) == checked_table(address) == address


@pytest.mark.parametrize("address", STRANGE)
def test_an_address_that_could_become_another_is_refused_everywhere(address):
    sentence = (
        r"^[^;\n]*has (an empty folder|a folder that is called '\.\.?'); write the whole path"
    )
    for check in (checked_place, checked_table):
        with pytest.raises(ValueError, match=sentence):
            check(address)
    for open_place in (open_objects, read_only_objects):
        with pytest.raises(SettingsError, match=sentence) as fault:
            open_place(address)
        assert str(fault.value).startswith(f"store: '{address}' has ")
    for scratch in (address, address.replace("gs://", "file:///")):
        with pytest.raises(ValueError, match=r"write the whole path"):
            EngineSettings(scratch=scratch, spark="sc://spark")
