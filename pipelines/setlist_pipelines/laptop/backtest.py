"""What a policy would have shipped, had it been in force: the whole decision at several past cuts.

At every cut the data are curated, the models fitted and everything evaluated anew, exactly as a
scheduled run would have done it on that day; then each policy gives its verdict and carries its own
live model and anchor on to the next cut. Beside the policies two courses are shown that need none:
ship whatever was trained, and keep the first model for good.

Of several candidates the best is chosen at every cut, as in a run. What is shipped is what was
evaluated, trained from scratch: `refit` and `warm_start` are not replayed.

What listeners got is what the live model of a course was worth in the test period of the next cut:
it is trained before that period, and with one cut every `test_days` the period is the very time in
which it would have been served.
"""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from setlist.data.curation import TEST_DAYS, curate, resolve_window
from setlist.data.features import Features
from setlist.data.schema import Window, parse_instant
from setlist.data.transformation import transform
from setlist.errors import SetlistError, SettingsError
from setlist.evaluation.contenders import Contender
from setlist.evaluation.gate import gate
from setlist.evaluation.policy import Policy
from setlist.evaluation.results import EvaluatedModel, Evaluation, Role, read_values
from setlist.evaluation.verdict import SeenHead, Verdict
from setlist.models.training_record import TrainingRecord
from setlist_pipelines.laptop.run_outputs import stderr_to
from setlist_pipelines.settings.file import Settings

MADE = re.compile(r"log|backtest\.json|cut-\d+")
"""What a backtest writes into its folder."""
ShowCut = Callable[[str, str, float | None], None]


@dataclass(frozen=True)
class Shipped:
    """A model that was made at one cut and may still be live at a later one."""

    cut: int
    """From 1; also its revision."""
    label: str
    """At its own cut, e.g. "candidate"."""
    folder: Path

    @property
    def name(self) -> str:
        """Its label at later cuts."""
        return f"{self.label}-{self.cut}"


@dataclass
class Course:
    """A way to decide, and what is live by it. Without a policy every candidate is shipped."""

    name: str
    policy: Policy | None = None
    once: bool = False
    """Without a policy: only the first candidate is."""
    live: Shipped | None = None
    anchor: Shipped | None = None
    entries: list["Entry"] = field(default_factory=list)

    def rivals(self) -> list[Shipped]:
        """What has to be evaluated at the next cut for its sake."""
        return [model for model in (self.live, self.anchor) if model]

    def step(self, cut: int, folder: Path, evaluation: Evaluation, made: dict[str, Path]) -> None:
        """Decide at one cut.

        Args:
            cut: its number, from 1.
            folder: the evaluation's.
            evaluation: of the candidate, the heuristics and every course's rivals.
            made: the folders of the models that were made at this cut, by label.
        """
        verdict = None
        if self.policy:
            verdict = gate(folder, self.policy, self._head(), self._cast(evaluation))
            ships = verdict.ships
            if ships:
                self.anchor = None if verdict.anchor is None else self.anchor or self.live
        else:
            ships = "" if self.once and self.live else "candidate"
        if ships:
            self.live = Shipped(cut, ships, made[ships])
        self.entries.append(
            Entry(
                cut=cut,
                ships=ships,
                live=self.live.name if self.live else "",
                verdict=verdict,
            )
        )

    def _head(self) -> SeenHead | None:
        if self.live is None:
            return None
        anchor = self.anchor.cut if self.anchor else None
        return SeenHead(live=self.live.cut, version="", anchor=anchor)

    def _cast(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation with this course's live model and anchor, and nobody else's."""
        roles: dict[str, Role] = {shipped.name: "anchor" for shipped in (self.anchor,) if shipped}
        roles |= {shipped.name: "live" for shipped in (self.live,) if shipped}
        models: list[EvaluatedModel] = []
        for model in evaluation.models:
            if model.label in roles:
                models.append(model.model_copy(update={"role": roles[model.label]}))
            elif model.role in ("candidate", "heuristic"):
                models.append(model)
        return evaluation.model_copy(update={"models": models})


class Entry(BaseModel):
    """What one course did at one cut."""

    cut: int
    ships: str
    """The label of what went live; "" where nothing changed."""
    live: str
    """The name of what is live from then on."""
    verdict: Verdict | None
    got: float | None = None
    """What listeners got until the next cut, by the primary metric; None where that is unknown."""


class Cut(BaseModel):
    """One past cut: when, and what the models were worth there by the primary metric."""

    as_of: str
    listeners: int
    values: dict[str, float]
    """By label; of the candidate, the heuristics and what was live in any course."""
    best_heuristic: str


class Backtest(BaseModel):
    """What `setlist backtest` found; `backtest.json`."""

    primary: str
    cuts: list[Cut]
    courses: dict[str, list[Entry]]


def backtest(
    settings: Settings,
    policies: dict[str, Policy],
    cuts: int,
    every_days: float | None,
    workdir: Path,
    say: ShowCut,
) -> Backtest:
    """Replay the decision over past cuts, the last of them as of the settings' `as_of`.

    Args:
        settings: checked; its window has to be placed before `as_of`.
        policies: by the name that they are shown under; all read what the settings evaluate.
        cuts: how many.
        every_days: between two cuts; None for the length of the test period.
        workdir: a folder for everything that is made, and for backtest.json; it is emptied.
        say: told (title, "", None) when a cut begins, (title, line, None) of what is done for it,
            and (title, "SUCCESS", seconds) when it is decided.

    Raises:
        SettingsError: when there are no data for a cut, or the window does not move with `as_of`.
    """
    if settings.window.split_at is not None:
        raise SettingsError(
            "window.split_at: a backtest moves the cut",
            "leave it out and give train_days and test_days instead",
        )
    step = pd.Timedelta(days=every_days or settings.window.test_days or TEST_DAYS)
    last = parse_instant(settings.as_of or pd.Timestamp.now("UTC").floor("s").isoformat(), "as_of")
    primary = settings.policy.primary
    courses = [
        *(Course(name, policy) for name, policy in policies.items()),
        Course("ship everything"),
        Course("ship once", once=True),
    ]
    _empty(workdir)
    replayed: list[Cut] = []
    with (workdir / "log").open("w", encoding="utf-8") as log:
        for number in range(1, cuts + 1):
            as_of = (last - (cuts - number) * step).isoformat()
            window = resolve_window(settings.window, as_of, last)
            folder = workdir / f"cut-{number}"
            began = time.monotonic()
            title = f"Decide as of {as_of[:10]}"
            say(title, "", None)
            try:
                with redirect_stdout(log), stderr_to(log):
                    evaluation, made = _work(settings, window, folder, courses, partial(say, title))
            except SetlistError as fault:
                raise SettingsError(f"as of {as_of[:10]}: {fault}") from fault
            evaluations = folder / "evaluations"
            values = {
                model.label: read_values(evaluations, model)[primary] for model in evaluation.models
            }
            heuristics = [model.label for model in evaluation.models if model.role == "heuristic"]
            replayed.append(
                Cut(
                    as_of=as_of,
                    listeners=evaluation.listeners,
                    values=values,
                    best_heuristic=max(heuristics, key=values.__getitem__),
                )
            )
            for course in courses:
                if course.entries and course.live:
                    course.entries[-1].got = values[course.live.name]
                course.step(number, evaluations, evaluation, made)
            say(title, "SUCCESS", time.monotonic() - began)
    result = Backtest(
        primary=primary, cuts=replayed, courses={course.name: course.entries for course in courses}
    )
    (workdir / "backtest.json").write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    return result


def _empty(workdir: Path) -> None:
    """Make the folder, or empty that of an earlier backtest.

    Raises:
        SettingsError: the folder holds other things.
    """
    if workdir.is_symlink() or (workdir.exists() and not workdir.is_dir()):
        raise SettingsError(f"{workdir} is no folder", "name another --workdir")
    if workdir.is_dir():
        entries = {entry.name for entry in workdir.iterdir()}
        strange = sorted(each for each in entries if not MADE.fullmatch(each))
        if strange:
            raise SettingsError(
                f"{workdir} holds {strange[0]!r}, which no backtest has made, and it would be "
                "emptied",
                "name another --workdir",
            )
        shutil.rmtree(workdir)
    workdir.mkdir(parents=True)


def _work(
    settings: Settings,
    window: Window,
    folder: Path,
    courses: Sequence[Course],
    say: Callable[[str, None], None],
) -> tuple[Evaluation, dict[str, Path]]:
    """What a run does up to its evaluation, in this process, with every course's rivals."""
    from setlist.evaluation.evaluator import evaluate
    from setlist.models.contract import model_folders
    from setlist.models.heuristics import fit_heuristics
    from setlist.models.selection import settings_of, winner
    from setlist.models.trainers import train_candidate

    say("curate and transform", None)
    dataset = folder / "dataset"
    curate(settings.data, window, settings.curation, dataset, settings.engine)
    transform(dataset, window, settings.inputs, folder / "features", settings.engine)
    say("fit the heuristics", None)
    fit_heuristics(folder / "features", settings.heuristics, folder / "heuristics", settings.engine)
    features = Features.read(folder / "features")
    trained: list[TrainingRecord] = []
    for label in settings.labels:
        say(f"train {label}", None)
        model_settings = settings_of(settings.model, settings.candidates, label)
        output = folder / "candidates" / label
        trained.append(
            train_candidate(features, model_settings, output, folder / "training", label)
        )
    (folder / "candidates" / winner(trained).label).rename(folder / "candidate")
    heuristics = {model.name: model for model in model_folders(folder / "heuristics")}
    rivals = {model.name: model for course in courses for model in course.rivals()}
    say("evaluate all models", None)
    evaluation = evaluate(
        [
            Contender(folder / "candidate", "candidate", "candidate"),
            # Which of them is live differs from course to course; `Course` casts them anew.
            *(
                Contender(shipped.folder, name, "live" if place == 0 else "anchor", shipped.cut)
                for place, (name, shipped) in enumerate(rivals.items())
            ),
            *(Contender(shipped, name, "heuristic") for name, shipped in heuristics.items()),
        ],
        features,
        dataset,
        settings.evaluation,
        folder / "evaluations",
        settings.policy.operations,
    )
    return evaluation, heuristics | {"candidate": folder / "candidate"}
