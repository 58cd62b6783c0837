"""Every model of the gallery is evaluated once; then each is judged in its own company."""

from dataclasses import dataclass
from functools import cached_property

from tests.gallery import answers, rogues  # noqa: F401 - they enter their models
from tests.gallery.cases import ROGUES, Case
from tests.gallery.honest import HONEST, RIVALS
from tests.gallery.world import HEURISTICS, SETTINGS, World

from setlist.errors import SetlistError
from setlist.evaluation.contenders import Contender
from setlist.evaluation.evaluator import evaluate
from setlist.evaluation.gate import gate
from setlist.evaluation.results import LISTENER_SLICE, Evaluation, Role
from setlist.evaluation.verdict import Reason, SeenHead, Verdict, decide

SLICES = (LISTENER_SLICE, "country", "age_band")
"""Those of the bundled settings; a group of one listener, by `who`, says nothing."""


@dataclass(frozen=True)
class Trial:
    """An evaluation of all models, in `world.folder / "evaluation"`."""

    world: World
    evaluation: Evaluation

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """What the gate says of all of them, by name."""
        return {case.name: self.verdict(case) for case in (ROGUES | HONEST).values()}

    def verdict(self, case: Case) -> Verdict:
        """What the gate says of the case."""
        revisions = {label: int(label[-1]) for label in (case.live, case.anchor) if label}
        roles: dict[str, Role] = dict.fromkeys(case.heuristics or HEURISTICS.fit, "heuristic")
        roles |= {case.live: "live", case.anchor: "anchor", case.name: "candidate"}
        models = [
            model.model_copy(
                update={"role": roles[model.label], "revision": revisions.get(model.label)}
            )
            for model in self.evaluation.models
            if model.label in roles
        ]
        head = (
            SeenHead(live=revisions[case.live], version="1", anchor=revisions.get(case.anchor))
            if case.live
            else None
        )
        return gate(
            self.world.folder / "evaluation",
            case.policy,
            head,
            self.evaluation.model_copy(update={"models": models, "slices": SLICES}),
        )


def broken(verdict: Verdict) -> set[str]:
    """The rules for which it is not promoted."""
    return {reason.rule for reason in verdict.reasons if reason.breaks}


def without(case: Case, reasons: list[Reason]) -> str:
    """The decision if the rules that are meant for the case did not exist."""
    return decide([reason for reason in reasons if not reason.rule.startswith(case.own)])


def hold(world: World) -> Trial:
    """Export and evaluate all models but those that cannot be."""
    cases = list((ROGUES | HONEST).values())
    folder = world.folder / "models"
    for case in cases:
        case.export(world, folder / case.name)
    for label, export in RIVALS.items():
        export(world, folder / label)
    evaluation = evaluate(
        [
            *(Contender(folder / case.name, case.name, "candidate") for case in cases),
            *(Contender(folder / label, label, "live", int(label[-1])) for label in RIVALS),
            *heuristics(world),
        ],
        world.features,
        world.folder / "dataset",
        SETTINGS,
        world.folder / "evaluation",
        allowed={operation for case in cases for operation in case.policy.operations},
    )
    return Trial(world, evaluation)


def heuristics(world: World) -> list[Contender]:
    """The simple rules."""
    folders = sorted((world.folder / "heuristics").iterdir())
    return [Contender(folder, folder.name, "heuristic") for folder in folders]


def error(world: World, case: Case) -> str:
    """What the evaluation says of a model that cannot be evaluated, "" for nothing."""
    folder = world.folder / "unfit" / case.name
    case.export(world, folder / "model")
    try:
        evaluate(
            [Contender(folder / "model", case.name, "candidate"), *heuristics(world)[:1]],
            world.features,
            world.folder / "dataset",
            SETTINGS,
            folder / "evaluation",
        )
    except SetlistError as fault:
        return str(fault)
    return ""
