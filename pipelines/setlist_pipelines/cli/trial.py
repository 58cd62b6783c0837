"""The gate without a pipeline: what a policy would say of an evaluation that exists."""

from pathlib import Path

from setlist.evaluation.gate import gate
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import read_evaluation
from setlist.evaluation.verdict import SeenHead, Verdict


def trial(folder: Path, policy: Policy) -> Verdict:
    """The verdict on an evaluation; what was live when it was made is taken from the evaluation.

    Args:
        folder: an evaluation, or a run's folder.
        policy: what the candidate has to show.

    Raises:
        SetlistError: when there is no evaluation, or it lacks what the policy reads.
    """
    within = folder / "evaluate" / "evaluations"
    evaluations = within if within.is_dir() else folder
    revisions = {model.role: model.revision for model in read_evaluation(evaluations).models}
    live, anchor = revisions.get("live"), revisions.get("anchor")
    head = SeenHead(live=live, version="", anchor=anchor) if live else None
    return gate(evaluations, policy, head)
