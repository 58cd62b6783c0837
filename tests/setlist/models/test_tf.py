"""TensorFlow and its Keras: which one a process has is decided once."""

import os
import subprocess
import sys

import pytest

from setlist.errors import ModelError
from setlist.models.tf import check_accelerator


def run(code):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_where_tensorflow_came_first_with_keras_3_one_sentence_says_so():
    done = run("import tensorflow as tf\ntf.keras.Model\nimport setlist.models.two_tower.network")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "setlist.errors.ModelError: TensorFlow was imported before setlist and uses Keras 3, which "
        "TensorFlow Recommenders cannot use; set TF_USE_LEGACY_KERAS=1 before TensorFlow is "
        "imported."
    )


def test_a_program_that_only_serves_may_import_tensorflow_first():
    done = run("import tensorflow as tf\nimport setlist.models.saved_model")
    assert done.returncode == 0, done.stderr


def test_an_accelerator_that_tensorflow_does_not_see_ends_the_step_before_it_trains():
    check_accelerator("")
    with pytest.raises(ModelError, match=r"asks for nvidia.com/gpu, and TensorFlow sees none"):
        check_accelerator("nvidia.com/gpu")
