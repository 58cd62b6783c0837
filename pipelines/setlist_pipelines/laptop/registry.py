"""Looks up an image in its registry without a login, as a node of a cluster does.

As in the OCI distribution specification: HEAD /v2/NAME/manifests/DIGEST, and where the registry
answers 401 with a Bearer challenge, once more with the token that it gives to anybody.
"""

from typing import Any, Literal

import requests  # type: ignore[import-untyped]
from docker.auth import resolve_repository_name
from requests.utils import parse_dict_header  # type: ignore[import-untyped]

from setlist.errors import ClusterError, ClusterUnreachableError

REGISTRY_TIMEOUT_SECONDS = 10.0
"""Seconds to connect, and seconds without a byte of the response."""
LOOPBACK = ("localhost", "127.0.0.1")
MANIFEST_TYPES = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *("oci.image.index.v1", "oci.image.manifest.v1"),
        *("docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"),
    )
)
ImageAccess = Literal["public", "absent", "login"]
"""Anybody may pull the image; the registry has none of this name; it needs a login."""


def locate(name: str) -> tuple[str, str]:
    """Registry and repository of an image's name: setlist is library/setlist at docker.io."""
    registry, repository = resolve_repository_name(name)
    official = registry == "docker.io" and "/" not in repository
    return registry, f"library/{repository}" if official else repository


def registry_of(image: str) -> str:
    """The host of an image's registry."""
    return locate(image.partition("@")[0])[0]


def look_up(image: str) -> ImageAccess:
    """Whether anybody may pull the image, the registry does not have it, or it needs a login.

    Args:
        image: name@sha256:...

    Raises:
        ClusterUnreachableError: the registry does not answer.
        ClusterError: it answers with a fault of its own.
    """
    name, _, digest = image.partition("@")
    registry, repository = locate(name)
    if registry == "docker.io":
        registry = "registry-1.docker.io"  # docker.io is the website
    scheme = "http" if registry.partition(":")[0] in LOOPBACK else "https"
    url = f"{scheme}://{registry}/v2/{repository}/manifests/{digest}"
    try:
        response = requests.head(
            url, headers={"Accept": MANIFEST_TYPES}, timeout=REGISTRY_TIMEOUT_SECONDS
        )
        if response.status_code == 401 and (token := _token(response, scheme)):
            headers = {"Accept": MANIFEST_TYPES, "Authorization": f"Bearer {token}"}
            response = requests.head(url, headers=headers, timeout=REGISTRY_TIMEOUT_SECONDS)
    except requests.RequestException as fault:
        raise ClusterUnreachableError(
            f"{registry} does not answer ({type(fault).__name__})",
            "check the image's name, and the network",
        ) from fault
    status = int(response.status_code)
    if status == 404:
        return "absent"
    if status in (401, 403):
        return "login"
    if 200 <= status < 400:
        return "public"
    raise ClusterError(f"{registry} answers with {status}", "try again later")


def _token(challenge: Any, scheme: str) -> str:  # noqa: ANN401 - requests has no types
    """The token for anybody from the address in a challenge; "" where there is none."""
    kind, _, parameters = str(challenge.headers.get("WWW-Authenticate", "")).partition(" ")
    fields = parse_dict_header(parameters)
    realm = str(fields.get("realm", ""))
    # The token is asked for over the scheme of the registry, never over a weaker one.
    if kind.lower() != "bearer" or not realm.startswith(f"{scheme}://"):
        return ""
    query = {key: fields[key] for key in ("service", "scope") if fields.get(key)}
    response = requests.get(realm, params=query, timeout=REGISTRY_TIMEOUT_SECONDS)
    if response.status_code != 200:
        return ""
    try:
        document = response.json()
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    return str(document.get("token") or document.get("access_token") or "")
