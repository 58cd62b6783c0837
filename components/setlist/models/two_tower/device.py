"""Whether there is the device that the settings ask for."""

from setlist.errors import SetlistError


def check_accelerator(asked: str) -> None:
    """Hold what was asked for against what TensorFlow sees, before hours are spent without it.

    Args:
        asked: the type of the accelerator, as in nvidia.com/gpu; "" for none.

    Raises:
        SetlistError: TensorFlow sees nothing but processors.
    """
    if not asked:
        return
    from setlist.models.tf import tf

    if all(device.device_type == "CPU" for device in tf.config.list_physical_devices()):
        raise SetlistError(
            f"platform.steps asks for {asked}, and TensorFlow sees none: the image of "
            "components/Dockerfile has TensorFlow for processors only; leave the accelerator out, "
            "or submit an image with TensorFlow for it."
        )
