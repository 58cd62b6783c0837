"""The settings, policies and Python of the pages are read and run by the real readers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.docs.fences import Fence, fences

from setlist import metric
from setlist.evaluation.policy import Policy
from setlist.plugins import Plugins
from setlist_pipelines.settings.file import SAMPLE, read_policy, read_settings

OF_PACKAGES = {
    "fresh_share": metric(name="fresh_share")(lambda ranking, k: None),
    "newest_first": None,
    "my_model": None,
    "fresh_enough": None,
}
"""What pages name of packages of others."""


def documents() -> Iterator[object]:
    for fence in fences("yaml"):
        yield pytest.param(fence, id=str(fence))


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plugins, "names", lambda self: sorted(OF_PACKAGES))
    monkeypatch.setattr(Plugins, "load", lambda self, name: OF_PACKAGES[name])


@pytest.mark.parametrize("fence", list(documents()))
def test_settings_and_policies_are_what_the_readers_take(
    fence: Fence, tmp_path: Path, packages: None
):
    document = yaml.safe_load(fence.code)
    (tmp_path / "data.expected.yaml").write_text("{}\n")
    path = tmp_path / "document.yaml"
    if document.keys() <= set(Policy.model_fields):
        path.write_text(fence.code, "utf-8")
        read_policy(path)
        return
    tables = {} if "data" in document else {"data": yaml.safe_load(SAMPLE.read_text())["data"]}
    path.write_text(fence.code + yaml.safe_dump(tables) * bool(tables), "utf-8")
    read_settings(path)
