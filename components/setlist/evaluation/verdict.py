"""What the gate says, in a form that push checks and a person reads.

A verdict makes two statements. `decision` says what becomes of the candidate, `live` what goes
live, which may be a heuristic while the candidate is rejected. Each has one word for each case,
and a sentence.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, FiniteFloat, computed_field, model_validator

from setlist.documents import read_document
from setlist.errors import EvaluationError
from setlist.evaluation.notebook import html_line, html_table
from setlist.printable import one_line

NOTHING_TO_BEAT = "there is nothing to beat"
"""In the reason of a run that had no verdict."""
Decision = Literal["promote", "reject", "undecided"]
Outcome = Literal["pass", "fail", "undecided", "unproven", "not_asked"]
"""`unproven` and `not_asked` neither promote nor reject: nothing speaks against the candidate, but
nobody has shown that the rule holds."""
Live = Literal["candidate", "heuristic", "staged", "unchanged"]
Mode = Literal["auto", "manual"]
OUTCOME_WORDS = {"unproven": "not shown to lose", "not_asked": "not asked"}
"""For people, where the outcome is not its own word."""


class SeenHead(BaseModel):
    """HEAD of the store as the plan saw it; push moves it only if it is still the same."""

    model_config = ConfigDict(frozen=True)

    live: int
    previous: int | None = None
    """The revision that was live before; None if none was."""
    version: str
    """Identifies the promotion: push succeeds only while HEAD has it."""
    anchor: int | None = None
    """The anchor: the revision that candidates must not be worse than, where that is not the live
    one."""


class Reason(BaseModel):
    """One rule of the policy, what it measured and what it asks for.

    `value` is what the rule measured, `low` and `high` its interval, None where it has none, and
    `needed` the bound.
    """

    rule: str
    outcome: Outcome
    value: FiniteFloat | None
    """What the rule measured; None where the inspection failed before."""
    low: float | None = None
    """The lower end of the interval of `value`; None for a rule without an interval."""
    high: float | None = None
    """The upper end of the same interval."""
    needed: FiniteFloat
    """The bound that the rule sets for `value`."""
    detectable: float | None = None
    """The smallest detectable lift: the smallest difference that these listeners would have shown
    with a probability of 0.8."""
    too_small: list[str] = []
    """The groups of a slice that have too few listeners to be compared; [] in older verdicts."""
    sentence: str

    @property
    def word(self) -> str:
        """The outcome, for people."""
        return OUTCOME_WORDS.get(self.outcome, self.outcome)

    @property
    def breaks(self) -> bool:
        """Whether the candidate is not promoted because of this rule."""
        return self.outcome in ("fail", "undecided")


def not_measured(rule: str, needed: float) -> Reason:
    """The reason of a rule whose value is not known, because the inspection failed before."""
    return Reason(
        rule=rule,
        outcome="not_asked",
        value=None,
        needed=needed,
        sentence="it was not measured, because the inspection failed (serves as evaluated).",
    )


class Verdict(BaseModel):
    """What push needs to know, and what a person wants to read."""

    decision: Decision
    """What becomes of the candidate."""
    mode: Mode
    """`auto` lets push make the model live; `manual` puts it into the store and leaves that step to
    a person."""
    primary: str
    """The metric that the paired rules compare."""
    ships: str = ""
    """The label of the model that push puts into the store; "" for none."""
    ships_digest: str = ""
    """The digest of its model folder; "" for none."""
    sentence: str
    """Why the candidate is promoted, rejected or neither."""
    live_sentence: str = ""
    """What goes live, and why; "" in older verdicts, whose `sentence` says both."""
    reasons: list[Reason]
    anchor: int | None = None
    """The anchor of the next runs: the revision that their candidates must not be worse than; None
    for the one that ships."""
    evaluation_digest: str
    policy_digest: str
    head: SeenHead | None
    """None when nothing was live."""
    window: dict[str, str] = {}
    """ISO text under the keys start, cut and end: trained on [start, cut), judged on [cut, end); {}
    in verdicts from before this field."""
    roles: dict[str, str] = {}
    """What each model was in this evaluation, by label: candidate, heuristic, live or anchor."""
    values: dict[str, dict[str, FiniteFloat]] = {}
    """Model label -> metric -> value as judged, so that it outlives the evaluation."""
    not_asked: list[str] = []
    """What could not be asked of the candidate, a sentence each; [] of a model."""

    @model_validator(mode="after")
    def _of_the_candidate(self) -> Self:
        # An older verdict says `promote` where a heuristic goes live; its reasons are those of the
        # candidate.
        if self.ships_heuristic:
            self.decision = decide(self.reasons)
        return self

    @computed_field  # type: ignore[prop-decorator] # https://github.com/python/mypy/issues/1362
    @property
    def live(self) -> Live:
        """What goes live; `staged` waits until a person makes it live, `unchanged` is nothing."""
        if not self.ships:
            return "unchanged"
        if self.mode == "manual":
            return "staged"
        return "heuristic" if self.ships_heuristic else "candidate"

    @property
    def ships_heuristic(self) -> bool:
        """Whether a heuristic goes live, in place of the candidate."""
        if not self.ships:
            return False
        # Older verdicts have no roles.
        default = "candidate" if self.ships == "candidate" else "heuristic"
        return self.roles.get(self.ships, default) == "heuristic"

    @property
    def live_words(self) -> str:
        """`live` in a few words, with the name of a heuristic."""
        if not self.ships:
            return "nothing changes"
        model = f"heuristic {self.ships}" if self.ships_heuristic else "candidate"
        return f"{model}, staged" if self.mode == "manual" else model

    @property
    def sentences(self) -> str:
        """Both statements: the reason for the decision, and what goes live."""
        return f"{self.sentence} {self.live_sentence}".strip()

    def __str__(self) -> str:
        reasons = [f"{each.word}: {each.rule}: {each.sentence}" for each in self.reasons]
        asked = [f"not asked: {sentence}" for sentence in self.not_asked]
        return "\n".join(map(one_line, [*self._statements, *reasons, *asked]))

    def _repr_html_(self) -> str:
        """The verdict as a notebook shows it."""
        rows: list[Sequence[str]] = [
            (reason.word, reason.rule, reason.sentence) for reason in self.reasons
        ]
        rows.extend(("not asked", "", sentence) for sentence in self.not_asked)
        table = html_table(("outcome", "rule", "in words"), rows)
        return "".join(map(html_line, self._statements)) + table

    @property
    def _statements(self) -> tuple[str, str]:
        return (
            f"candidate: {self.decision}. {self.sentence}",
            f"live: {self.live_words}. {self.live_sentence}".strip(),
        )

    def write(self, path: Path) -> None:
        """Write the verdict as JSON."""
        path.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The verdict that `write` left.

        Raises:
            EvaluationError: when there is no readable verdict; then nothing is pushed.
        """
        return read_document(path, cls, EvaluationError, "run the gate again")


def decide(reasons: Iterable[Reason]) -> Decision:
    """`reject` where any rule fails, else `undecided` where any cannot be settled, else `promote`.

    Without any reason it is `promote`.
    """
    outcomes = {reason.outcome for reason in reasons}
    if "fail" in outcomes:
        return "reject"
    return "undecided" if "undecided" in outcomes else "promote"
