"""Who may do what in the stub, where the installation has profiles.

Read in the sources of 2.17.0 (backend/src/apiserver/server, `canAccessRun` and its siblings, and
`IsAuthorized`; frontend/server/handlers/artifacts.ts and pod-logs.ts): a request is for the
namespace that it names, or else for that of the object that it names. Without one it is refused
with 400, of a caller whom the server does not know with 401, and in the namespace of others with
403. Pipelines without a namespace are everybody's to read. A gateway stands before the page: it
takes the header `kubeflow-userid` from whoever calls, writes its own from the session, and sends a
caller without a session to its login.
"""

from dataclasses import dataclass, field


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


NOUNS = {"experiments": "An experiment", "runs": "A run", "recurringruns": "a recurring run"}


@dataclass
class Profiles:
    """The callers by their credential, a header Authorization or Cookie, each with a namespace."""

    owners: dict[str, str] = field(default_factory=dict)

    def caller(self, headers: dict[str, str], gateway: bool) -> str:
        """The namespace of the caller."""
        for name in ("Authorization", "Cookie"):
            if owned := self.owners.get(headers.get(name, "")):
                return owned
        if gateway:
            raise RefusedError(302, "to the login")
        raise RefusedError(
            401, "Failed to check authorization. User identity is empty in the request header"
        )

    def check(self, kind: str, own: str, namespace: str) -> None:
        """Refuse a request for a namespace that is none, or another's."""
        if not namespace:
            raise RefusedError(
                400, f"Invalid input error: {NOUNS[kind]} cannot have an empty namespace in "
                "multi-user mode",
            )  # fmt: skip
        if namespace != own:
            raise RefusedError(
                403, f"User 'a' is not authorized with reason: (request: {kind} in {namespace})"
            )

    def check_pipeline(self, own: str, namespace: str, writes: bool) -> None:
        """Refuse what is not allowed with a pipeline; without a namespace it is shared."""
        if namespace and namespace != own:
            self.check("pipelines", own, namespace)
        if writes and not namespace:
            raise RefusedError(
                403, "Failed to access shared pipeline . Check if you have permission to create "
                "shared pipelines",
            )  # fmt: skip
