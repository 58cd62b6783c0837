"""The comparison of a model's requests with its training and with the tables, as one verdict."""

from setlist.data.features import Features
from setlist.data.policy import ServingBounds
from setlist.data.verdict import DataVerdict
from setlist.documents import parse_document
from setlist.errors import ModelError
from setlist.models.contract import ModelInfo
from setlist.models.profile import PROFILE, Profile, parse_profile
from setlist.serving.log_reader import last_requests
from setlist.serving.matched_skew import matched_skew
from setlist.serving.skew import SkewReport, find_skew
from setlist.store.reader import StoreReader, open_reader


def compare_requests(
    log: str,
    store: str,
    name: str,
    revision: int,
    bounds: ServingBounds,
    days: int | None,
    features: Features | None = None,
) -> tuple[SkewReport, DataVerdict]:
    """Compare what a revision was asked with its training and, where features are given, with rows.

    Args:
        log: a local folder or gs://bucket/prefix, as `RequestLog` writes it.
        store: a local folder or gs://bucket/prefix.
        name: of the model in the store.
        revision: that answered.
        bounds: of the policy.
        days: read only the newest days (UTC, of writing) that the log has, this many.
        features: of all days of the tables.

    Raises:
        DataError: the log has no request of the revision, or cannot be read.
        ModelError: the revision has no profile.
        StoreError: the revision cannot be read.
    """
    models = open_reader(store)
    profile = _profile(models, name, revision)
    catalogue = (models.file(name, revision, "catalogue.txt") or b"").decode().split("\n")[:-1]
    report = find_skew(log, name, revision, profile, catalogue, bounds, days)
    reasons = [feature.reason for feature in report.features]
    if features is not None:
        info = parse_document(
            models.file(name, revision, "model.json") or b"",
            f"store {store}: model.json of revision {revision} of {name}",
            ModelInfo,
            ModelError,
            "push the model again",
        )
        requests = last_requests(log, name, revision, days)
        reasons += matched_skew(requests, features, info, bounds)
    return report, DataVerdict.of(reasons)


def _profile(store: StoreReader, name: str, revision: int) -> Profile:
    content = store.file(name, revision, PROFILE)
    if content is None:
        raise ModelError(
            f"store {store.uri}: revision {revision} of {name} has no {PROFILE}, because it was "
            "made elsewhere or by an older setlist",
            "train and push a new model, then compare that one",
        )
    return parse_profile(content, f"store {store.uri}: {PROFILE} of revision {revision} of {name}")
