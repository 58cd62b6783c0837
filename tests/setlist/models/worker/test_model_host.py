"""Several models in one worker, which may be lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cases import hostile_models as hostile

from setlist.errors import ModelError
from setlist.models.worker.confinement import Limits
from setlist.models.worker.model_host import ModelHost
from setlist.models.worker.model_worker import ModelUnansweredError


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "first": hostile.write_harmless(folder / "first"),
        "second": hostile.write_harmless(folder / "second"),
        "works": hostile.write_works_on(folder / "works"),
        "dies": hostile.write_dies_on(folder / "dies"),
    }


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost(most=2) as opened:
        yield opened


def top(host: ModelHost, folder: Path, item: str = "I1", seconds: float = 60.0) -> str:
    with host.model(folder) as model:
        ids, _ = model.signature([[item]], [[]], 1, {}, seconds=seconds)
    return ids[0, 0]


def test_models_stay_side_by_side_as_far_as_there_is_room(folders, host):
    assert {top(host, folders[name]) for name in ("first", "second", "first")} == {"I9"}
    with ThreadPoolExecutor(1) as other:
        with host.model(folders["second"]) as second:
            waits = other.submit(top, host, folders["first"])
            assert second.recommend([[]], [[]], 1)[0].tolist() == [["I9"]]
            assert not waits.done(), "one thread after the other"
        assert waits.result() == "I9"
    with host.model(folders["second"]) as second:
        pass
    top(host, folders["works"])  # there is no room for the first, which was asked longest ago
    second.drop()
    with pytest.raises(ModelError, match="is not loaded"):
        second.recommend([[]], [[]], 1)


def test_a_lost_worker_is_replaced_for_whoever_asks_next(folders, host):
    top(host, folders["first"])
    with pytest.raises(ModelUnansweredError, match=r"^no answer to 'signature' within 1 s; its"):
        top(host, folders["works"], "poison", seconds=1.0)
    assert top(host, folders["first"]) == "I9"
    assert top(host, folders["works"]) == "I9"


def test_a_model_that_takes_the_worker_while_it_makes_room_is_no_fault_of_the_next(folders):
    with ModelHost() as host:
        top(host, folders["first"])
        with host.model(folders["first"]) as model:
            model._worker._process.kill()
            model._worker._process.wait()
        assert top(host, folders["second"]) == "I9"


def test_each_operation_has_to_be_allowed(folders, host):
    with pytest.raises(ModelError, match="'Abort'"), host.model(folders["dies"]):
        pass
    with host.model(folders["dies"], ("Abort",)) as model:
        assert model.recommend([["I1"]], [[]], 1)[0].tolist() == [["I9"]]


def test_small_models_fit_side_by_side_into_the_least_memory(folders):
    with ModelHost(Limits(memory=300 << 20), most=3) as host:
        for name in ("first", "second", "works"):
            assert top(host, folders[name]) == "I9"
