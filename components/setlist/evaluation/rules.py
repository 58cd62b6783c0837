"""The rules of a policy, each a function of one evaluation that concludes with reasons.

A built-in rule stands in the table RULES, with its bound in the `Policy`. An installed package adds
a rule as an entry point of the group `setlist.policy_rules` (see `setlist.plugins`), and a policy
names it with its settings, `rules: {fresh_enough: {bound: 0.3}}`:

    import setlist

    def fresh_enough(case: setlist.Case, settings: dict[str, float]) -> setlist.Reason:
        value, bound = case.value(case.candidate, "fresh_share@10"), settings["bound"]
        return setlist.Reason(
            rule="fresh enough",
            outcome="pass" if value >= bound else "fail",
            value=value,
            needed=bound,
            sentence=f"a share of {value:.2f} is fresh, at least {bound:.2f} is needed.",
        )
"""

from collections.abc import Callable, Iterator

from setlist.errors import EvaluationError, SetlistError
from setlist.evaluation.case import Case
from setlist.evaluation.comparison import better_than_heuristics, not_worse_than_rivals
from setlist.evaluation.fitness import fit_to_serve
from setlist.evaluation.guardrails import guardrails
from setlist.evaluation.harm import no_group_worse_off
from setlist.evaluation.integrity import (
    another_model,
    believable,
    honours_exclusions,
    knows_the_catalogue,
)
from setlist.evaluation.verdict import Reason
from setlist.plugins import POLICY_RULES

Rule = Callable[[Case], Iterator[Reason]]


def installed_rules(case: Case) -> Iterator[Reason]:
    """The rules of installed packages that the policy names, in its order.

    Raises:
        SettingsError: when a rule cannot be imported.
        EvaluationError: when a rule fails or returns no Reason.
    """
    for name, settings in case.policy.rules.items():
        function = POLICY_RULES.load(name)
        try:
            reason = function(case, settings)
        except SetlistError:
            raise
        except Exception as fault:
            raise EvaluationError(
                f"policy rule {name} failed ({type(fault).__name__}: {fault})",
                "correct its package or its settings",
            ) from fault
        if not isinstance(reason, Reason):
            raise EvaluationError(
                f"policy rule {name} returned a {type(reason).__name__}, not a Reason",
                "correct its package",
            )
        yield reason


RULES: tuple[Rule, ...] = (
    another_model,
    honours_exclusions,
    knows_the_catalogue,
    believable,
    better_than_heuristics,
    not_worse_than_rivals,
    no_group_worse_off,
    guardrails,
    fit_to_serve,
    installed_rules,
)
"""All rules, in the order of the verdict's reasons."""
