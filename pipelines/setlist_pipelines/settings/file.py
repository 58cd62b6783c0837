"""The settings file of a run: its sections are the arguments of the pipeline.

Each section is the settings class of the step that reads it. Everything is checked before anything
runs, so that a mistake costs a second and not the hours until its step begins.
"""

import math
import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from setlist.addresses import REMOTE_PATH, Place
from setlist.data.curation import CurationSettings, DataSettings, WindowSettings
from setlist.data.engine import EngineSettings
from setlist.data.expectation import Expected
from setlist.data.schema import check_instant
from setlist.errors import SetlistError, SettingsError
from setlist.evaluation.policy import Policy, check_policy
from setlist.evaluation.results import EvaluationSettings
from setlist.models.selection import ALONE, settings_of
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.runs.refit_record import DEFAULT_REFIT_OVERLAP
from setlist.runs.scheduled_time import MACRO
from setlist.section import MAX_NAMES, MOST_DAYS, Section
from setlist.store.reader import checked_name
from setlist.store.signing import KEY_BYTES, read_public_key
from setlist_pipelines.settings.bounded_yaml import EXPECTATIONS
from setlist_pipelines.settings.cron_schedule import PipelineName, Schedule, ScheduleName
from setlist_pipelines.settings.platform import Platform
from setlist_pipelines.settings.yaml_document import YamlDocument

SAMPLE = Path(__file__).with_name("sample.yaml")
"""The bundled settings file, which runs on the bundled sample of data."""
CANDIDATE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
MAX_CANDIDATES = 32
"""Each candidate is a task of its own, and a grid grows by multiplication."""
GRID_KEY = "grid"
RESERVED_NAMES = (GRID_KEY, "chosen")
"""No names for candidates: the settings use the first, `chosen.json` of a run the second."""
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]
"""A text for which YAML may hold a number, as in `as_of: 20260501060000`, or nothing."""


def _model_name(name: str) -> str:
    try:
        return checked_name(name)
    except SettingsError as fault:
        raise ValueError(str(fault).removeprefix("name: ").removesuffix(".")) from fault


def _instant(as_of: str) -> str:
    # A scheduled run's is the macro that the backend replaces, and its cron line.
    if as_of and not as_of.startswith(MACRO):
        check_instant(as_of)
    return as_of


MONITORING_KEYS = (
    *("name", "store", "as_of", "data", "window", "curation", "engine", "inputs", "policy"),
)
"""The sections that the monitoring pipeline takes, beside those of `MonitoringSettings`."""


class MonitoringSettings(Section):
    """What the monitoring pipeline compares with the training of the live model."""

    log: Place = Field(description="what `setlist serve --log` writes to")
    days: int = Field(
        1, ge=1, le=MOST_DAYS, description="how many of the newest days of the log are read"
    )


class Settings(Section):
    """The settings of a run, checked; also what its schedules and its steps on a cluster get."""

    name: Annotated[str, AfterValidator(_model_name)] = Field(
        "home",
        max_length=200,
        description="of the model in the store: lower-case letters, digits and hyphens, in parts "
        "that / separates",
    )
    store: Place = Field(".setlist/store", description="a local folder or gs://bucket/prefix")
    as_of: Annotated[Text, AfterValidator(_instant)] = Field(
        "", description="the end of the window; empty for the present moment"
    )
    data: DataSettings
    window: WindowSettings = WindowSettings()
    curation: CurationSettings = CurationSettings()
    engine: EngineSettings = EngineSettings()
    inputs: tuple[str, ...] = Field((), max_length=MAX_NAMES)
    """Columns of the users table that the models may read."""
    heuristics: HeuristicSettings = HeuristicSettings()
    model: ModelSettings = ModelSettings()
    candidates: dict[str, ModelSettings] = Field({}, max_length=MAX_CANDIDATES)
    """What each candidate changes of `model`; empty for one that changes nothing."""
    warm_start: bool = Field(False, description="whether training starts from the live model")
    refit: bool = Field(
        False, description="whether a winner is trained again on all days before it is pushed"
    )
    refit_overlap: float = Field(
        DEFAULT_REFIT_OVERLAP,
        ge=0,
        le=1,
        description="how much of a top ten has to stay the same when a winner is refitted",
    )
    evaluation: EvaluationSettings = EvaluationSettings()
    policy: Policy = Policy()
    only_new_data: bool = Field(
        False, description="whether a run ends early if the data are those of the live model"
    )
    verify: tuple[Annotated[str, Field(max_length=KEY_BYTES)], ...] = Field(
        (),
        max_length=MAX_NAMES,
        description="public keys, in PEM or as files: of what the steps fetch or build upon in the "
        "store, one of them must have signed it",
    )
    monitoring: MonitoringSettings | None = None
    platform: Platform = Platform()
    schedules: dict[ScheduleName, Schedule] = Field({}, max_length=MAX_NAMES)

    @field_validator("candidates", mode="before")
    @classmethod
    def _name_candidates(cls, document: Any) -> Any:  # noqa: ANN401 - any YAML value
        # Anything but a mapping goes on as it is, for pydantic's own message about its type.
        return named_candidates(document) if isinstance(document, dict) else document

    @model_validator(mode="after")
    def _check_candidates(self) -> Self:
        # Only together with `model` do the changes of a candidate make settings to check.
        for label in self.labels:
            settings_of(self.model, self.candidates, label)
        return self

    @model_validator(mode="after")
    def _check_schedules(self) -> Self:
        for name, schedule in self.schedules.items():
            if schedule.pipeline == "monitoring" and self.monitoring is None:
                raise ValueError(
                    f"schedules.{name} runs the monitoring pipeline, and there is no section "
                    "`monitoring`; write monitoring: {log: gs://bucket/served}"
                )
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the candidates, in order."""
        return tuple(self.candidates) or (ALONE,)

    def locations(self) -> dict[str, str]:
        """Where the store and the tables are, by the key of the setting."""
        tables = {key: getattr(self.data, key) for key in type(self.data).model_fields}
        paths = {
            f"data.{key}.path" + f".{place}" * (len(table.paths) > 1): path
            for key, table in tables.items()
            if table
            for place, path in enumerate(table.paths)
        }
        log = {"monitoring.log": self.monitoring.log} if self.monitoring else {}
        return {"store": self.store} | paths | log

    def document(self) -> dict[str, Any]:
        """These settings as the document of a settings file.

        `Settings.model_validate(settings.document()) == settings` holds.
        """
        # Only what a candidate sets: with defaults filled in, it would undo settings of `model`.
        changes = {
            label: changes.model_dump(mode="json", exclude_unset=True)
            for label, changes in self.candidates.items()
        }
        return self.model_dump(mode="json", exclude_none=True) | {"candidates": changes}

    def arguments(self, pipeline: PipelineName = "retraining") -> dict[str, Any]:
        """The arguments of a pipeline: the document without what shapes its graph.

        Raises:
            SettingsError: there is no section `monitoring` for that pipeline.
        """
        document = self.document()
        if pipeline == "monitoring":
            if self.monitoring is None:
                raise SettingsError(
                    "monitoring: the settings have no such section",
                    "write monitoring: {log: gs://bucket/served}, where `setlist serve --log` "
                    "writes",
                )
            return {key: document[key] for key in MONITORING_KEYS} | document["monitoring"]
        others = ("warm_start", "refit", "platform", "schedules", "monitoring")
        return {key: value for key, value in document.items() if key not in others}


def named_candidates(document: dict[str, Any]) -> dict[str, Any]:
    """The candidates, with one candidate for each combination of the grid's values.

    A candidate of the grid is named by its values: `{grid: {dimension: [32, 64], seed: [1]}}` gives
    "dimension-32-seed-1" and "dimension-64-seed-1".

    Raises:
        ValueError: a name is invalid or stands twice, or there are too many candidates.
    """
    candidates = {str(name): changes for name, changes in document.items() if name != GRID_KEY}
    grid = document.get(GRID_KEY, {})
    if not isinstance(grid, dict):
        raise ValueError("write the grid as a list of values for each setting")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"write a list of values for grid.{key}, e.g. [{values}]")
    # Counted before the combinations are made: a grid of a few long lists has billions of them.
    number = len(candidates) + (math.prod(map(len, grid.values())) if grid else 0)
    if number > MAX_CANDIDATES:
        raise ValueError(
            f"these are {number:,} candidates, and at most {MAX_CANDIDATES} are trained and "
            "compared in one run; take values out of the grid"
        )
    for values in product(*grid.values()) if grid else ():
        changes = dict(zip(grid, values, strict=True))
        name = "-".join(f"{key}-{_name_part(value)}" for key, value in changes.items())
        if name in candidates:
            raise ValueError(f"{name} stands twice")
        candidates[name] = changes
    for name, changes in candidates.items():
        if not CANDIDATE_NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise ValueError(
                f"{name!r} is no name for a candidate; write at most 100 lower-case letters, "
                f"digits, '.', '_' and '-', a letter or digit first, and not "
                f"{' or '.join(RESERVED_NAMES)}"
            )
        if isinstance(changes, dict) and None in changes.values():
            raise ValueError(
                f"{name} sets a value to null, which Kubeflow does not pass to a step; take the "
                "setting out of `model` and give it to the other candidates"
            )
    return candidates


def _name_part(value: Any) -> str:  # noqa: ANN401 - any YAML value
    """A value as a part of a candidate's name: [3, 30] is "3-30", True is "true"."""
    if isinstance(value, list):
        return "-".join(map(_name_part, value)) or "none"
    return str(value).lower()


def read_settings(path: Path, overrides: list[str] | None = None) -> Settings:
    """Read and check a settings file.

    Args:
        path: of the YAML file. Its `policy` is a section, or the path of a policy file, relative
            to the settings file.
        overrides: `key=value` pairs that replace single settings, e.g. `policy.primary=mrr@10`;
            the value is YAML.

    Raises:
        SettingsError: one sentence that names the file, the line and the key.
    """
    document = YamlDocument.read(path, "a settings file is a mapping of sections")
    policy = document.content.get("policy")
    # Read before the overrides, which may replace single rules of a policy file too.
    if isinstance(policy, str):
        document.content["policy"] = read_policy(path.parent / policy).model_dump()
    for override in overrides or []:
        document.override(override)
    _read_expected(document, path.parent)
    _read_keys(document, path.parent)
    try:
        settings = Settings.model_validate(document.content)
        # Reading runs nothing that the file names: only steps import metrics of the user's own.
        evaluation = settings.evaluation
        check_policy(
            settings.policy,
            evaluation.metric_infos(own=False),
            evaluation.own_metrics(),
            evaluation.setting,
        )
    except ValidationError as fault:
        raise document.error(fault, Settings) from fault
    except SetlistError as fault:
        raise SettingsError(f"{path}: {fault}") from fault
    return settings


def _read_expected(document: YamlDocument, folder: Path) -> None:
    """Put the file that `policy.data.expected` names, relative to the folder, in its place."""
    policy = document.content.get("policy")
    data = policy.get("data") if isinstance(policy, dict) else None
    if isinstance(data, dict) and isinstance(data.get("expected"), str):
        expected = YamlDocument.read(
            folder / data["expected"], "expectations are a mapping", EXPECTATIONS
        )
        try:
            Expected.model_validate(expected.content)
        except ValidationError as fault:
            raise expected.error(fault, Expected) from fault
        data["expected"] = expected.content


def _read_keys(document: YamlDocument, folder: Path) -> None:
    """Put the public keys that `verify` names, relative to the folder, in their places.

    A step on a cluster has no such files, so it gets the text, in one line as all settings are.
    """
    keys = document.content.get("verify")
    if isinstance(keys, list):
        document.content["verify"] = [
            " ".join(read_public_key(key if "-----BEGIN" in key else str(folder / key)).split())
            if isinstance(key, str)
            else key
            for key in keys
        ]


def read_policy(path: Path) -> Policy:
    """Read and check a policy file, which holds the `policy` section of a settings file alone.

    Raises:
        SettingsError: one sentence that names the file, the line and the key.
    """
    document = YamlDocument.read(path, "a policy is a mapping of rules")
    try:
        return Policy.model_validate(document.content)
    except ValidationError as fault:
        raise document.error(fault, Policy) from fault


def with_absolute_paths(settings: Settings) -> Settings:
    """The settings with absolute local paths, for steps that start in another folder."""

    def absolute(path: str) -> str:
        remote = REMOTE_PATH.match(path)
        return path if remote else str(Path(path).expanduser().absolute())

    document = settings.document()
    document["store"] = absolute(settings.store)
    if settings.monitoring:
        document["monitoring"]["log"] = absolute(settings.monitoring.log)
    for table in document["data"].values():
        paths = [table["path"]] if isinstance(table["path"], str) else table["path"]
        absolutes = [absolute(path) for path in paths]
        table["path"] = absolutes if len(absolutes) > 1 else absolutes[0]
    return Settings.model_validate(document)
