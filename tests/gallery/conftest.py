import pytest


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    from tests.gallery.world import build

    return build(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def trial(world):
    from tests.gallery.trial import hold

    return hold(world)
