"""The key that signs reaches one step, and the keys that verify reach those that read."""

from pathlib import Path

import pytest
import yaml
from tests.signing_keys import make_key

from setlist.errors import SettingsError
from setlist.store.signing import TrustedKeys
from setlist_pipelines.kubeflow.compilation import compile_pipeline
from setlist_pipelines.settings.file import SAMPLE, read_settings

STORE = "store=gs://bucket/setlist"


def test_only_the_step_that_pushes_gets_the_key(tmp_path: Path):
    settings = read_settings(SAMPLE, [STORE, "platform.signing_secret=setlist-signing"])
    compile_pipeline(settings, tmp_path / "pipeline.yaml", None, "retraining")
    pipeline, platform = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text("utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {
        name: executor["secretAsVolume"]
        for name, executor in executors.items()
        if "secretAsVolume" in executor
    }
    assert list(mounts) == ["exec-push"]
    (mount,) = mounts["exec-push"]
    assert (mount["secretName"], mount["mountPath"]) == ("setlist-signing", "/etc/setlist/signing")
    assert not mount.get("optional"), "a pod that names a missing Secret never starts"
    containers = pipeline["deploymentSpec"]["executors"]
    variables = {
        name: variable["value"]
        for name, executor in containers.items()
        for variable in executor["container"].get("env", ())
        if variable["name"] == "SETLIST_SIGNING_KEY"
    }
    assert variables == {"exec-push": "/etc/setlist/signing/key.pem"}


def test_without_the_setting_no_step_gets_one(tmp_path: Path):
    compile_pipeline(read_settings(SAMPLE, [STORE]), tmp_path / "p.yaml", None, "retraining")
    text = (tmp_path / "p.yaml").read_text("utf-8")
    assert "SETLIST_SIGNING_KEY" not in text
    assert "secretAsVolume" not in text


def test_a_public_key_beside_the_settings_goes_into_the_pipeline_as_text(tmp_path: Path):
    pair = make_key(tmp_path)
    path = tmp_path / "settings.yaml"
    path.write_text(SAMPLE.read_text("utf-8") + "\nverify: [key.pub]\n", "utf-8")
    settings = read_settings(path, [STORE])
    line = pair.public.read_text().strip().replace("\n", " ")
    assert settings.verify == (line,)
    assert TrustedKeys(settings.verify).pems == (pair.public.read_text(),)
    compile_pipeline(settings, tmp_path / "pipeline.yaml", None, "retraining")
    pipeline = next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text("utf-8")))
    verify = pipeline["root"]["inputDefinitions"]["parameters"]["verify"]
    assert verify["defaultValue"] == [line]
    path.write_text(SAMPLE.read_text("utf-8") + "\nverify: [none.pub]\n", "utf-8")
    block = "\n  ".join(["verify:\n- >-", *pair.public.read_text().splitlines()])
    path.write_text(SAMPLE.read_text("utf-8") + f"\n{block}\n", "utf-8")
    assert read_settings(path, [STORE]).verify == (line,)
    path.write_text(SAMPLE.read_text("utf-8") + "\nverify: [none.pub]\n", "utf-8")
    with pytest.raises(SettingsError, match=r"none\.pub cannot be read"):
        read_settings(path, [STORE])
