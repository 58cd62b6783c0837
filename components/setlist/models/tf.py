"""TensorFlow, as every module here imports it: `from setlist.models.tf import tf`.

TFRS is written for Keras 2, and TensorFlow decides which Keras it has by a variable of the
environment, so the variable is set before the first import.
"""

import os
import sys

from setlist.errors import ModelError, missing_extra
from setlist.models.library_noise import without_noise

imported_before = "tensorflow" in sys.modules
legacy_keras = os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# The C++ start-up messages hide the lines that people look for in a step's log.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

try:
    # That variable does not reach what is written before TensorFlow has set up its own logging.
    with without_noise():
        import tensorflow as tf
        from tensorflow.core.protobuf import saved_model_pb2
except ModuleNotFoundError as fault:
    raise missing_extra(fault) or fault from fault

__all__ = ["check_accelerator", "require_keras_2", "saved_model_pb2", "tf"]


def require_keras_2() -> None:
    """Refuse to build a network with Keras 3, on which TFRS fails later and in riddles.

    Raises:
        ModelError: when TensorFlow was imported first, or told to take Keras 3.
    """
    if tf.keras.Model.__module__.startswith("tf_keras."):
        return
    reason = "was imported before setlist" if imported_before else f"has Keras {legacy_keras!r}"
    raise ModelError(
        f"TensorFlow {reason} and uses Keras 3, which TensorFlow Recommenders cannot use",
        "set TF_USE_LEGACY_KERAS=1 before TensorFlow is imported",
    )


def check_accelerator(asked: str) -> None:
    """Hold what was asked for against what TensorFlow sees, before hours are spent without it.

    Args:
        asked: the type of the accelerator, as in nvidia.com/gpu; "" for none.

    Raises:
        ModelError: TensorFlow sees nothing but processors.
    """
    if not asked:
        return
    if all(device.device_type == "CPU" for device in tf.config.list_physical_devices()):
        raise ModelError(
            f"platform.steps asks for {asked}, and TensorFlow sees none: the image of "
            "components/Dockerfile has TensorFlow for processors only; leave the accelerator out, "
            "or submit an image with TensorFlow for it."
        )
