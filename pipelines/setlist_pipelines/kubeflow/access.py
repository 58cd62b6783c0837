"""The address of Kubeflow Pipelines and the credentials that are sent to it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from setlist.errors import SettingsError
from setlist.regular_file import open_regular

# `kfp.Client` looks at the same three places.
TOKEN_PATH = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - names of variables and files, not secrets
POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
POD_HOST = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
MOST_TOKEN_BYTES = 100_000


@dataclass(frozen=True)
class Access:
    """The address of Kubeflow Pipelines, and the credentials for it; `repr` shows no secret.

    Attributes:
        host: the URL, without a slash at its end.
        namespace: the profile; "" where the server has no profiles.
        token: a bearer token.
        token_file: a file with a bearer token, which is used in place of `token`.
        cookies: the Cookie header, as in "name=value; other=value".
    """

    host: str
    namespace: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    cookies: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """The headers with the credentials.

        Raises:
            SettingsError: the token file cannot be read, or a credential is not printable ASCII.
        """
        token = self.token
        if self.token_file:
            # Read for every call: the kubelet writes a new token into the file before one expires.
            try:
                with open_regular(self.token_file) as file:
                    token = file.read(MOST_TOKEN_BYTES).decode("utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise SettingsError(
                    f"{self.token_file}: no token can be read from this file", "correct the path"
                ) from fault
        headers = {"Authorization": f"Bearer {token}" if token else "", "Cookie": self.cookies}
        for name, value in headers.items():
            # Without this check, requests fails with the header's value in its message.
            if not (value.isascii() and value.isprintable()):
                raise SettingsError(
                    f"the {'token' if name == 'Authorization' else 'cookies'} for {self.host} "
                    "contain a character that no header may have",
                    "copy them again",
                )
        return {name: value for name, value in headers.items() if value}

    def redacted(self, text: str) -> str:
        """The text with *** in place of the token and the cookies, which a server may repeat."""
        headers = self.headers()
        secrets = [headers.get("Authorization", "").removeprefix("Bearer "), self.cookies]
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
    """Complete the address and the credentials from the environment and from the pod, if any.

    A pod's token is sent to the pod's own cluster only, never to a host that was named. A pod's
    namespace need not be a profile, so a profile is always named (KFP_NAMESPACE).

    Raises:
        SettingsError: no host is named, and this process does not run in a pod.
    """
    if not token_file and environment.get(TOKEN_PATH):
        token_file = Path(environment[TOKEN_PATH])
    token = "" if token_file else environment.get("KFP_TOKEN", "").strip()
    if not host:
        if "KUBERNETES_SERVICE_HOST" not in environment:
            raise SettingsError(
                "no host of Kubeflow Pipelines is named",
                "give --host or KF_PIPELINES_ENDPOINT, for example http://localhost:8080 beside "
                "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`",
            )
        host = POD_HOST
        if not (token or token_file or cookies) and POD_TOKEN.exists():
            token_file = POD_TOKEN
    if "://" not in host:
        host = f"https://{host}"
    return Access(host.rstrip("/"), namespace, token, token_file, cookies)
