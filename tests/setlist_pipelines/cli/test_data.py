"""`setlist data check` and `setlist init`: before any run."""

import gzip
from pathlib import Path

import pandas as pd
import pytest
from tests.cases.tables import CASES
from typer.testing import CliRunner

from setlist_pipelines.cli.connection import named_settings
from setlist_pipelines.cli.main import app
from setlist_pipelines.settings.file import SAMPLE, read_settings


def setlist(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def check(name, folder):
    return setlist("data", "check", "--config", CASES[name].settings(folder))


def flat(text):
    """Without the line breaks and frames of a table."""
    return " ".join(text.replace("│", " ").split())


def test_it_shows_what_each_column_was_read_as(tmp_path):
    done = check("small_ids_as_floats_in_csv", tmp_path)
    assert done.exit_code == 0, done.output
    shown = flat(done.output)
    for words in ("events: 2,650 rows", "user_id", "instant (UTC)", "gate for data: pass"):
        assert words in shown


def test_a_stop_has_an_exit_code_of_its_own_and_the_setting_that_mends_it(tmp_path):
    done = check("milliseconds_among_seconds", tmp_path)
    assert done.exit_code == 3
    shown = flat(done.output)
    assert "stop: rejected rows: " in shown
    assert "looks like milliseconds: set timestamp_unit: ms" in shown
    assert not (tmp_path / "store").exists(), "it writes nothing"


def test_a_warning_does_not_fail(tmp_path):
    done = check("tags_with_another_separator", tmp_path)
    assert done.exit_code == 0, done.output
    assert 'set tags_separator: ","' in flat(done.output)


def test_a_guess_about_a_file_is_said(tmp_path):
    pd.DataFrame({"user_id": [1, 2], "item_id": [3, 4], "timestamp": ["01.04.2026"] * 2}).to_csv(
        tmp_path / "events.csv", index=False, sep=";"
    )
    (tmp_path / "settings.yaml").write_text(
        f"data: {{events: {{path: {tmp_path}/events.csv}}}}\nas_of: 2026-05-01\n"
    )
    done = setlist("data", "check", "--config", tmp_path / "settings.yaml")
    assert "delimiter" in flat(done.output)


def test_columns_that_are_not_read_are_named(tmp_path):
    for part in "ab":
        (tmp_path / "events").mkdir(exist_ok=True)
        pd.DataFrame(
            {"user_id": [1], "item_id": [3], "timestamp": ["2026-04-01"], "stars": 4, "kept": "yes"}
        ).to_csv(tmp_path / "events" / f"{part}.csv", index=False)
    (tmp_path / "settings.yaml").write_text(
        f"data: {{events: {{path: {tmp_path}/events, where: [[kept, ==, yes]]}}}}\n"
        "as_of: 2026-05-01\n"
    )
    done = setlist("data", "check", "--config", tmp_path / "settings.yaml")
    assert flat(done.output).count("not read: stars") == 1, done.output


def listens(folder, compress=False):
    """Tables under other people's names: MovieLens' columns, milliseconds, a table of customers."""
    start = pd.Timestamp("2026-04-01")
    frame = pd.DataFrame(
        {
            "userId": [f"c{n % 40}" for n in range(400)],
            "movieId": [f"m{n % 17}" for n in range(400)],
            "ts": [int((start + pd.Timedelta(hours=n)).value // 10**6) for n in range(400)],
        }
    )
    path = folder / ("ratings.csv.gz" if compress else "ratings.csv")
    frame.to_csv(path, index=False)
    customers = pd.DataFrame(
        {
            "Customer": [f"c{n}" for n in range(40)],
            "plan": ["free", "paid"] * 20,
            "mail": [f"c{n}@example.org" for n in range(40)],
        }
    )
    customers.to_csv(folder / "customers.csv", index=False)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_init_writes_settings_that_pass_the_check(tmp_path, compress):
    path = listens(tmp_path, compress)
    output = tmp_path / "settings.yaml"
    done = setlist("init", path, "--users", tmp_path / "customers.csv", "-o", output)
    assert done.exit_code == 0, done.output
    settings = read_settings(output)
    assert settings.data.events.columns == {
        "user_id": "userId",
        "item_id": "movieId",
        "timestamp": "ts",
    }
    assert settings.data.events.timestamp_unit == "ms"
    assert settings.inputs == ("plan",), "a value for each listener is no input"
    assert settings.as_of == "2026-04-18"
    checked = setlist("data", "check", "--config", output)
    assert checked.exit_code == 0, checked.output


def test_those_who_have_settings_and_do_not_name_them_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    named_settings(None, None)
    (tmp_path / "settings.yaml").write_text(SAMPLE.read_text("utf-8"))
    named_settings(tmp_path / "settings.yaml", None)
    assert capsys.readouterr().err == ""
    named_settings(None, None)
    said = capsys.readouterr().err
    assert said == "without --config this is the bundled sample; yours: --config settings.yaml\n"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("settings.yaml", "home"),
        ("Shop No. 2.yaml", "shop-no-2"),
        ("runs.yaml", "home"),
        ("ü", "home"),
    ],
)
def test_a_model_is_called_after_its_settings(tmp_path, file, name):
    done = setlist("init", listens(tmp_path), "-o", tmp_path / file)
    assert done.exit_code == 0, done.output
    assert read_settings(tmp_path / file).name == name


def test_init_names_the_columns_that_there_are(tmp_path):
    pd.DataFrame({"a": [1], "b": [2]}).to_csv(tmp_path / "x.csv", index=False)
    done = setlist("init", tmp_path / "x.csv", "-o", tmp_path / "settings.yaml")
    assert done.exit_code == 1
    assert "there are: a '1', b '2'; say which: --column user_id=NAME" in str(done.exception)
    assert not (tmp_path / "settings.yaml").exists()


def test_init_overwrites_nothing(tmp_path):
    path = listens(tmp_path)
    (tmp_path / "settings.yaml").write_text("mine")
    done = setlist("init", path, "-o", tmp_path / "settings.yaml")
    assert "exists already" in str(done.exception)
    assert (tmp_path / "settings.yaml").read_text() == "mine"


def test_american_dates_get_a_format_that_the_numbers_prove(tmp_path):
    times = ["25/04/2026 13:00", "01/04/2026 09:30"]
    with gzip.open(tmp_path / "plays.csv.gz", "wt") as file:
        pd.DataFrame({"listener": ["a", "b"], "track": ["x", "y"], "played_at": times}).to_csv(
            file, index=False
        )
    done = setlist("init", tmp_path / "plays.csv.gz", "-o", tmp_path / "settings.yaml")
    assert done.exit_code == 0, done.output
    events = read_settings(tmp_path / "settings.yaml").data.events
    assert events.timestamp_format == "%d/%m/%Y %H:%M"
    assert read_settings(tmp_path / "settings.yaml").as_of == "2026-04-26"


def test_what_is_expected_is_inferred_and_holds_later_tables(tmp_path):
    path = listens(tmp_path)
    config, expected = tmp_path / "settings.yaml", tmp_path / "data.expected.yaml"
    setlist("init", path, "--users", tmp_path / "customers.csv", "-o", config)
    done = setlist("data", "infer", "--config", config, "-o", expected)
    assert done.exit_code == 0, done.output
    # The file is named relative to the settings.
    config.write_text(config.read_text() + "policy: {data: {expected: data.expected.yaml}}\n")
    assert setlist("data", "check", "--config", config).exit_code == 0
    customers = pd.read_csv(tmp_path / "customers.csv")
    customers.assign(plan=customers["plan"].str.upper()).to_csv(
        tmp_path / "customers.csv", index=False
    )
    done = setlist("data", "check", "--config", config)
    assert done.exit_code == 3
    assert "40 of 40 users have a plan outside 2 known values, such as 'FREE'" in flat(done.output)
    expected.write_text("users: {plan: {kind: word, missing: 0}}")
    done = setlist("data", "check", "--config", config)
    assert "data.expected.yaml" in str(done.exception)
    assert "kind" in str(done.exception)


@pytest.mark.parametrize("days", [3, 30, 900])
def test_init_looks_for_the_end_in_all_rows_and_both_periods_have_events(tmp_path, days):
    """Sorted by time, the first rows of a large file end long before the last."""
    start = pd.Timestamp("2024-01-01")
    rows = 30_000
    frame = pd.DataFrame(
        {
            "user": [f"u{n % 300}" for n in range(rows)],
            "track": [f"t{n % 50}" for n in range(rows)],
            "time": [start + pd.Timedelta(minutes=n * days * 1440 / rows) for n in range(rows)],
        }
    )
    frame.to_parquet(tmp_path / "plays.parquet")
    output = tmp_path / "settings.yaml"
    done = setlist("init", tmp_path / "plays.parquet", "-o", output)
    assert done.exit_code == 0, done.output
    expected = (start + pd.Timedelta(days=days)).date().isoformat()
    assert read_settings(output).as_of == expected
    checked = setlist("data", "check", "--config", output)
    assert checked.exit_code == 0, f"{checked.output}{checked.exception}"


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("", "inputs: the users table has no column 'city' (it has: none); correct the name"),
        ("town", "inputs: the users table has no column 'city' (it has: town); correct the name"),
    ],
)
def test_the_check_refuses_inputs_that_a_run_would_refuse(tmp_path, column, sentence):
    users = f"  users: {{path: {tmp_path}/users.csv}}\n" if column else ""
    (tmp_path / "users.csv").write_text(f"user_id,{column}\nu1,Oslo\n")
    settings = tmp_path / "settings.yaml"
    assert setlist("init", listens(tmp_path), "-o", settings).exit_code == 0
    text = settings.read_text().replace("as_of:", f"{users}inputs: [city]\nas_of:")
    settings.write_text(text)
    done = setlist("data", "check", "--config", settings)
    assert done.exit_code != 0
    assert sentence in flat(str(done.exception))


@pytest.mark.parametrize(
    "words", ["data check", "data infer", "compile", "submit", "run", "run --resume", "backtest"]
)
def test_a_settings_file_without_its_option_is_told_the_option(tmp_path, words, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    monkeypatch.chdir(tmp_path)
    Path("my shop.yaml").write_text("name: shop\n")
    done = setlist(*words.split(), "my shop.yaml")
    assert done.exit_code != 0
    sentence = "write --config 'my shop.yaml' if it holds settings"
    assert sentence in flat(f"{done.output} {done.exception}")


def test_an_argument_too_many_is_refused_as_ever(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = setlist("data", "check", "nothing.yaml")
    assert done.exit_code == 2
    assert "Got unexpected extra argument" in done.output
