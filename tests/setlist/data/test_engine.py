"""DuckDB as an engine: its words, its memory, its faults."""

import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.cases.dialect_cases import DIALECT_CASES, broken_cases
from tests.cases.golden import digests_of
from tests.cases.random_tables import write_random_tables

from setlist.data.engine import EngineSettings
from setlist.data.engines import open_engine
from setlist.errors import DataError, SettingsError
from setlist.memory import memory_bytes

ROWS = pa.schema([("n", pa.int64())])


def test_the_words_that_differ_mean_what_the_table_says():
    with open_engine(EngineSettings()) as engine:
        assert [*broken_cases(engine.rows, engine.dialect)] == []
    assert len(DIALECT_CASES) > 20


@pytest.mark.parametrize("seed", range(6))
def test_threads_do_not_matter(tmp_path, seed):
    world = write_random_tables(tmp_path / "tables", seed)
    one = digests_of(world, engine=EngineSettings(threads=1))
    assert digests_of(world, engine=EngineSettings(threads=4)) == one
    assert digests_of(world, engine=EngineSettings(memory="200MB")) == one


def test_a_fault_of_the_rows_is_the_fault_itself():
    def rows():
        yield pa.record_batch([pa.array([1])], schema=ROWS)
        raise DataError("row 2 is broken", "mend it")

    with open_engine(EngineSettings()) as engine:
        with pytest.raises(DataError, match="row 2 is broken; mend it"):
            engine.load("numbers", rows(), ROWS)
        engine.load("numbers", [pa.record_batch([pa.array([1])], schema=ROWS)], ROWS)
        assert engine.rows("select n from numbers") == [(1,)]


def test_nothing_is_left_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_engine(EngineSettings()) as engine:
        engine.table("numbers", "select 1 as n")
        assert [*tmp_path.iterdir()] != []
    assert [*tmp_path.iterdir()] == []


def test_what_fits_neither_memory_nor_disk_is_one_sentence(monkeypatch):
    with open_engine(EngineSettings(memory="20MB", threads=1)) as engine:
        engine.rows("set max_temp_directory_size = '1MB'")
        with pytest.raises(DataError, match="do not fit into memory and scratch disk") as caught:
            engine.rows("select count(distinct sha256(cast(range as varchar))) from range(3000000)")
    assert "engine.memory" in caught.value.remedy


def test_more_rows_than_memory_go_to_the_disk():
    """Half a gigabyte of rows are sorted in a tenth of it."""
    code = (
        "from pathlib import Path; import pyarrow as pa, sys, tempfile; "
        "from setlist.data.engine import *; from setlist.data.engines import *; "
        "settings = EngineSettings(memory='100MB', threads=1); "
        "schema = pa.schema([('n', pa.int64()), ('text', pa.large_string())])\n"
        "with open_engine(settings) as engine, tempfile.TemporaryDirectory() as folder:\n"
        "    engine.write('select range, sha256(cast(range as varchar)) as s from range(6000000) "
        "order by s', Path(folder) / 'sorted.parquet', schema)\n"
        "    print(Path('/proc/self/status').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Of this process alone: ru_maxrss would begin with what the tests before it took.
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", done.stdout, re.MULTILINE)
    assert int(peak) < 500_000


def test_the_memory_is_that_of_the_machine_or_less():
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory_bytes() <= machine


@pytest.mark.parametrize(
    "text",
    [
        *("local", "spark://host:7077", "local[x]", "local[0]", "2"),
        *("sc://", "sc://h:x", "sc://h:99999", "sc://h:0", "sc://[::1"),
    ],
)
def test_a_spark_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is no Spark; write it like sc://host:15002"):
        EngineSettings(spark=text)


@pytest.mark.parametrize(
    "text", ["", "local[2]", "local[*]", "sc://spark", "sc://spark:15002/;x=y"]
)
def test_a_spark_is_taken(text):
    assert EngineSettings(spark=text).spark == text


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ({"scratch": "gs://bucket/folder"}, "for a server of Spark only"),
        ({"scratch": "gs://bucket", "spark": "local[2]"}, "for a server of Spark only"),
        ({"scratch": "/shared", "spark": "sc://spark"}, "'/shared' is no place"),
        ({"scratch": "file://shared", "spark": "sc://spark"}, "is no place"),
        ({"scratch": "gs:///folder", "spark": "sc://spark"}, "is no place"),
        ({"scratch": "s3://bucket/folder", "spark": "sc://spark"}, "is no place"),
    ],
)
def test_a_scratch_that_is_none_is_refused(engine, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        EngineSettings.model_validate(engine)
    assert caught.value.error_count() == 1


@pytest.mark.parametrize("place", ["gs://bucket", "gs://bucket/folder/", "file:///shared"])
def test_a_scratch_of_a_server_is_taken(place):
    assert EngineSettings(spark="sc://spark:15002", scratch=place).scratch == place


def test_threads_of_spark_need_more_than_its_client():
    """These tests run where the extra `spark` is installed, which is the client."""
    with (
        pytest.raises(
            SettingsError, match=r"engine.spark: local\[2\] needs all of Spark"
        ) as caught,
        open_engine(EngineSettings(spark="local[2]")),
    ):
        raise AssertionError("it was opened")
    assert "install pyspark[connect] and a Java" in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_spark_is_loaded_where_it_is_asked_for_only():
    code = (
        "import sys, setlist.steps; from setlist.data.engine import *; "
        "from setlist.data.engines import *\n"
        "with open_engine(EngineSettings()) as engine: engine.rows('select 1')\n"
        "assert 'pyspark' not in sys.modules\n"
        "try:\n"
        "    open_engine(EngineSettings(spark='local[2]')).__enter__()\n"
        "except Exception:\n"
        "    assert 'pyspark' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("memory", "size"),
    # Kubeflow hands numbers on as floats.
    [("2GB", 2e9), ("1.5 GiB", 1.5 * 2**30), ("300mb", 3e8), (2_000_000_000.0, 2e9)],
)
def test_memory_is_a_number_of_bytes(memory, size):
    settings = EngineSettings(memory=memory)
    assert settings.memory == size
    assert EngineSettings.model_validate(settings.model_dump()) == settings
    with open_engine(settings) as engine:
        ((limit,),) = engine.rows("select current_setting('memory_limit')")
    number, unit = limit.split()
    assert float(number) * 1024 ** ("KMG".index(unit[0]) + 1) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("memory", ["0GB", "0.0001KB", "999999999TB", "2 apples", "GB"])
def test_a_memory_that_no_engine_takes_is_refused(memory):
    with pytest.raises(ValueError, match="memory"):
        EngineSettings(memory=memory)


@pytest.mark.parametrize("name", ["plays.parquet", "[x]*?.parquet"])
def test_a_file_and_a_folder_of_any_name_are_read(tmp_path, name):
    rows = pa.table({"n": [1, 2]})
    for place in (tmp_path / name, tmp_path / "[y]*?" / name / "part-0.parquet"):
        place.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(rows, place)
        (place.parent / "_SUCCESS").touch()
    for path in (tmp_path / name, tmp_path / "[y]*?" / name):
        with open_engine(EngineSettings(threads=1)) as engine:
            engine.read("plays", path)
            assert engine.rows("select sum(n) from plays") == [(3,)]


def test_a_file_that_is_missing_or_cut_is_named(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    for name in ("cut.parquet", "missing.parquet"):
        with (
            open_engine(EngineSettings(threads=1)) as engine,
            pytest.raises(DataError, match=rf"{name}: is no Parquet file that can be read"),
        ):
            engine.read("plays", tmp_path / name)
