"""No setting is endless: numbers, texts, lists and YAML have bounds that hold when read."""

import math
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pydantic
import pytest
from tests.waiting import PATIENCE

from setlist.data.curation import CurationSettings, WindowSettings, curate, resolve_window
from setlist.errors import SetlistError
from setlist.section import Section
from setlist_pipelines.settings.file import SAMPLE, Settings, read_settings

EXTREMES = (math.inf, -math.inf, math.nan, 1e30, 2**63, -1)
MEANINGFUL = {
    # What a column of a table, an option of a stranger or the value of a metric may be.
    ("TableSource", "where"): {1e30, 2**63, -1},
    ("ModelSettings", "options"): {1e30, 2**63, -1},
    ("Policy", "rules"): {1e30, 2**63, -1},
    ("Guardrail", "at_least"): {-1},
    ("Guardrail", "at_most"): {-1},
    ("ExpectedColumn", "low"): {1e30, 2**63, -1},
    ("ExpectedColumn", "high"): {1e30, 2**63, -1},
}
ANY_VALUE = {("Schedule", "set")}
"""Settings again, which are checked as such."""


def parts(annotation: Any) -> list[Any]:
    """The annotations inside one, without those of literals."""
    if get_origin(annotation) is Literal:
        return []
    if get_origin(annotation) is Annotated:
        return [get_args(annotation)[0]]
    return [part for part in get_args(annotation) if part is not Ellipsis]


def sections(kind: Any, seen: dict[str, type]) -> dict[str, type]:
    """The classes of all sections below one, by name."""
    if isinstance(kind, type) and not get_args(kind) and issubclass(kind, pydantic.BaseModel):
        if kind.__name__ not in seen:
            seen[kind.__name__] = kind
            for field in kind.model_fields.values():
                sections(field.annotation, seen)
        return seen
    for part in parts(kind):
        sections(part, seen)
    return seen


SECTIONS = sections(Settings, {})
FIELDS = [
    (kind, name)
    for kind in SECTIONS.values()
    for name in kind.model_fields
    if (kind.__name__, name) not in ANY_VALUE
]


def with_value(annotation: Any, leaf: tuple[type, ...], value: Any) -> list[Any]:
    """Values of an annotation that have `value` in the place of each leaf of a type."""
    if isinstance(annotation, type) and not get_args(annotation):
        return (
            [value]
            if issubclass(annotation, leaf) and (annotation is bool) == (leaf == (bool,))
            else []
        )
    origin, inside = get_origin(annotation), parts(annotation)
    if origin in (Union, types.UnionType, Annotated):
        return [each for part in inside for each in with_value(part, leaf, value)]
    if origin is dict:
        return [{"a": each} for each in with_value(inside[1], leaf, value)]
    if origin in (list, tuple) and (origin is list or Ellipsis in get_args(annotation)):
        return [[each] for each in with_value(inside[0], leaf, value)]
    if origin is tuple:  # a condition: column, comparison, value
        return [["a", "<", each] for each in with_value(inside[-1], leaf, value)]
    return []


def is_refused(kind: type, name: str, value: Any) -> bool:
    """Whether a field of a section refuses a value, whatever the other fields lack."""
    try:
        kind.model_validate({name: value})
    except pydantic.ValidationError as fault:
        # A fault of the whole section has no place; one of another field begins with its name.
        places = {error["loc"][:1] for error in fault.errors() if error["type"] != "missing"}
        return bool(places & {(name,), ()})
    return False


def test_every_class_of_settings_is_a_section():
    assert len(SECTIONS) > 20
    for kind in SECTIONS.values():
        assert issubclass(kind, Section), kind


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
def test_every_number_of_every_section_has_bounds(kind, name):
    annotation = kind.model_fields[name].annotation
    for extreme in EXTREMES:
        if extreme in MEANINGFUL.get((kind.__name__, name), ()):
            continue
        for value in with_value(annotation, (int, float), extreme):
            assert is_refused(kind, name, value), f"{kind.__name__}.{name} = {value}"


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
def test_no_number_of_any_section_may_be_yes_or_no(kind, name):
    """YAML reads yes as true, and pydantic true as 1."""
    annotation = kind.model_fields[name].annotation
    if with_value(annotation, (bool,), True):  # what a stranger's option or a column may be
        return
    for answer in (True, False):
        for value in with_value(annotation, (int, float), answer):
            assert is_refused(kind, name, value), f"{kind.__name__}.{name} = {value}"


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
def test_every_text_of_every_section_is_short_and_printable(kind, name):
    for text in ("a\0", "\x1b[31m", "a\nb", "\ud800", "\u202egnp", "x" * 5_000):
        for value in with_value(kind.model_fields[name].annotation, (str,), text):
            assert is_refused(kind, name, value), f"{kind.__name__}.{name} = {value!r:.40}"


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
def test_every_list_of_every_section_has_a_length(kind, name):
    field = kind.model_fields[name]

    def check(annotation: Any, metadata: tuple[Any, ...]) -> None:
        origin = get_origin(annotation)
        endless = origin in (list, dict) or (origin is tuple and Ellipsis in get_args(annotation))
        if origin is dict and get_origin(get_args(annotation)[0]) is Literal:
            endless = False
        limited = any(isinstance(each, annotated_types.MaxLen) for each in metadata)
        unpacked = [
            part.max_length
            for each in metadata
            if isinstance(each, pydantic.fields.FieldInfo)
            for part in each.metadata
            if isinstance(part, annotated_types.MaxLen)
        ]
        assert not endless or limited or unpacked, f"{kind.__name__}.{name}: {annotation}"
        inner = get_args(annotation)[1:] if origin is Annotated else ()
        for part in parts(annotation):
            check(part, inner)

    check(field.annotation, tuple(field.metadata))


BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, "more than 20,000 values, aliases counted"),
        ("a: &a [*a]", r"line 1: \*a has no &a that ended before it"),
        ("a: " + "[" * 100_000, "line 1: more than 32 lists and mappings lie in each other"),
        ("- " * 20_000, "more than 32 lists and mappings"),
        ("a: [" + "x," * 100_000 + "]", "more than 20,000 values"),
        ("#" * 1_000_001, "has more than 1,000,000 bytes"),
        ("model:\n  seed: " + "9" * 100_000, "line 2: model.seed: .* a number of 100,000 char"),
        ("model:\n  seed: " + "1:" * 10_000 + "1", "line 2: model.seed: "),
        ("name: " + "x" * 10_000, "line 1: name: .* a text of 10,000 characters; write at most"),
        (
            'model:\n  segment: "a\\0b"',
            r"line 2: model.segment: 'a\\x00b' has the character U\+0000",
        ),
        ("? [a]\n: b", "a key is a list or a mapping"),
        ("name: !!binary aGk=", "no setting has the type 'tag:yaml.org,2002:binary'"),
        ("name: !!python/object:os.system x", "no setting has the type"),
    ],
    ids=lambda text: text[:12],
)
def test_a_hostile_document_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SetlistError, match=sentence) as fault:
        read_settings(path)
    assert "\n" not in str(fault.value)
    assert len(str(fault.value)) < 600


@pytest.mark.parametrize("text", ["policy: {over_heuristics: yes}", "window: {train_days: on}"])
def test_yes_in_place_of_a_number_is_one_sentence(tmp_path, text):
    (tmp_path / "settings.yaml").write_text(
        f"data: {{events: {{path: events.csv}}}}\n{text}\n", "utf-8"
    )
    with pytest.raises(SetlistError, match=r"line 2: .*: true, yes or on is no number; write one"):
        read_settings(tmp_path / "settings.yaml")


@pytest.mark.parametrize("key", ["policy", "policy.data.expected"])
def test_files_beside_the_settings_are_bounded_too(tmp_path, key):
    (tmp_path / "bomb.yaml").write_text(BOMB)
    (tmp_path / "settings.yaml").write_text(
        "data: {events: {path: e.csv}}\npolicy: "
        + ("bomb.yaml" if key == "policy" else "{data: {expected: bomb.yaml}}")
    )
    with pytest.raises(SetlistError, match=r"bomb.yaml, line [56]: .*aliases counted"):
        read_settings(tmp_path / "settings.yaml")


@pytest.mark.parametrize("name", ["settings", "policy", "expected"])
def test_a_pipe_in_place_of_a_file_of_settings_is_not_waited_for(tmp_path, name):
    """In a process, which a wait would keep."""
    os.mkfifo(tmp_path / f"{name}.yaml")
    if name != "settings":
        policy = "policy.yaml" if name == "policy" else "{data: {expected: expected.yaml}}"
        content = f"data: {{events: {{path: e.csv}}}}\npolicy: {policy}\n"
        (tmp_path / "settings.yaml").write_text(content)
    command = [sys.executable, "-m", "setlist_pipelines", "run", "--config", "settings.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert done.stderr.startswith("setlist: ")
    assert f"{name}.yaml' cannot be read: it is no regular file" in done.stderr
    assert done.stderr.endswith("; correct the path or the file.\n")


def test_a_change_of_the_command_line_is_bounded_and_changes_one_place(tmp_path):
    with pytest.raises(SetlistError, match=r"^--set 'inputs=.*more than 32 lists"):
        read_settings(SAMPLE, ["inputs=" + "[" * 5_000])
    path = tmp_path / "settings.yaml"
    path.write_text(
        "data:\n  events: &e {path: e.csv, columns: {user_id: u}}\n  items: {<<: *e, path: i.csv}"
    )
    settings = read_settings(path, ["data.items.columns.user_id=v"])
    assert settings.data.events.columns == {"user_id": "u"}
    assert settings.data.items is not None
    assert settings.data.items.columns == {"user_id": "v"}
    assert settings.data.items.path == "i.csv"


@pytest.mark.parametrize(
    "change",
    [
        *("name=../x", "name=''", "name=дом", "name=a//b", "name=head", f"name={'x' * 201}"),
        *("store=file:///etc", "store=http://169.254.169.254/x", "store=''", "store=gs://"),
        *("store=gs:/b/x", "store=s3://b", "store=~nosuchuser/x", f"store={'x' * 300}"),
        *("as_of=tomorrow", "as_of=now", "as_of=2026", "as_of=9999-01-01", "as_of=2026-02-30"),
        *("window.split_at=soon", "window.split_at=1e30", "window.train_days=1e-300"),
        *("model.learning_rate=.inf", "model.epochs=1e30", "model.recency_days=[-3]"),
        *("data.events.path=ftp://x/y", "data.events.path=[a.csv, ~nosuchuser/x]"),
        *("data.events.path=bigquery://x", "data.events.path=sample://songs"),
        *("data.events.encoding=klingon", "monitoring={log: http://x/y}", "inputs=[a, 3]"),
        *("platform.deadline=99999999d", "platform.defaults.memory_limit=99999999Ti"),
        *("evaluation.metrics=[ndcg@99999]", "evaluation.metrics=[ndcg@" + "9" * 4_000 + "]"),
    ],
    ids=lambda change: change[:40],
)
def test_a_setting_that_could_only_fail_later_is_refused_when_it_is_read(change):
    key = change.partition("=")[0]
    with pytest.raises(SetlistError, match=rf"^--set .*{key}") as fault:
        read_settings(SAMPLE, [change])
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("folder", ["a[x]", "b\\c", "with space", "d*", "e?", "f'g", "h{1,2}", "ö"])
def test_tables_in_a_folder_of_any_name_are_curated(tmp_path, folder):
    place = tmp_path / folder
    place.mkdir()
    (place / "events.csv").write_text(
        "user_id,item_id,timestamp\nu,a,2026-04-01\nv,b,2026-04-02\nu,b,2026-04-25\n"
    )
    (tmp_path / "settings.yaml").write_text(
        "data: {events: {path: placeholder}}\nas_of: 2026-05-01"
    )
    settings = read_settings(tmp_path / "settings.yaml", [f"data.events.path={quoted(place)}"])
    window = resolve_window(WindowSettings(), settings.as_of, None)  # type: ignore[arg-type]
    report = curate(settings.data, window, CurationSettings(), place / "dataset")
    assert (report.train, report.test) == (2, 1)


def quoted(path: Path) -> str:
    """A path as a text of YAML in single quotes, which double themselves."""
    return "'" + str(path).replace("'", "''") + "'"
