"""Answers of Google Cloud Storage and of what stands before it, each with the sentence that fits.

Where each comes from:

observed    the body stands in a public issue or a published recording of the real service:
            retention (python and JavaScript clients, 2019 to 2024), hold (403 `forbidden`, told
            apart by its message only), requester pays (400 `required`, not the documented
            `userProjectMissing`), serviceusage (403 `forbidden`), billing absent, closed and not
            configured (403 `accountDisabled`; 402 for Firebase buckets), constraint (412
            `conditionNotMet`), public access prevention (412 `conditionNotMet`), legacy ACL (400
            `invalid`), permission on a Cloud KMS key (403 `forbidden`), bad KMS key (400
            `invalid`), missing permission (JSON, and plain text for downloads), anonymous (401),
            object mutation rate (429), suspended consumer and VPC Service Controls (403, in the
            newer form with `details`, seen of other Google services).
documented  status and reason stand in "HTTP status and error codes for JSON"; the message is ours:
            objectUnderActiveHold, userProjectMissing, userProjectInvalid, UserProjectAccessDenied,
            UserProjectAccountProblem, cloudKmsDisabledKey, cloudKmsEncryptionKeyNotFound,
            orgPolicyConstraintFailed, authError, AuthenticationRequiredRequesterPays, notFound,
            uploadTooLarge, insufficientPermissions, accessNotConfigured (of an older edition).
standard    of HTTP, not of Google: 407, 413 of a proxy, 511, web pages.
"""

import json
from typing import NamedTuple

from setlist.errors import (
    StoreError,
    StoreNotFoundError,
    StoreRefusedError,
    StoreUnreachableError,
)

HTML = b"<!DOCTYPE html><html><body>Please sign in to the network.</body></html>"


class GcsAnswer(NamedTuple):
    """An answer, and what is made of it.

    Attributes:
        name: of the case.
        status: of HTTP.
        body: as it comes.
        error: the class of the fault.
        says: parts of its sentence.
        source: observed, documented or standard.
    """

    name: str
    status: int
    body: bytes
    error: type[StoreError]
    says: tuple[str, ...]
    source: str


def json_body(status: int, reason: str, message: str) -> bytes:
    """A body of the JSON API."""
    first = {"message": message, "domain": "global", "reason": reason}
    return json.dumps({"error": {"code": status, "message": message, "errors": [first]}}).encode()


def details_body(status: int, reason: str, message: str) -> bytes:
    """A body in the newer form, without `errors`."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}
    error = {"code": status, "message": message, "status": "PERMISSION_DENIED", "details": [info]}
    return json.dumps({"error": error}).encode()


def _case(
    name: str,
    status: int,
    reason: str,
    message: str,
    *says: str,
    error: type[StoreError] = StoreRefusedError,
    source: str = "observed",
) -> GcsAnswer:
    return GcsAnswer(name, status, json_body(status, reason, message), error, says, source)


_PAYER = "SETLIST_BILLING_PROJECT"
ANSWERS = (
    _case(
        "retention", 403, "retentionPolicyNotMet",
        "Object 'b/home/HEAD' is subject to bucket's retention policy or object retention and "
        "cannot be deleted or overwritten until 2026-10-23T02:08:44.292127-07:00",
        "retentionPolicyNotMet: Object 'b/home/HEAD' is subject", "without retention policy",
    ),
    _case(
        "hold", 403, "forbidden",
        "Object 'b/home/HEAD' is under active Temporary hold and cannot be deleted, overwritten or "
        "archived until hold is removed.",
        "hold on this object released",
    ),
    _case("hold as documented", 403, "objectUnderActiveHold", "The object is held.",
          "hold on this object released", source="documented"),
    _case(
        "requester pays", 400, "required",
        "Bucket is a requester pays bucket but no user project provided.",
        f"project that pays for the requests in {_PAYER}",
    ),
    _case("requester pays as documented", 400, "userProjectMissing", "No user project.",
          f"project that pays for the requests in {_PAYER}", source="documented"),
    _case("payer invalid", 400, "userProjectInvalid", "No such project.",
          f"correct the project in {_PAYER}", source="documented"),
    _case(
        "payer denied", 403, "forbidden",
        "a@p.iam.gserviceaccount.com does not have serviceusage.services.use access to the Google "
        "Cloud project.",
        "roles/serviceusage.serviceUsageConsumer", _PAYER,
    ),
    _case("payer denied as documented", 403, "UserProjectAccessDenied", "Denied.",
          "roles/serviceusage.serviceUsageConsumer", source="documented"),
    _case("payer's billing", 403, "UserProjectAccountProblem", "There is a problem.",
          f"billing of the project in {_PAYER}", source="documented"),
    _case(
        "billing absent", 403, "accountDisabled",
        "The billing account for the owning project is disabled in state absent",
        "active billing account",
    ),
    _case("billing not configured", 403, "accountDisabled",
          "The project to be billed has not configured billing.", "active billing account"),
    GcsAnswer(
        "billing closed", 402,
        json.dumps({"error": {"code": 402, "message": "The billing account for the owning project "
                              "is disabled in state closed"}}).encode(),
        StoreRefusedError, ("active billing account",), "observed",
    ),
    GcsAnswer(
        "suspended", 403,
        details_body(403, "CONSUMER_SUSPENDED",
                     "Permission denied: Consumer 'projects/1' has been suspended."),
        StoreRefusedError, ("CONSUMER_SUSPENDED", "the project is suspended"), "observed",
    ),
    GcsAnswer(
        "perimeter", 403,
        details_body(403, "SECURITY_POLICY_VIOLATED", "Request is prohibited by organization's "
                     "policy. vpcServiceControlsUniqueIdentifier: x"),
        StoreRefusedError, ("service perimeter",), "observed",
    ),
    _case("API off", 403, "accessNotConfigured", "Access Not Configured.",
          "enable the Cloud Storage JSON API", source="documented"),
    _case(
        "constraint", 412, "conditionNotMet",
        "Request violates constraint 'constraints/storage.uniformBucketLevelAccess'",
        "organization's policies",
    ),
    _case("constraint as documented", 412, "orgPolicyConstraintFailed", "A constraint is violated.",
          "organization's policies", source="documented"),
    _case(
        "public access", 412, "conditionNotMet",
        "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access"
        " prevention is enforced.",
        "organization's policies",
    ),
    _case(
        "legacy ACL", 400, "invalid",
        "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled.",
        "IAM alone decides",
    ),
    _case("key disabled", 400, "cloudKmsDisabledKey", "The Cloud KMS key is disabled.",
          "enable the bucket's key", source="documented"),
    _case(
        "key forbidden", 403, "forbidden",
        "Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account "
        "has been authorized to use this key.",
        "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    ),
    _case("key bad", 400, "invalid", "Bad Cloud KMS crypto key: projects/p/locations/us/keyRings/r",
          "default key of the bucket"),
    _case("key lost", 400, "cloudKmsEncryptionKeyNotFound", "Not found.",
          "default key of the bucket", source="documented"),
    _case("412 for no reason", 412, "conditionNotMet",
          "At least one of the pre-conditions you specified did not hold.",
          "let nothing between here and the bucket"),
    _case(
        "may not list", 403, "forbidden",
        "a@p.iam.gserviceaccount.com does not have storage.objects.list access to the Google Cloud "
        "Storage bucket. Permission 'storage.objects.list' denied on resource (or it may not "
        "exist).",
        "roles/storage.objectViewer on the bucket, which has storage.objects.list",
    ),
    _case(
        "may not create", 403, "forbidden",
        "a@p.iam.gserviceaccount.com does not have storage.objects.create access to the Google "
        "Cloud Storage object.",
        "roles/storage.objectUser on the bucket, which has storage.objects.create",
    ),
    GcsAnswer(
        "may not get, as a download says it", 403,
        b"a@p.iam.gserviceaccount.com does not have storage.objects.get access to the Google Cloud "
        b"Storage object.",
        StoreRefusedError, ("roles/storage.objectViewer", "storage.objects.get"), "observed",
    ),
    _case("forbidden", 403, "insufficientPermissions", "Insufficient Permission",
          "sign in with an account", source="documented"),
    _case("anonymous", 401, "required",
          "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage "
          "object.",
          "sign in with an account"),
    _case("token", 401, "authError", "Invalid Credentials", "sign in", source="documented"),
    _case("nobody pays", 401, "AuthenticationRequiredRequesterPays", "Authentication required.",
          "sign in", source="documented"),
    _case("no bucket", 404, "notFound", "The specified bucket does not exist.",
          "create the bucket or correct the address", "soft delete",
          error=StoreNotFoundError, source="documented"),
    _case("too large", 413, "uploadTooLarge", "Too large.", "larger requests",
          source="documented"),
    GcsAnswer("proxy", 407, HTML, StoreRefusedError, ("HTTPS_PROXY",), "standard"),
    GcsAnswer("too large for a proxy", 413, b"", StoreRefusedError, ("larger requests",),
              "standard"),
    GcsAnswer("portal", 200, HTML, StoreUnreachableError, ("web page, not the store",), "standard"),
    GcsAnswer("portal that forbids", 403, HTML, StoreUnreachableError,
              ("web page, not the store",), "standard"),
    GcsAnswer("portal that finds nothing", 404, HTML, StoreUnreachableError,
              ("web page, not the store",), "standard"),
    GcsAnswer("portal that says so", 511, HTML, StoreUnreachableError, ("sign in to the network",),
              "standard"),
    _case(
        "too fast", 429, "rateLimitExceeded",
        "The object b/home/HEAD exceeded the rate limit for object mutation operations (create, "
        "update, and delete). Please reduce your request rate.",
        "try again later", error=StoreUnreachableError,
    ),
    _case("internal", 500, "internalError", "We encountered an internal error.",
          "status.cloud.google.com", error=StoreUnreachableError, source="documented"),
    GcsAnswer("gateway", 502, HTML, StoreUnreachableError, ("status.cloud.google.com",),
              "documented"),
    _case("busy", 503, "backendError", "We encountered an internal error.",
          "status.cloud.google.com", error=StoreUnreachableError, source="documented"),
)  # fmt: skip
