"""Whether a registry has an image, asked as a cluster's node without a login would ask.

As in the OCI distribution specification: HEAD /v2/NAME/manifests/DIGEST, and where the registry
answers 401 with a Bearer challenge, once more with the token that anybody gets.
"""

from typing import Any, Literal

import requests  # type: ignore[import-untyped]
from docker.auth import resolve_repository_name
from requests.utils import parse_dict_header  # type: ignore[import-untyped]

from setlist.errors import SetlistError

TIMEOUT = 10.0
"""Seconds to connect, and without a byte of the answer."""
LOOPBACK = ("localhost", "127.0.0.1")
KINDS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *("oci.image.index.v1", "oci.image.manifest.v1"),
        *("docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"),
    )
)
Answer = Literal["there", "absent", "login"]


def locate(name: str) -> tuple[str, str]:
    """Registry and repository of an image: setlist is library/setlist at docker.io."""
    registry, repository = resolve_repository_name(name)
    official = registry == "docker.io" and "/" not in repository
    return registry, f"library/{repository}" if official else repository


def registry_of(image: str) -> str:
    """The host of an image's registry."""
    return locate(image.partition("@")[0])[0]


def look_up(image: str) -> Answer:
    """Whether the registry has the image, hides it, or wants to know who asks.

    Args:
        image: name@sha256:...

    Raises:
        SetlistError: when the registry gives no such answer.
    """
    name, _, digest = image.partition("@")
    registry, repository = locate(name)
    if registry == "docker.io":
        registry = "registry-1.docker.io"
    scheme = "http" if registry.partition(":")[0] in LOOPBACK else "https"
    url = f"{scheme}://{registry}/v2/{repository}/manifests/{digest}"
    try:
        answer = requests.head(url, headers={"Accept": KINDS}, timeout=TIMEOUT)
        if answer.status_code == 401 and (token := _token(answer, scheme)):
            headers = {"Accept": KINDS, "Authorization": f"Bearer {token}"}
            answer = requests.head(url, headers=headers, timeout=TIMEOUT)
    except requests.RequestException as fault:
        raise SetlistError(
            f"{registry} does not answer ({type(fault).__name__}); check the image's name, and the "
            "network."
        ) from fault
    status = int(answer.status_code)
    if status == 404:
        return "absent"
    if status in (401, 403):
        return "login"
    if 200 <= status < 400:
        return "there"
    raise SetlistError(f"{registry} answers with {status}; try again later.")


def _token(challenge: Any, scheme: str) -> str:  # noqa: ANN401 - requests has no types
    """The token for anybody that a challenge points to, "" where there is none."""
    kind, _, said = str(challenge.headers.get("WWW-Authenticate", "")).partition(" ")
    named = parse_dict_header(said)
    realm = str(named.get("realm", ""))
    if kind.lower() != "bearer" or not realm.startswith(f"{scheme}://"):
        return ""
    query = {key: named[key] for key in ("service", "scope") if named.get(key)}
    answer = requests.get(realm, params=query, timeout=TIMEOUT)
    if answer.status_code != 200:
        return ""
    try:
        document = answer.json()
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    return str(document.get("token") or document.get("access_token") or "")
