"""The policy: what a candidate has to show before listeners see it. A small YAML document.

`docs/policy.schema.json` is its JSON schema, for editors; `setlist policy` prints it.
"""

import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from setlist.data.policy import DataPolicy
from setlist.errors import SettingsError
from setlist.evaluation.metric_names import RANGES
from setlist.evaluation.results import MetricInfo
from setlist.evaluation.verdict import Mode
from setlist.models.operations import PATTERN
from setlist.models.settings import Option
from setlist.plugins import POLICY_RULES
from setlist.section import MAX_NAMES, Section

MOST = 1_000_000_000
"""Beyond it lies no value of a metric, no number of listeners and no cost."""
NULL = "null"
"""Kubeflow carries no null inside an argument; this word, in JSON, stands for one."""


class Part(Section):
    """A part of the policy document; `P.model_validate(p.model_dump(mode="json")) == p`.

    The same holds with `exclude_none`, which would else bring back the default of a rule that was
    switched off.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_null(cls, document: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if not isinstance(document, dict):
            return document
        return {name: None if value == NULL else value for name, value in document.items()}

    @model_serializer(mode="wrap", when_used="json")
    def _write_null(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        off = [
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) is None and field.default is not None
        ]
        return write(self) | dict.fromkeys(off, NULL)


class Guardrail(Part):
    """A bound on the point value of a metric, absolute or relative to another model's.

    Exactly one of `at_least` and `at_most` is given.
    """

    metric: str = Field(description="e.g. coverage@10; it has to be evaluated")
    at_least: float | None = Field(None, ge=-MOST, le=MOST)
    """The lower bound."""
    at_most: float | None = Field(None, ge=-MOST, le=MOST)
    """The upper bound."""
    of: Literal["", "live", "best_heuristic"] = Field(
        "",
        description="the bound is a multiple of this model's value; while nothing is live, the "
        "live model's guardrails are left out",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a guardrail needs either at_least or at_most")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        low, high = RANGES.get(self.metric.partition("@")[0], (-math.inf, math.inf))
        # A multiple of another model's value is no value.
        if self.of:
            return self
        if self.at_least is not None and self.at_least > high:
            raise ValueError(
                f"at_least: {self.at_least:g} is more than {self.metric} can be, which is at most "
                f"{high:g}; write a number from {low:g} to {high:g}"
            )
        if self.at_most is not None and self.at_most < low:
            raise ValueError(
                f"at_most: {self.at_most:g} is less than {self.metric} can be, which is at least "
                f"{low:g}; write a larger number"
            )
        return self


class SliceRule(Part):
    """No group of listeners may be served clearly worse than it is now."""

    tolerance: float = Field(
        0.1, ge=0, lt=1, description="how much worse, relative to the group's value, is tolerated"
    )
    at_least: int = Field(
        30,
        ge=30,
        le=MOST,
        description="groups with fewer listeners are too few to say anything about",
    )
    doubt: float = Field(
        0.05,
        ge=0,
        le=1,
        description="a group that seems to lose more than the tolerance, though among so many it "
        "is not shown to, leaves the verdict undecided if its own p-value is at most this: 0.05 "
        "is what it would fail at if it were the only group. 0 for never; 1 for every such group, "
        "and for groups with too few listeners",
    )
    columns: Annotated[tuple[str, ...], Field(max_length=MAX_NAMES)] | None = Field(
        None,
        description="slices of the evaluation; left out, all of its groups of listeners. item_part "
        "stands for plays of head, torso, tail and new items",
    )


class Limits(Part):
    """What a model may cost in serving; null for no limit."""

    p50_ms: float | None = Field(None, gt=0, le=MOST, description="median latency of one request")
    p99_ms: float | None = Field(250.0, gt=0, le=MOST, description="99th percentile of the same")
    size_mb: float | None = Field(2_000.0, gt=0, le=MOST, description="of the model folder")


class Policy(Part):
    """What a candidate has to show."""

    primary: str = Field("ndcg@10", description="the metric that is compared, per listener")
    over_heuristics: float = Field(
        0.02, ge=0, le=1_000, description="how much better than EVERY heuristic, relative to it"
    )
    under_live: float = Field(
        0.01, ge=0, lt=1, description="how much worse than the live model, relative to it"
    )
    anchor: bool = Field(
        True,
        description="hold the same against the last revision that was proven better than its "
        "predecessors, so that many small losses do not add up",
    )
    believable: float | None = Field(
        3.0,
        gt=1,
        le=MOST,
        description="a candidate more than so many times as good as the best heuristic is taken "
        "to have seen the test period; null for no such rule",
    )
    catalogue: float = Field(
        0.95, ge=0, le=1, description="the share of the eligible catalogue that it has to know"
    )
    guardrails: tuple[Guardrail, ...] = Field(
        (
            Guardrail(metric="coverage@10", at_least=0.05),
            Guardrail(metric="intra_list_diversity@10", at_least=0.2),
            Guardrail(metric="popularity_lift@10", at_most=5),
        ),
        max_length=MAX_NAMES,
    )
    slices: SliceRule | None = Field(SliceRule(), description="null for no such rule")
    limits: Limits = Limits()
    rules: dict[str, Annotated[dict[str, Option], Field(max_length=MAX_NAMES)]] = Field(
        {},
        max_length=MAX_NAMES,
        description="rules of installed packages by the name of their entry point, each with its "
        "settings, e.g. {fresh_enough: {bound: 0.3}}",
    )
    operations: tuple[Annotated[str, Field(pattern=PATTERN)], ...] = Field(
        (),
        max_length=64,
        description="operations of TensorFlow that a model may have beside the usual ones, which "
        "read and write no files, call no Python and do not loop, e.g. [While]; "
        "see setlist.models.operations",
    )
    data: DataPolicy = DataPolicy()
    bootstrap: Literal["none", "heuristic"] = Field(
        "heuristic", description="whether the best heuristic may go live while nothing else is"
    )
    bootstrap_at_least: int = Field(
        30,
        ge=1,
        le=MOST,
        description="it has to be evaluated on so many listeners, and its interval has to be "
        "above 0",
    )
    mode: Mode = Field("auto", description="manual stages the revision, and a person makes it live")

    @field_validator("rules")
    @classmethod
    def _known(cls, rules: dict[str, dict[str, Option]]) -> dict[str, dict[str, Option]]:
        for name in rules:
            if sentence := POLICY_RULES.unknown(name):
                raise ValueError(sentence)
        return rules

    def metrics(self) -> list[str]:
        """Every metric that the policy reads."""
        return [self.primary, *(guardrail.metric for guardrail in self.guardrails)]


def schema() -> str:
    """The JSON schema of a policy document."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(document | Policy.model_json_schema(), indent=1) + "\n"


def check_policy(
    policy: Policy,
    metrics: tuple[MetricInfo, ...],
    unread: tuple[str, ...] = (),
    setting: str = "evaluation.metrics",
) -> None:
    """Refuse a policy that reads what is not evaluated, or names a rule that cannot be imported.

    Args:
        policy: to be checked.
        metrics: that are evaluated.
        unread: names of metrics that are evaluated, too, and of which nothing else is known,
            because their modules are not imported here.
        setting: where others can be added.

    Raises:
        SettingsError: naming all such metrics and where to add them, or the rule.
    """
    by_name = {metric.name: metric for metric in metrics}
    evaluated = [*by_name, *unread]
    missing = [text for text in dict.fromkeys(policy.metrics()) if text not in evaluated]
    if missing:
        it = "it" if len(missing) == 1 else "them"
        # A policy file that names none has the default guardrails.
        without = f"give the policy guardrails without {it}, such as `guardrails: []`"
        raise SettingsError(
            f"policy: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not evaluated",
            f"add {it} to {setting} (now: {', '.join(evaluated)}), or "
            f"{'have the policy read others' if policy.primary in missing else without}",
        )
    primary = by_name.get(policy.primary)
    if primary and primary.better == "lower":
        raise SettingsError(
            f"policy.primary: {policy.primary} is better when it is lower, and the gate asks for "
            "more",
            "choose an accuracy metric such as ndcg@10, or make it a guardrail",
        )
    if primary and primary.per != "listener":
        raise SettingsError(
            f"policy.primary: {policy.primary} has no value for a single listener, so it has no "
            "paired interval",
            "choose an accuracy metric such as ndcg@10",
        )
    for name in policy.rules:
        POLICY_RULES.load(name)
