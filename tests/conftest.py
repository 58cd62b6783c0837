"""What several test folders share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.emulator import emulator, make_bucket

# A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
BUCKET = "setlist"
# An example that takes long says that the machine is busy, and nothing of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def gcs_emulator() -> Iterator[str]:
    """The base URL of a real server that speaks the API of Google Cloud Storage.

    A test that uses it sets STORAGE_EMULATOR_HOST to this URL through `monkeypatch`.
    """
    with emulator() as url:
        yield url


@pytest.fixture(scope="session")
def gcs_bucket(gcs_emulator: str) -> str:
    """The same server, with one bucket."""
    make_bucket(gcs_emulator, BUCKET)
    return gcs_emulator
