"""The settings file: one YAML document, validated before anything runs.

Its sections are the arguments of the pipeline, one to one, and each section is the settings class
of the step that reads it.
"""

import math
import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from setlist.data.curation import CurationSettings, DataSettings, WindowSettings
from setlist.errors import SetlistError, SettingsError
from setlist.evaluation.policy import Policy, check_policy
from setlist.evaluation.results import EvaluationSettings
from setlist.models.selection import ALONE, settings_of
from setlist.models.settings import HeuristicSettings, ModelSettings
from setlist.runs.refit_record import DEFAULT_REFIT_OVERLAP
from setlist_pipelines.settings.cron_schedule import Schedule, ScheduleName
from setlist_pipelines.settings.platform import Platform

SAMPLE = Path(__file__).with_name("sample.yaml")
REMOTE_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
"""How a path begins that does not lie on this machine's disk, or was meant not to (gs:/bucket)."""
CANDIDATE = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
MOST_CANDIDATES = 32
GRID = "grid"
TAKEN = (GRID, "chosen")
"""No names for candidates: the settings and the record of a choice have their own of them."""
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]


class _Loader(yaml.SafeLoader):
    """YAML in which dates stay the text that was written, and no key stands twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in keys[:place]:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


class Settings(BaseModel):
    """What a run is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("home", description="of the model in the store")
    store: str = Field(".setlist/store", description="a local folder or gs://bucket/prefix")
    as_of: Text = Field("", description="the end of the window; empty for the present moment")
    data: DataSettings
    window: WindowSettings = WindowSettings()
    curation: CurationSettings = CurationSettings()
    inputs: tuple[str, ...] = ()
    heuristics: HeuristicSettings = HeuristicSettings()
    model: ModelSettings = ModelSettings()
    candidates: dict[str, ModelSettings] = {}
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
    platform: Platform = Platform()
    schedules: dict[ScheduleName, Schedule] = {}

    @field_validator("candidates", mode="before")
    @classmethod
    def _named(cls, document: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        return named_candidates(document) if isinstance(document, dict) else document

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        for label in self.labels:
            settings_of(self.model, self.candidates, label)
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
        return {"store": self.store} | paths

    def document(self) -> dict[str, Any]:
        """A settings file that says the same; `Settings.model_validate(s.document()) == s`."""
        changes = {
            label: changes.model_dump(mode="json", exclude_unset=True)
            for label, changes in self.candidates.items()
        }
        return self.model_dump(mode="json", exclude_none=True) | {"candidates": changes}

    def arguments(self) -> dict[str, Any]:
        """The arguments of the pipeline: the document without what shapes its graph."""
        shape = ("warm_start", "refit", "platform", "schedules")
        return {key: value for key, value in self.document().items() if key not in shape}


def named_candidates(document: dict[str, Any]) -> dict[str, Any]:
    """The candidates with the grid among them expanded to one for each combination.

    A combination is named by its values: `{grid: {dimension: [32, 64], seed: [1]}}` gives
    "dimension-32-seed-1" and "dimension-64-seed-1".

    Raises:
        ValueError: when a name is none or stands twice, or there are too many.
    """
    candidates = {str(name): changes for name, changes in document.items() if name != GRID}
    grid = document.get(GRID, {})
    if not isinstance(grid, dict):
        raise ValueError("write the grid as a list of values for each setting")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"write a list of values for grid.{key}, e.g. [{values}]")
    number = len(candidates) + (math.prod(map(len, grid.values())) if grid else 0)
    if number > MOST_CANDIDATES:
        raise ValueError(
            f"these are {number:,} candidates, and at most {MOST_CANDIDATES} are trained and "
            "compared in one run; take values out of the grid"
        )
    for values in product(*grid.values()) if grid else ():
        changes = dict(zip(grid, values, strict=True))
        name = "-".join(f"{key}-{_spelled(value)}" for key, value in changes.items())
        if name in candidates:
            raise ValueError(f"{name} stands twice")
        candidates[name] = changes
    for name, changes in candidates.items():
        if not CANDIDATE.fullmatch(name) or name in TAKEN:
            raise ValueError(
                f"{name!r} is no name for a candidate; write at most 100 lower-case letters, "
                f"digits, '.', '_' and '-', a letter or digit first, and not {' or '.join(TAKEN)}"
            )
        if isinstance(changes, dict) and None in changes.values():
            raise ValueError(
                f"{name} sets something to null, which Kubeflow does not hand on; take the "
                "setting out of `model` and give it to the other candidates"
            )
    return candidates


def _spelled(value: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    if isinstance(value, list):
        return "-".join(map(_spelled, value)) or "none"
    return str(value).lower()


def read_settings(path: Path, overrides: list[str] | None = None) -> Settings:
    """Read and check a settings file.

    Args:
        path: of the YAML file. Its `policy` is a section, or the path of a policy file beside it.
        overrides: `key=value` pairs that replace single settings, e.g. `policy.primary=mrr@10`;
            the value is YAML.

    Raises:
        SettingsError: one sentence that names the file, the line and the key.
    """
    document, node = _read(path, "a settings file is a mapping of sections")
    if isinstance(document.get("policy"), str):
        document["policy"] = read_policy(path.parent / document["policy"]).model_dump()
    for override in overrides or []:
        _override(document, override)
    try:
        settings = Settings.model_validate(document)
        check_policy(settings.policy, settings.evaluation.metric_infos())
    except ValidationError as fault:
        raise SettingsError(_sentence(fault, path, node, overrides or [])) from fault
    except SetlistError as fault:
        raise SettingsError(f"{path}: {fault}") from fault
    return settings


def read_policy(path: Path) -> Policy:
    """Read and check a policy file: the `policy` section of a settings file, by itself.

    Raises:
        SettingsError: one sentence that names the file, the line and the key.
    """
    document, node = _read(path, "a policy is a mapping of rules")
    try:
        return Policy.model_validate(document)
    except ValidationError as fault:
        raise SettingsError(_sentence(fault, path, node, [])) from fault


def _read(path: Path, what: str) -> tuple[dict[str, Any], yaml.Node | None]:
    """The document in a YAML file, and its nodes, which know their lines."""
    try:
        text = path.read_text("utf-8")
        node = yaml.compose(text, Loader=_Loader)
        document = yaml.load(text, Loader=_Loader)  # noqa: S506
    except FileNotFoundError as fault:
        raise SettingsError(f"{path} does not exist", "correct the path") from fault
    except (OSError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path} cannot be read: {fault}.") from fault
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise SettingsError(f"{path}, line {line}: this is not YAML: {fault.problem}.") from fault
    except (yaml.YAMLError, ValueError) as fault:
        reason = str(fault).splitlines()[0]
        raise SettingsError(f"{path}: this is not YAML: {reason}.") from fault
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: {what}, and this is not.")
    return document, node


def _sentence(
    fault: ValidationError, path: Path, node: yaml.Node | None, overrides: list[str]
) -> str:
    """What is wrong, where."""
    first = fault.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such setting"
    elif first["type"] == "missing":
        message = "this setting is required"
    line = _line(node, first["loc"])
    where = f"{path}, line {line}" if line else str(path)
    for override in overrides:
        if f"{key}.".startswith(f"{override.partition('=')[0]}."):
            where = f"--set {override}"
    return f"{where}: {key}: {message}."


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise SettingsError(f"--set {override}: write it as key=value, e.g. policy.primary=mrr@10.")
    *parents, last = key.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise SettingsError(f"--set {override}: {parent} is not a section.")
    try:
        section[last] = yaml.load(text, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, ValueError) as fault:
        raise SettingsError(f"--set {override}: the value is not YAML.") from fault


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line, from 1, of the innermost part of `location` in the document; 0 for none."""
    line = 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                break
            key, node = pairs[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def with_absolute_paths(settings: Settings) -> Settings:
    """The settings with local paths made absolute, for steps that start elsewhere."""
    document = settings.document()
    if not REMOTE_PATH.match(settings.store):
        document["store"] = str(Path(settings.store).expanduser().absolute())
    for table in document["data"].values():
        paths = [table["path"]] if isinstance(table["path"], str) else table["path"]
        absolute = [
            path if REMOTE_PATH.match(path) else str(Path(path).expanduser().absolute())
            for path in paths
        ]
        table["path"] = absolute if len(absolute) > 1 else absolute[0]
    return Settings.model_validate(document)
