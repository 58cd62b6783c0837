"""Nothing that somebody names in place of a file keeps its reader waiting."""

import os
from pathlib import Path

import pytest

from setlist.data.source import TableSource, listing
from setlist.errors import DataError, SettingsError
from setlist.regular_file import open_regular
from setlist.store.signing import Signer, TrustedKeys


@pytest.fixture(params=["pipe", "device", "folder"])
def strange(request, tmp_path) -> Path:
    path = tmp_path / "strange.csv"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


def test_a_file_is_read_where_it_lies_and_where_a_link_leads(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_what_is_no_file_is_refused_and_nothing_stays_open(strange):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(OSError, match="no regular file, but a folder, a pipe or a device"):
            open_regular(strange)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("use", [Signer, lambda path: TrustedKeys([str(path)])])
def test_a_key_is_a_file(strange, use):
    with pytest.raises(SettingsError, match=r"cannot be read \(it is no regular file.*; name the"):
        use(strange)


def test_a_table_is_a_file_or_a_folder_of_files(strange):
    sentence = "there are no files in it" if strange.is_dir() else "is a pipe or a device; name"
    with pytest.raises(DataError, match=sentence):
        listing(TableSource(path=str(strange)))
