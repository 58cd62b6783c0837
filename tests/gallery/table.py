"""`python -m tests.gallery.table`: the outcome of the gallery as a Markdown table."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.gallery.cases import ROGUES, UNFIT, Case
from tests.gallery.honest import HONEST
from tests.gallery.trial import Trial, broken, error, hold, without
from tests.gallery.world import build


def rows(trial: Trial) -> Iterator[tuple[str, ...]]:
    """name, what it does, the company, the decision and its rules, the decision without these."""
    yield "model", "what it does", "judged with", "outcome", "without that rule"
    yield ("---",) * 5
    for case in ROGUES.values():
        verdict = trial.verdicts[case.name]
        outcome = f"{verdict.decision}: {', '.join(_short(case, broken(verdict)))}"
        yield *_what(case), outcome, without(case, verdict.reasons)
    for case, _ in UNFIT.values():
        said = error(trial.world, case)
        yield *_what(case), f"not evaluated: {said}" if said else "evaluated", ""
    for case in HONEST.values():
        yield *_what(case), trial.verdicts[case.name].decision, ""


def _what(case: Case) -> tuple[str, ...]:
    return case.name.replace("_", " "), case.does, case.but or "default"


def _short(case: Case, rules: set[str]) -> list[str]:
    """The rules, with those of one family told as one; a rule not meant for the case stands out."""
    families = [f"{own}…" if own.endswith(" ") else own for own in case.own]
    return families + sorted(f"**{rule}**" for rule in rules if not rule.startswith(case.own))


def markdown(trial: Trial) -> str:
    """The table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows(trial))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        table = markdown(hold(build(Path(folder))))
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
