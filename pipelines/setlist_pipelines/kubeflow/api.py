"""The REST API of Kubeflow Pipelines (v2beta1, as of 2.17): who asks, how long, how often.

The SDK's own client has no time-outs, and no way to know whether a call that was not answered has
been carried out; here every call has the one, and whatever creates something the other.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests  # type: ignore[import-untyped]

from setlist.errors import SetlistError

Json = dict[str, Any]
T = TypeVar("T")

# The places that `kfp.Client` looks at, too.
TOKEN_PATH = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - names of variables and files, not secrets
POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
POD_HOST = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"

TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and without a byte of the answer."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each repetition."""
LONGEST = 60.0
"""Seconds; a server that asks for more patience (Retry-After) is asked again after these."""
ATTEMPTS = 3
"""How often the making of something is tried."""


class UnansweredError(SetlistError):
    """No answer, or one that says "not now"; with `begun`, it may have been done all the same."""

    def __init__(self, message: str, begun: bool, after: float = 0.0) -> None:
        super().__init__(message)
        self.begun = begun
        self.after = after  # seconds that the server asks to wait


class ConflictError(SetlistError):
    """What was to be made exists (409)."""


class NotFoundError(SetlistError):
    """What was asked for is not there (404)."""


@dataclass(frozen=True)
class Access:
    """Where Kubeflow Pipelines is, and as whom it is asked. Secrets are in no `repr`."""

    host: str
    namespace: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    cookies: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """The headers that say who asks; the file is read anew, since the kubelet renews it."""
        token = self.token
        if self.token_file:
            try:
                token = self.token_file.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise SetlistError(
                    f"{self.token_file}: no token can be read from this file; correct the path."
                ) from fault
        named = {"Authorization": f"Bearer {token}" if token else "", "Cookie": self.cookies}
        for name, value in named.items():
            if not (value.isascii() and value.isprintable()):
                raise SetlistError(
                    f"the {'token' if name == 'Authorization' else 'cookies'} for {self.host} "
                    "contain a character that no header may have; copy them again."
                )
        return {name: value for name, value in named.items() if value}

    def redacted(self, text: str) -> str:
        """The text without token and cookies, should a server repeat them."""
        sent = self.headers()
        secrets = [sent.get("Authorization", "").removeprefix("Bearer "), self.cookies]
        secrets += [cookie.partition("=")[2].strip() for cookie in self.cookies.split(";")]
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text


def find_access(
    host: str = "",
    namespace: str = "",
    token_file: Path | None = None,
    cookies: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """Where and as whom to ask, completed from the environment and from the pod that this is.

    The pod's own token is sent to the pod's own cluster only, never to a host that was named. Its
    namespace need be no profile, so that a profile is always named (KFP_NAMESPACE).

    Raises:
        SetlistError: when no host is named and this is no pod of a cluster.
    """
    if not token_file and environment.get(TOKEN_PATH):
        token_file = Path(environment[TOKEN_PATH])
    token = "" if token_file else environment.get("KFP_TOKEN", "").strip()
    if not host:
        if "KUBERNETES_SERVICE_HOST" not in environment:
            raise SetlistError(
                "no host of Kubeflow Pipelines is named; give --host or KF_PIPELINES_ENDPOINT, for "
                "example http://localhost:8080 beside "
                "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`."
            )
        host = POD_HOST
        if not (token or token_file or cookies) and POD_TOKEN.exists():
            token_file = POD_TOKEN
    if "://" not in host:
        host = f"https://{host}"
    return Access(host.rstrip("/"), namespace, token, token_file, cookies)


def equal(key: str, value: str) -> str:
    """The `filter` of a list: entries with this value."""
    same = {"operation": "EQUALS", "key": key, "stringValue": value}
    return json.dumps({"predicates": [same]})


class Kubeflow:
    """The API at one host. Every method raises SetlistError, one sentence, and no secret in it."""

    def __init__(self, access: Access, patient: bool = True) -> None:
        """With `patient` off, what is not answered is not asked again."""
        self.access = access
        self.patient = patient
        self._session = requests.Session()
        # Not headers of the session: this way no entry of a .netrc file takes their place.
        self._session.auth = self._sign

    @property
    def scope(self) -> dict[str, str]:
        """The part of a query or a body that names the namespace, if one is named."""
        return {"namespace": self.access.namespace} if self.access.namespace else {}

    def _sign(self, request: Any) -> Any:  # noqa: ANN401 - requests has no types
        request.headers.update(self.access.headers())
        return request

    def get(self, path: str, **query: str | int) -> Json:
        """What is at a path below /apis/v2beta1; repeated with growing pauses until it answers."""
        return self._persist(lambda: self._ask("GET", path, query))

    def text(self, path: str, **query: str) -> str | None:
        """The text at a path below the host, None where there is none; repeated like `get`.

        For logs: there a server also says 400 or 500 for "not there", so these are not repeated.
        """

        def ask() -> str | None:
            answer = self._send("GET", path, query)
            if answer.status_code in (400, 404, 500):
                return None
            if answer.status_code != 200:
                self._answered(answer, path)
            page = "html" in str(answer.headers.get("Content-Type", ""))
            return None if page else str(answer.text)

        return self._persist(ask)

    def act(self, path: str) -> None:
        """Post what does the same however often it is done; repeated like `get`."""
        self._persist(lambda: self._ask("POST", path, {}))

    def delete(self, path: str) -> None:
        """Delete, repeated like `get`; what is not there was deleted before."""
        with suppress(NotFoundError):
            self._persist(lambda: self._ask("DELETE", path, {}))

    def _persist(self, ask: Callable[[], T]) -> T:
        for pause in PAUSES if self.patient else ():
            try:
                return ask()
            except UnansweredError as fault:
                time.sleep(max(pause, fault.after))
        return ask()

    def pages(self, path: str, key: str, **query: str | int) -> Iterator[Json]:
        """The entries of a list, page after page."""
        while True:
            page = self.get(path, **query)
            yield from page.get(key, ())
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def named(self, path: str, key: str, name: str, **query: str | int) -> Json | None:
        """The entry of a list with this display name, if there is one."""
        entries = self.pages(path, key, filter=equal("display_name", name), **query)
        return next((entry for entry in entries if entry.get("display_name") == name), None)

    def post(self, path: str, body: Json | None = None, **query: str | int) -> Json:
        """Ask once. Nothing says whether an unanswered one was carried out: see `ensure`."""
        return self._ask("POST", path, query, body)

    def upload(self, path: str, package: bytes, **query: str | int) -> Json:
        """Send a compiled pipeline, once."""
        return self._ask("POST", path, query, package=package)

    def ensure(
        self, find: Callable[[], Json | None], make: Callable[[], Json]
    ) -> tuple[Json, bool]:
        """What `find` finds, else what `make` makes; and whether it was made, so far as is known.

        The API knows no idempotency key. So after a call that was not answered, the thing is looked
        for, for half a minute if the server may have begun, before it is made again. Two can come
        into being only if the server takes longer than time-out and pauses together.
        """
        if found := find():
            return found, False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return make(), True
            except ConflictError:
                if found := find():
                    return found, False
                raise
            except UnansweredError as fault:
                for pause in PAUSES if fault.begun else PAUSES[:attempt]:
                    time.sleep(max(pause, fault.after))
                    if found := find():
                        return found, True
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Json | None = None,
        package: bytes | None = None,
    ) -> Json:
        return self._answered(
            self._send(method, f"apis/v2beta1/{path}", query, body, package), path
        )

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
                timeout=TIMEOUT,
                allow_redirects=False,  # to a login page, and credentials go nowhere else
            )
        except requests.exceptions.SSLError as fault:
            raise SetlistError(
                f"the certificate of {host} is not trusted; name the authority's file in "
                "REQUESTS_CA_BUNDLE."
            ) from fault
        except (requests.ConnectionError, requests.Timeout) as fault:
            reason = "time-out" if isinstance(fault, requests.Timeout) else "no connection"
            raise UnansweredError(
                f"{host} does not answer ({reason}); check --host and the network, and try again.",
                begun=not isinstance(fault, requests.ConnectTimeout),
            ) from fault
        except requests.RequestException as fault:
            raise SetlistError(f"{host} cannot be asked; correct --host.") from fault

    def _answered(self, answer: Any, path: str) -> Json:  # noqa: ANN401 - requests has no types
        host, status = self.access.host, int(answer.status_code)
        said = f"({status}{self._said(answer)})"
        if status == 429 or status >= 500:
            after = str(answer.headers.get("Retry-After", ""))
            raise UnansweredError(
                f"{host} is not able to answer now {said}; try again later.",
                begun=status != 429,
                after=min(float(after), LONGEST) if after.isdecimal() else 0.0,
            )
        if status == 401 or 300 <= status < 400:
            raise SetlistError(
                f"{host} does not accept who asks {said}; set KFP_TOKEN, --token-file or "
                "--cookies anew."
            )
        if status == 403:
            raise SetlistError(
                f"{host} forbids it {said}; ask for the rights, or name your --namespace."
            )
        if status == 404:
            raise NotFoundError(f"{host} does not have {path} {said}; check the id and --host.")
        if status == 409:
            raise ConflictError(f"{path} exists at {host} already {said}; choose another name.")
        if status >= 400:
            raise SetlistError(f"{host} refuses {path} {said}; correct what it names.")
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise SetlistError(
                f"{host} answers with something else than JSON, perhaps a login page; check --host "
                "and --cookies."
            )
        return document

    def _said(self, answer: Any) -> str:  # noqa: ANN401 - requests has no types
        """What a server says about a refusal, on one line; "" for a page or nothing."""
        try:
            document = answer.json()
        except ValueError:
            return ""
        if not isinstance(document, dict):
            return ""
        keys = ("message", "error_message", "error")
        said = next((str(document[key]) for key in keys if document.get(key)), "")
        line = self.access.redacted(" ".join(said.split()))[:300].rstrip(". ")
        return f": {line}" if line else ""
