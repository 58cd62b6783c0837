"""A machine without an accelerator, which this is."""

import pytest

from setlist.errors import SetlistError
from setlist.models.two_tower.device import check_accelerator


def test_an_accelerator_that_tensorflow_does_not_see_ends_the_step_before_it_trains():
    check_accelerator("")
    with pytest.raises(SetlistError, match=r"asks for nvidia.com/gpu, and TensorFlow sees none"):
        check_accelerator("nvidia.com/gpu")
