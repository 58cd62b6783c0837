"""The patches of kfp: each is still needed, and does what it says."""

import inspect

import pytest
from kfp import dsl, local
from kfp.local import docker_task_handler, executor_input_utils, placeholder_utils

from setlist_pipelines.laptop.kfp_patches import name_run, run_container
from setlist_pipelines.laptop.supervisor import Supervisor


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Patches of one test are not met by the next."""
    for module, name in (
        (executor_input_utils, "get_local_pipeline_resource_name"),
        (placeholder_utils, "make_random_id"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def say(text: str) -> str:
    return text


@dsl.pipeline
def saying():
    say(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)


def test_the_outputs_of_a_run_are_where_the_patch_says(tmp_path, capsys):
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path))
    name_run("chosen-by-us", "our-id")
    saying()
    assert "Output: 'our-id'" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["chosen-by-us"]


class Container:
    """A container of the engine, as far as the patch asks for it."""

    def __init__(self, code):
        self.code = code
        self.calls = []

    def logs(self, stream):
        self.calls.append("logs")
        return iter([b"a line\n"])

    def wait(self):
        self.calls.append("wait")
        return {"StatusCode": self.code}

    def remove(self, force):
        self.calls.append("remove")


class Engine:
    """An engine that starts that container; the real one is asked in tests/container."""

    def __init__(self, container):
        self.containers = self
        self.container = container

    def run(self, image, command, detach, volumes, **arguments):
        assert detach
        assert "auto_remove" not in arguments
        return self.container


@pytest.mark.parametrize("code", [0, 1, 137])
def test_the_exit_code_is_read_before_the_container_is_removed(code, capsys):
    container = Container(code)
    assert run_container(Supervisor(None), Engine(container), "image", ["true"], {}) == code
    assert container.calls == ["logs", "wait", "remove"]
    assert capsys.readouterr().out == "a line\n"


def test_kfp_still_has_the_engine_remove_containers_before_it_asks():
    """Where this fails, kfp has changed: see whether the patch can go."""
    source = inspect.getsource(docker_task_handler.run_docker_container)
    assert "auto_remove" in source or "remove=True" in source
