"""A setting comes from the command line, the environment, the file or the default, in this order, and says which."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vstore import settings
from vstore.errors import ConfigError


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own configuration file, that does not exist yet, and an own environment."""
    for key in settings.KEYS:
        monkeypatch.delenv(key.variable, raising=False)
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("VSTORE_CONFIG", str(path))
    return path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_the_defaults_say_that_they_are_defaults() -> None:
    found = settings.load()
    assert set(found.sources.values()) == {"default"}
    assert (found.model, found.collection, found.threads) == ("all-MiniLM-L6-v2", "default", 0)
    assert (found.log, found.metrics, found.slow_ms) == (True, True, 1000)
    assert found.db.name == "memory.db"
    assert found.models.name == "models"


def test_without_an_override_the_file_is_where_the_platform_expects_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VSTORE_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings.config_path().name == "config.toml"
    assert tmp_path in settings.config_path().parents


def test_the_store_is_not_below_the_folder_of_models_which_is_a_cache() -> None:
    found = settings.load()
    assert found.models.parent not in found.db.parents


def test_flag_beats_environment_beats_file_beats_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def db() -> tuple[str, str]:
        found = settings.load()
        return str(found.db), found.sources["db"]

    assert db()[1] == "default"
    write(file, 'db = "/from/file.db"')
    assert db() == ("/from/file.db", str(file))
    monkeypatch.setenv("VSTORE_DB", "/from/environment.db")
    assert db() == ("/from/environment.db", "VSTORE_DB")
    flagged = settings.load(db="/from/flag.db")
    assert (str(flagged.db), flagged.sources["db"]) == ("/from/flag.db", "--db")


def test_each_setting_has_its_own_source(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, 'threads = 4\nmodel = "one"')
    monkeypatch.setenv("VSTORE_MODEL", "two")
    found = settings.load()
    assert (found.threads, found.model) == (4, "two")
    assert (found.sources["threads"], found.sources["model"]) == (str(file), "VSTORE_MODEL")
    assert found.sources["collection"] == "default"


def test_an_empty_variable_is_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_MODEL", "")
    assert settings.load().sources["model"] == "default"


@pytest.mark.parametrize(
    ("text", "value"), [("on", True), ("OFF", False), ("true", True), ("False", False), ("1", True), ("0", False)]
)
def test_a_switch_is_on_or_off_in_file_and_environment_alike(
    file: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    settings.write_value("log", text)
    assert file.read_text() == f"log = {str(value).lower()}\n"
    assert settings.load().log is value
    write(file, f'metrics = "{text}"')
    assert settings.load().metrics is value
    monkeypatch.setenv("VSTORE_LOG", text)
    assert settings.load().log is value


def test_a_tilde_means_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("VSTORE_MODELS", "~/models")
    found = settings.load(db="~/memory.db")
    assert (str(found.db), str(found.models)) == ("/home/someone/memory.db", "/home/someone/models")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("VSTORE_THREADS", "many", "VSTORE_THREADS: threads is a whole number, not 'many'"),
        ("VSTORE_THREADS", "1.5", "VSTORE_THREADS: threads is a whole number, not '1.5'"),
        ("VSTORE_THREADS", "-1", "VSTORE_THREADS: threads is 0 or more, not -1"),
        ("VSTORE_MODEL", "  ", "VSTORE_MODEL: model is empty; give it a value"),
        ("VSTORE_LOG", "maybe", "VSTORE_LOG: log is on or off, not 'maybe'"),
        ("VSTORE_SLOW_MS", "-5", "VSTORE_SLOW_MS: slow_ms is 0 or more, not -5"),
        ("VSTORE_DB", "~nobody there/x.db", "VSTORE_DB: '~nobody there/x.db' cannot be used as a path"),
        ("VSTORE_MODELS", "~nobody there", "VSTORE_MODELS: '~nobody there' cannot be used as a path"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=message):
        settings.load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("threads = -3", "threads is 0 or more, not -3"),
        ("threads = 1.5", "threads is a whole number, not 1.5"),
        ("threads = true", "threads is a whole number, not True"),
        ('threads = "many"', "threads is a whole number, not 'many'"),
        ("db = 7", "db is a text, not 7"),
        ('db = ""', "db is empty; give it a value"),
        ("[db]\npath = 'x'", "db is a text, not {'path': 'x'}"),
        ("metrics = 1", "metrics is on or off, not 1"),
        ('colour = "red"', "there is no setting 'colour'; there are db, model, collection, threads, models, log"),
        ("threads = ", r"cannot be read \(.*\); correct or delete it"),
        ("\udcff", r"cannot be read \(.*\); correct or delete it"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(file: Path, content: str, message: str) -> None:
    file.parent.mkdir()
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=message) as caught:
        settings.load()
    assert str(file) in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_named(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        settings.load()


def test_set_and_unset(file: Path) -> None:
    assert settings.write_value("threads", "3") == file
    assert settings.write_value("db", "/some where/ünï.db") == file
    assert settings.read_file() == {"threads": 3, "db": "/some where/ünï.db"}
    settings.write_value("threads", None)
    settings.write_value("threads", None)
    assert settings.read_file() == {"db": "/some where/ünï.db"}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives_being_set(text: str) -> None:
    settings.write_value("collection", text)
    assert settings.load().collection == text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threads", "many", "threads is a whole number, not 'many'"),
        ("threads", "-1", "threads is 0 or more, not -1"),
        ("model", " ", "model is empty; give it a value, or remove it with: vstore config unset model"),
        ("colour", "red", "there is no setting 'colour'"),
        ("colour", None, "there is no setting 'colour'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_the_file_stays(
    file: Path, name: str, value: str | None, message: str
) -> None:
    write(file, "threads = 1")
    with pytest.raises(ConfigError, match=message):
        settings.write_value(name, value)
    assert file.read_text() == "threads = 1"


def test_a_bad_value_in_the_file_can_be_corrected_and_removed(file: Path) -> None:
    write(file, 'threads = -3\ncolour = "red"')
    settings.write_value("threads", "2")
    settings.write_value("colour", None)
    assert settings.read_file() == {"threads": 2}


def test_a_damaged_file_is_not_overwritten(file: Path) -> None:
    write(file, "threads = ")
    with pytest.raises(ConfigError, match="correct or delete it"):
        settings.write_value("threads", "2")
    assert file.read_text() == "threads = "


def test_a_file_that_cannot_be_written_is_named(file: Path) -> None:
    file.parent.symlink_to(file.parent.parent / "nowhere" / "at all")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be written \(.*\); check its folder"):
        settings.write_value("threads", "2")


def test_all_settings_can_be_shown_with_value_source_and_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_THREADS", "2")
    shown = settings.load().to_dict()
    assert list(shown) == ["db", "model", "collection", "threads", "models", "log", "metrics", "codes_mb", "slow_ms"]
    assert shown["threads"] == {
        "value": 2,
        "source": "VSTORE_THREADS",
        "meaning": "threads of the embedding model; 0 for all cores",
    }
    assert isinstance(shown["db"]["value"], str)
