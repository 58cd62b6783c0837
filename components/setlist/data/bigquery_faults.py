"""Which faults of BigQuery pass by themselves, how long they are waited for, and what helps else.

A step that fails is not started again by a stock Kubeflow, so the step itself has to outlast an
answer that another one a moment later would not have been.
"""

import time
from collections.abc import Callable, Sized
from typing import Any

import requests  # type: ignore[import-untyped]
from google.api_core.exceptions import (
    Aborted,
    BadGateway,
    Forbidden,
    GatewayTimeout,
    GoogleAPICallError,
    GoogleAPIError,
    Unknown,
)
from google.api_core.retry import (
    exponential_sleep_generator,
    if_exception_type,
    if_transient_error,
)
from google.auth.exceptions import GoogleAuthError

ATTEMPTS = 8
"""To get an answer, or the next rows of a stream."""
RETRY_SECONDS = 120.0
"""After this without an answer or a row, no new attempt is started."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 20.0
"""The longest pause after the first failure, which doubles, and after any; each is random."""
ROLES = "give the account roles/bigquery.dataViewer, and roles/bigquery.readSessionUser to read"
REMEDIES = {400: "copy its rows to a table", 401: ROLES, 403: ROLES, 404: "correct the name"}
"""By the status; both APIs have the numbers of HTTP."""
QUOTA = "wait for the quota of the project to be renewed, or have it raised"
LATER = "check the connection, and try again later"

_passes = if_exception_type(
    Aborted,
    BadGateway,
    GatewayTimeout,
    Unknown,
    ConnectionError,
    TimeoutError,
    requests.Timeout,
)


def passes(fault: BaseException) -> bool:
    """Whether another attempt may get an answer: too many requests, 5xx, or a lost connection."""
    # The REST API answers too many requests with 403 as well, and names the reason.
    rate = isinstance(fault, Forbidden) and "rateLimitExceeded" in reasons(fault)
    again = isinstance(fault, GoogleAuthError) and fault.retryable
    return rate or again or if_transient_error(fault) or _passes(fault)


def remedy(fault: BaseException) -> str:
    """What to do about a fault that stayed."""
    if passes(fault):
        return LATER
    if "quotaExceeded" in reasons(fault):
        return QUOTA
    return REMEDIES.get(getattr(fault, "code", 0), "check the connection and the account")


def reasons(fault: BaseException) -> set[str]:
    """Why, in single words of the REST API."""
    errors = fault.errors if isinstance(fault, GoogleAPICallError) else ()
    return {each["reason"] for each in errors if isinstance(each, dict) and "reason" in each}


def insist(call: Callable[[], Any], arrived: Sized = ()) -> Any:  # noqa: ANN401 - the libraries'
    """Make a call again while its fault is one that passes.

    Args:
        call: has no other effect than to read.
        arrived: what it has read; where that grows between two faults, attempts and time begin
            anew.

    Raises:
        GoogleAPIError, GoogleAuthError, OSError: the last fault.
    """
    before, failures = -1, 0
    while True:
        try:
            return call()
        except (GoogleAPIError, GoogleAuthError, OSError) as fault:
            if len(arrived) > before:
                before, failures, since = len(arrived), 0, time.monotonic()
                pauses = exponential_sleep_generator(PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            failures += 1
            late = time.monotonic() - since > RETRY_SECONDS
            if not passes(fault) or failures == ATTEMPTS or late:
                raise
            time.sleep(next(pauses))
