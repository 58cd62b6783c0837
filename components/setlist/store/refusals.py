"""What the answers of Google Cloud Storage mean, and what to do about each.

The documented statuses and reasons are those of "HTTP status and error codes for JSON"; where real
answers differ from it, such as for holds and requester pays, the message decides as well. No remedy
here makes anybody replace or remove what a store holds.
"""

import json
import re
from typing import NamedTuple

from setlist.errors import (
    StoreError,
    StoreNotFoundError,
    StoreRefusedError,
    StoreUnreachableError,
)
from setlist.printable import one_line

BILLING_VARIABLE = "SETLIST_BILLING_PROJECT"
"""Of the environment: the project that pays for requests to a bucket whose requesters pay."""
LONGEST_MESSAGE = 500
PARSED_BYTES = 65_536
"""Of the body of an answer; those of Google have less than 2,000."""

READ_PERMISSIONS = frozenset(("storage.objects.get", "storage.objects.list"))
_PERMISSION = re.compile(r"\bstorage\.[a-z]+\.[A-Za-z]+\b")
_XML = re.compile(r"<Code>([^<]+)</Code>(?:<Message>([^<]*)</Message>)?", re.DOTALL)


class Answer(NamedTuple):
    """An answer of a server that is no success.

    Attributes:
        status: of HTTP.
        reason: why, in one word of the server; "" where it has none.
        message: a sentence of the server, without line breaks.
        page: whether it is a web page, which Google Cloud Storage never sends below 500.
    """

    status: int
    reason: str = ""
    message: str = ""
    page: bool = False

    @property
    def sentence(self) -> str:
        """For the message of a fault."""
        return f"{' '.join(part for part in (str(self.status), self.reason) if part)}" + (
            f": {self.message}" if self.message else ""
        )


class Meaning(NamedTuple):
    """Which fault an answer is, and what to do about it."""

    error: type[StoreError]
    remedy: str


class Row(NamedTuple):
    """Answers of one meaning: all that is given here must fit.

    Attributes:
        statuses: one of them; () for any.
        reasons: one of them, in any case of letters; () for any.
        message: a regular expression that is found in the message, in any case.
    """

    meaning: Meaning
    statuses: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    message: str = ""

    def fits(self, answer: Answer) -> bool:
        """Whether an answer has this meaning."""
        return (
            (not self.statuses or answer.status in self.statuses)
            and (not self.reasons or answer.reason.lower() in map(str.lower, self.reasons))
            and (not self.message or bool(re.search(self.message, answer.message, re.I)))
        )


def _refused(remedy: str) -> Meaning:
    return Meaning(StoreRefusedError, remedy)


def _unreachable(remedy: str) -> Meaning:
    return Meaning(StoreUnreachableError, remedy)


WEB_PAGE = _unreachable(
    "the answer is a web page, not the store: a proxy or a captive portal answers in its place; "
    "sign in to the network, or take the store out of the proxy with NO_PROXY"
)
PROXY_AUTHENTICATION = _refused(
    "the proxy wants to know who asks: put user and password into HTTPS_PROXY, or take the store "
    "out of the proxy with NO_PROXY"
)
NO_ANSWER = _unreachable("check the connection and try again")
SIGN_IN = _refused("sign in with an account that may use this bucket")

ROWS = (
    # What a bucket keeps.
    Row(
        _refused(
            "choose a bucket without retention policy for the store, since HEAD is rewritten, or "
            "have the owner of this one end its policy"
        ),
        (403,),
        ("retentionPolicyNotMet",),
    ),
    Row(
        _refused("have the hold on this object released, and the bucket's default hold removed"),
        (403,),
        message=r"under active .*hold",
    ),
    Row(
        _refused("have the hold on this object released, and the bucket's default hold removed"),
        (403,),
        ("objectUnderActiveHold",),
    ),
    # Who pays.
    Row(
        _refused(f"name the project that pays for the requests in {BILLING_VARIABLE}"),
        (400,),
        ("userProjectMissing",),
    ),
    Row(
        _refused(f"name the project that pays for the requests in {BILLING_VARIABLE}"),
        (400,),
        message="requester pays",
    ),
    Row(_refused(f"correct the project in {BILLING_VARIABLE}"), (400,), ("userProjectInvalid",)),
    Row(_refused(f"correct the project in {BILLING_VARIABLE}"), (400,), message="user project"),
    Row(
        _refused("sign in: nobody is known to pay for the requests"),
        (401,),
        ("AuthenticationRequiredRequesterPays",),
    ),
    Row(
        _refused(
            "ask for roles/serviceusage.serviceUsageConsumer on the project in "
            f"{BILLING_VARIABLE}, or name another project there"
        ),
        (403,),
        ("UserProjectAccessDenied",),
    ),
    Row(
        _refused(
            "ask for roles/serviceusage.serviceUsageConsumer on the project in "
            f"{BILLING_VARIABLE}, or name another project there"
        ),
        (403,),
        message=r"serviceusage\.services\.use",
    ),
    Row(
        _refused(f"look at the billing of the project in {BILLING_VARIABLE}"),
        (403,),
        ("UserProjectAccountProblem",),
    ),
    Row(
        _refused("give the bucket's project an active billing account"),
        (402, 403),
        ("accountDisabled", "billingNotEnabled"),
    ),
    Row(
        _refused("give the bucket's project an active billing account"),
        (402, 403),
        message=r"\bbilling\b",
    ),
    # Projects and organizations.
    Row(
        _refused("appeal in the console of Google Cloud: the project is suspended"),
        (403,),
        ("CONSUMER_SUSPENDED",),
    ),
    Row(
        _refused("appeal in the console of Google Cloud: the project is suspended"),
        (403,),
        message=r"\bsuspended\b",
    ),
    Row(
        _refused("run this inside the service perimeter of the bucket, or have it let in"),
        (403,),
        message="vpcServiceControls|prohibited by organization's policy",
    ),
    Row(
        _refused("enable the Cloud Storage JSON API in the project"),
        (403,),
        ("accessNotConfigured", "SERVICE_DISABLED"),
    ),
    Row(
        _refused("ask the administrator of the organization's policies, or choose another bucket"),
        (412,),
        ("orgPolicyConstraintFailed",),
    ),
    Row(
        _refused("ask the administrator of the organization's policies, or choose another bucket"),
        (412,),
        message=r"violates constraint|\bconstraints/|public access prevention",
    ),
    Row(
        _refused(
            "nothing here asks for an access list: let nothing on the way add one, since IAM alone "
            "decides who may use this bucket"
        ),
        (400, 412),
        message="uniform bucket-level access|legacy ACL|ACL API",
    ),
    # Keys of the customer.
    Row(
        _refused(
            "enable the bucket's key in Cloud KMS again, or restore the version that is to be "
            "destroyed"
        ),
        (400, 403),
        ("cloudKmsDisabledKey",),
    ),
    Row(
        _refused(
            "give the service agent of Cloud Storage roles/cloudkms.cryptoKeyEncrypterDecrypter on "
            "the bucket's key"
        ),
        (400, 403),
        message="permission denied on Cloud KMS key",
    ),
    Row(
        _refused("correct the default key of the bucket, or enable it in Cloud KMS again"),
        (400, 403, 404),
        (
            "cloudKmsBadKey",
            "cloudKmsCannotChangeKeyName",
            "cloudKmsDecryptionKeyNotFound",
            "cloudKmsEncryptionKeyNotFound",
            "cloudKmsKeyLocationNotAllowed",
        ),
    ),
    Row(
        _refused("correct the default key of the bucket, or enable it in Cloud KMS again"),
        (400, 403, 404),
        message=r"\bKMS\b",
    ),
    # How fast and how large.
    Row(
        _unreachable("try again later, with fewer runs at once"),
        (403, 429),
        ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"),
    ),
    Row(
        _refused("have the proxy on the way let larger requests pass; an object may have 5 TiB"),
        (413,),
    ),
    # The rest, by status.
    Row(SIGN_IN, (401,)),
    Row(
        Meaning(
            StoreNotFoundError,
            "create the bucket or correct the address; a bucket that was deleted can be restored "
            "while its soft delete lasts",
        ),
        (404,),
    ),
    Row(PROXY_AUTHENTICATION, (407,)),
    Row(_unreachable("try again"), (408, 409, 410)),
    Row(
        _refused("let nothing between here and the bucket change or answer conditional requests"),
        (412,),
    ),
    Row(_unreachable("try again later, with fewer runs at once"), (429,)),
    Row(_unreachable("sign in to the network: a captive portal answers"), (511,)),
)
"""The first row that fits counts."""
OTHER_OF_SERVER = _unreachable(
    "try again; https://status.cloud.google.com says whether Google Cloud Storage has a fault"
)
OTHER_OF_CLIENT = _refused("check the address and the settings of the bucket")


def meaning_of(answer: Answer) -> Meaning:
    """What an answer means, and what to do about it."""
    if answer.page and answer.status < 500 and answer.status != 407:
        return WEB_PAGE
    for row in ROWS:
        if row.fits(answer):
            return row.meaning
    if answer.status == 403:
        return _refused(_missing_permission(answer.message))
    return OTHER_OF_SERVER if answer.status >= 500 else OTHER_OF_CLIENT


def _missing_permission(message: str) -> str:
    """The remedy for an account that may not do something, by the permission that is named."""
    if not (named := _PERMISSION.search(message)):
        return SIGN_IN.remedy
    role = "objectViewer" if named[0] in READ_PERMISSIONS else "objectUser"
    return (
        f"ask for roles/storage.{role} on the bucket, which has {named[0]}, or sign in with an "
        "account that may use this bucket"
    )


def parse_answer(status: int, body: bytes) -> Answer:
    """Read the body of an answer: JSON of the API, or the plain text of a download."""
    text = body[:PARSED_BYTES].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        if match := _XML.search(text):
            return Answer(status, match[1], sentence(match[2] or ""))
        return Answer(status, page=True)
    try:
        error = json.loads(text)["error"]
        first: dict[str, object] = next(iter(error.get("errors") or ()), {})
        # Newer services have no `errors`, and a reason in their details.
        details: dict[str, object] = next(
            (each for each in error.get("details") or () if "reason" in each), {}
        )
        reason = str(first.get("reason") or details.get("reason") or "")
        return Answer(status, reason, sentence(str(error.get("message") or "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Answer(status, message=sentence(text))


def sentence(text: str) -> str:
    """What a server says, in one line."""
    return one_line(" ".join(text.split()), LONGEST_MESSAGE)
