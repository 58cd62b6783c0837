"""The folder that a step and the workers of Spark share: in a bucket, and on a disk."""

from pathlib import Path

import pytest
from tests.conftest import BUCKET

from setlist.data.scratch import SharedScratch
from setlist.errors import DataError
from setlist.store.bucket import GoogleCloudStorage


@pytest.fixture(params=["disk", "bucket"])
def place(request, tmp_path, monkeypatch) -> str:
    if request.param == "disk":
        return f"file://{tmp_path}/shared"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs_bucket"))
    return f"gs://{BUCKET}/scratch/{tmp_path.name}"


def written(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_files_go_in_and_out(place, tmp_path):
    results = written(
        tmp_path / "results", "part-1.parquet", "part-0.parquet", "_SUCCESS", ".x.crc"
    )
    scratch = SharedScratch(place)
    assert scratch.address.startswith(f"{place}/")
    scratch.put(results, "folder")
    scratch.put(results / "part-1.parquet", "file")
    scratch.put(results / "part-1.parquet", "folder2")
    assert scratch.data_files("folder") == ["folder/part-0.parquet", "folder/part-1.parquet"]
    for name, files in {
        "folder": ["part-0.parquet", "part-1.parquet"],
        "file": ["part-1.parquet"],
    }.items():
        scratch.fetch(name, tmp_path / name)
        fetched = sorted((tmp_path / name).iterdir())
        assert [file.name for file in fetched] == files
        assert [file.read_text() for file in fetched] == files
    scratch.remove("folder")
    assert scratch.data_files("folder") == []
    assert scratch.data_files("folder2") == ["folder2/part-1.parquet"]
    scratch.close()


def test_nothing_is_left_of_it_and_its_neighbour_stays(place, tmp_path, monkeypatch):
    results = written(tmp_path / "results", "part-0.parquet")
    scratch, neighbour = SharedScratch(place), SharedScratch(place)
    assert scratch.address != neighbour.address
    for each in (scratch, neighbour):
        each.put(results, "events")
    scratch.close()
    assert neighbour.data_files("events") == ["events/part-0.parquet"]
    neighbour.close()
    if place.startswith("gs://"):
        assert GoogleCloudStorage(BUCKET, place.removeprefix(f"gs://{BUCKET}/")).keys("") == []
    else:
        assert [*Path(place.removeprefix("file://")).iterdir()] == []


def test_marks_of_folders_in_a_bucket_are_no_files(gcs_bucket, tmp_path, monkeypatch):
    """Hadoop writes an empty object for a folder, whose name ends with a slash."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_bucket)
    scratch = SharedScratch(f"gs://{BUCKET}/marks")
    (mark := tmp_path / "mark").write_bytes(b"")
    objects = GoogleCloudStorage(BUCKET, scratch.address.removeprefix(f"gs://{BUCKET}/"))
    for key in ("", "events/", "events/_temporary/"):
        objects.upload(mark, key)
    scratch.put(written(tmp_path / "results", "part-0.parquet"), "events")
    assert scratch.data_files("events") == ["events/part-0.parquet"]
    scratch.close()
    assert objects.keys("") == []


def test_a_bucket_that_is_not_there_is_one_sentence(gcs_bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_bucket)
    with pytest.raises(DataError, match=r"^engine.scratch: store gs://no-such-bucket/") as caught:
        SharedScratch("gs://no-such-bucket/folder")
    assert "\n" not in str(caught.value)


def test_what_cannot_be_removed_is_said(tmp_path, monkeypatch, capsys):
    """It takes room and harms nothing: the run that has ended well stays so."""
    scratch = SharedScratch(f"file://{tmp_path}/shared")
    (tmp_path / "shared").rename(tmp_path / "moved")
    scratch.remove()
    assert capsys.readouterr().out.startswith(
        f"engine.scratch: {scratch.address}/ is left behind ("
    )
