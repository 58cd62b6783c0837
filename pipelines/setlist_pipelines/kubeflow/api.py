"""A client of the REST API of Kubeflow Pipelines (v2beta1, as of 2.17), with time-outs and retries.

`kfp.Client` has no time-outs, and does not tell whether the server carried out a call that it did
not answer. Here every call has a time-out, and `Kubeflow.ensure` creates an object only once.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import requests  # type: ignore[import-untyped]

from setlist.errors import (
    ClusterConflictError,
    ClusterError,
    ClusterNotFoundError,
    ClusterUnreachableError,
)
from setlist_pipelines.kubeflow.access import Access

Json = dict[str, Any]
Result = TypeVar("Result")

CALL_TIMEOUT_SECONDS = (5.0, 30.0)
"""Seconds to connect, and seconds without a byte of the response."""
RETRY_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""The pause before each repetition of a call."""
LONGEST_RETRY_AFTER_SECONDS = 60.0
"""A server may ask for a longer pause (Retry-After); this is the longest that is granted."""
IDENTITY_REMEDY = (
    "call the gateway of the profiles with --cookies, or set KFP_TOKEN to what `kubectl create "
    "token default-editor -n NAMESPACE --audience pipelines.kubeflow.org` prints"
)
NAMESPACE_REMEDY = "where the server has profiles, set KFP_NAMESPACE or --namespace to yours"
CREATION_ATTEMPTS = 3
"""How often the creation of an object is tried."""


class CredentialsError(ClusterError):
    """The server does not accept the credentials, or no longer."""


class ForbiddenError(CredentialsError):
    """The server knows who calls and refuses; some gateways answer an expired token so, too."""


class _UnansweredError(ClusterUnreachableError):
    """A call without a response, or with one that says "not now".

    Attributes:
        may_have_begun: whether the server may have carried out the call.
        retry_after: seconds for which the server asks to wait.
    """

    def __init__(
        self, message: str, remedy: str, may_have_begun: bool, retry_after: float = 0.0
    ) -> None:
        super().__init__(message, remedy)
        self.may_have_begun = may_have_begun
        self.retry_after = retry_after


def equals_filter(key: str, value: str) -> str:
    """The `filter` of a list call for the entries with this value."""
    predicate = {"operation": "EQUALS", "key": key, "stringValue": value}
    return json.dumps({"predicates": [predicate]})


class Kubeflow:
    """The API at one host.

    Every method may raise SettingsError, for credentials that cannot be sent, and ClusterError,
    with one of its children where a caller may want to react. No message contains a secret.
    """

    def __init__(self, access: Access, retries: bool = True) -> None:
        """Keep the host, the credentials and whether calls are repeated.

        With `retries` off, `get`, `text`, `delete` and `post_idempotent` try once. The number
        of attempts of `ensure` to create an object is not affected.
        """
        self.access = access
        self.retries = retries
        self._session = requests.Session()
        # Credentials in session.headers would be replaced by an entry of a .netrc file; those set
        # by session.auth are not.
        self._session.auth = self._add_credentials

    @property
    def scope(self) -> dict[str, str]:
        """The part of a query or a body that names the namespace, if there is one."""
        return {"namespace": self.access.namespace} if self.access.namespace else {}

    def _add_credentials(self, request: Any) -> Any:  # noqa: ANN401 - requests has no types
        request.headers.update(self.access.headers())
        return request

    def get(self, path: str, **query: str | int) -> Json:
        """Get the document at a path below /apis/v2beta1.

        Repeated, with growing pauses, while the server does not answer or says "not now" (429 or
        5xx), at most as often as RETRY_PAUSES_SECONDS has pauses.
        """
        return self._with_retries(lambda: self._call("GET", path, query))

    def text(self, path: str, **query: str) -> str | None:
        """Get the text at a path below the host, None where there is none; repeated like `get`.

        This is for logs. For a log that does not exist, a server may respond with 400, 404 or 500:
        then the answer is None, without another try.
        """

        def call() -> str | None:
            response = self._send("GET", path, query)
            if response.status_code in (400, 404, 500):
                return None
            if response.status_code != 200:
                # Raises the exception that the status stands for.
                self._document(response, path)
            # A server that does not know the path may respond with its start page.
            is_html = "html" in str(response.headers.get("Content-Type", ""))
            # Not `text`, which takes a log of unknown encoding for Latin-1.
            return None if is_html else bytes(response.content).decode(errors="replace")

        return self._with_retries(call)

    def post_idempotent(self, path: str) -> None:
        """Make a POST call that has the same effect however often it is made; repeated like `get`.

        To enable or disable something is such a call.
        """
        self._with_retries(lambda: self._call("POST", path, {}))

    def delete(self, path: str, **query: str) -> None:
        """Delete an object; repeated like `get`. An absent object counts as deleted."""
        with suppress(ClusterNotFoundError):
            self._with_retries(lambda: self._call("DELETE", path, query))

    def _with_retries(self, call: Callable[[], Result]) -> Result:
        for pause in RETRY_PAUSES_SECONDS if self.retries else ():
            try:
                return call()
            except _UnansweredError as fault:
                time.sleep(max(pause, fault.retry_after))
        return call()

    def pages(self, path: str, entries_key: str, **query: str | int) -> Iterator[Json]:
        """The entries of a list, page after page.

        Args:
            path: of the list, below /apis/v2beta1.
            entries_key: the field of the response that holds the list.
            query: of every call, beside the token of the page.
        """
        while True:
            page = self.get(path, **query)
            yield from page.get(entries_key, ())
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def find_by_name(
        self, path: str, entries_key: str, name: str, **query: str | int
    ) -> Json | None:
        """The entry of a list with this display name, if there is one; arguments as for `pages`."""
        by_name = equals_filter("display_name", name)
        entries = self.pages(path, entries_key, filter=by_name, **query)
        return next((entry for entry in entries if entry.get("display_name") == name), None)

    def post(self, path: str, body: Json | None = None, **query: str | int) -> Json:
        """Make a POST call once.

        Without a response it is unknown whether the server carried it out: see `ensure`.
        """
        return self._call("POST", path, query, body)

    def upload(self, path: str, package: bytes, **query: str | int) -> Json:
        """Upload a compiled pipeline once; without a response as for `post`."""
        return self._call("POST", path, query, package=package)

    def ensure(
        self, find: Callable[[], Json | None], create: Callable[[], Json]
    ) -> tuple[Json, bool]:
        """Find an object, or create it once.

        The API has no idempotency key. So after a creation without a response, this looks for the
        object before it creates it again, for half a minute if the server may have begun. Two
        objects can result only if the server takes longer than the time-out and all pauses.

        Args:
            find: looks for the object.
            create: creates it, with one call.

        Returns:
            The object, and whether this call created it, as far as that is known.
        """
        if entry := find():
            return entry, False
        for attempt in range(1, CREATION_ATTEMPTS + 1):
            try:
                return create(), True
            except ClusterConflictError:
                if entry := find():
                    return entry, False
                raise
            except _UnansweredError as fault:
                pauses = RETRY_PAUSES_SECONDS
                for pause in pauses if fault.may_have_begun else pauses[:attempt]:
                    time.sleep(max(pause, fault.retry_after))
                    if entry := find():
                        return entry, True
                if attempt == CREATION_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Json | None = None,
        package: bytes | None = None,
    ) -> Json:
        response = self._send(method, f"apis/v2beta1/{path}", query, body, package)
        return self._document(response, path)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Json | None = None,
        package: bytes | None = None,
    ) -> Any:  # noqa: ANN401 - requests has no types
        host = self.access.host
        try:
            return self._session.request(
                method,
                f"{host}/{path}",
                params=query,
                json=body,
                files=None if package is None else {"uploadfile": ("pipeline.yaml", package)},
                timeout=CALL_TIMEOUT_SECONDS,
                # A redirect leads to a login page; credentials are sent to no other host.
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as fault:
            raise ClusterError(
                f"the certificate of {host} is not trusted",
                "name the authority's file in REQUESTS_CA_BUNDLE",
            ) from fault
        except (requests.ConnectionError, requests.Timeout) as fault:
            reason = "time-out" if isinstance(fault, requests.Timeout) else "no connection"
            raise _UnansweredError(
                f"{host} does not answer ({reason})",
                "check --host and the network, and try again",
                # Every other fault may come after the server has read the call.
                may_have_begun=not isinstance(fault, requests.ConnectTimeout),
            ) from fault
        except requests.RequestException as fault:
            raise ClusterError(f"{host} cannot be called", "correct --host") from fault

    def _document(self, response: Any, path: str) -> Json:  # noqa: ANN401 - requests has no types
        """The JSON of a response, or the exception that its status stands for."""
        host, status = self.access.host, int(response.status_code)
        reason = f"({status}{self._server_message(response)})"
        if status == 429 or status >= 500:
            seconds = str(response.headers.get("Retry-After", ""))
            retry_after = float(seconds) if seconds.isdecimal() else 0.0
            raise _UnansweredError(
                f"{host} is not able to answer now {reason}",
                "try again later",
                # 429 is sent in place of the work; a server may fail with 5xx after the work.
                may_have_begun=status != 429,
                retry_after=min(retry_after, LONGEST_RETRY_AFTER_SECONDS),
            )
        if status == 401 or 300 <= status < 400:
            nobody = "User identity is empty" in reason
            raise CredentialsError(
                f"{host} does not accept the credentials {reason}",
                IDENTITY_REMEDY if nobody else "set KFP_TOKEN, --token-file or --cookies anew",
            )
        if status == 403:
            raise ForbiddenError(
                f"{host} does not allow this {reason}",
                "ask for the rights" if self.access.namespace else NAMESPACE_REMEDY,
            )
        if status == 404:
            raise ClusterNotFoundError(
                f"{host} does not have {path} {reason}", "check the id and --host"
            )
        if status == 409:
            raise ClusterConflictError(
                f"{path} exists at {host} already {reason}", "choose another name"
            )
        if status >= 400:
            # With profiles, whatever needs a namespace says so in its refusal: 400, or 422.
            nameless = "namespace" in reason and not self.access.namespace
            remedy = NAMESPACE_REMEDY if nameless else "correct what it names"
            raise ClusterError(f"{host} refuses {path} {reason}", remedy)
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CredentialsError(
                f"{host} answers with something else than JSON, perhaps a login page",
                "check --host and --cookies",
            )
        return document

    def _server_message(self, response: Any) -> str:  # noqa: ANN401 - requests has no types
        """A colon and the server's message on one line; "" where the response has none."""
        try:
            document = response.json()
        except ValueError:
            return ""
        if not isinstance(document, dict):
            return ""
        keys = ("message", "error_message", "error")
        message = next((str(document[key]) for key in keys if document.get(key)), "")
        line = self.access.redacted(" ".join(message.split()))[:300].rstrip(". ")
        return f": {line}" if line else ""
