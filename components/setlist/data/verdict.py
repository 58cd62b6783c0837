"""The verdict on the data of a run, as the gate for data gives it and people read it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from setlist.documents import read_document
from setlist.errors import DataError

DataOutcome = Literal["pass", "warn", "stop"]
STOPS = "the gate for data stops the run"
"""How the reason of a run begins that it has stopped."""


class DataReason(BaseModel):
    """One rule of the policy for data, what it measured and what it allows.

    Attributes:
        value: the share or distance that was measured.
        bound: the bound that it is above; for `pass`, the bound above which it would warn.
        sentence: what was measured.
        remedy: what to do; "" for `pass`.
        example: a row or a listener, for those who look into it; not in records and messages.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    outcome: DataOutcome
    value: float = Field(allow_inf_nan=False)
    bound: float
    sentence: str
    remedy: str = ""
    example: str = ""

    @property
    def with_example(self) -> str:
        """The sentence, and the example where there is one."""
        return f"{self.sentence}, such as {self.example}" if self.example else self.sentence


class DataVerdict(BaseModel):
    """The verdict on the data of a run."""

    model_config = ConfigDict(frozen=True)

    decision: DataOutcome
    reasons: list[DataReason]

    @classmethod
    def of(cls, reasons: list[DataReason]) -> Self:
        """The worst outcome decides."""
        outcomes = {reason.outcome for reason in reasons}
        decision: DataOutcome = (
            "stop" if "stop" in outcomes else "warn" if "warn" in outcomes else "pass"
        )
        return cls(decision=decision, reasons=reasons)

    def with_outcome(self, outcome: DataOutcome) -> list[DataReason]:
        """The reasons with that outcome."""
        return [reason for reason in self.reasons if reason.outcome == outcome]

    def write(self, path: Path) -> None:
        """Write the verdict as JSON."""
        path.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The verdict that `write` left.

        Raises:
            DataError: when there is no readable verdict.
        """
        return read_document(path, cls, DataError, "check the data again")

    def refuse(self, conclusion: str = STOPS) -> None:
        """Raise the reasons to stop, if there are any.

        Args:
            conclusion: how the sentence begins.

        Raises:
            DataError: one sentence, with number, bound and remedy of each reason.
        """
        if stops := self.with_outcome("stop"):
            raise DataError(
                f"{conclusion}: {'; '.join(reason.with_example for reason in stops)}",
                " / ".join(dict.fromkeys(reason.remedy for reason in stops)),
            )
