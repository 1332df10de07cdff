from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Le

from fibonacci_service.settings import Settings as Sender
from service_kit.settings import ServiceSettings, load_settings
from stats_service.settings import Settings
from tests import settings_bounds


def test_every_setting_has_a_description_and_every_number_bounds() -> None:
    assert settings_bounds.undescribed(Settings) == []
    assert settings_bounds.unbounded(Settings) == []


@pytest.mark.parametrize(("name", "value"), settings_bounds.just_outside(Settings))
def test_a_value_outside_its_bounds_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variable = f"STATS_{name.upper()}"
    monkeypatch.setenv(variable, value)

    assert f"{variable}='{value}'" in settings_bounds.refused(Settings, capsys)


def test_a_source_is_remembered_for_as_long_as_its_last_batch_may_be_sent_again() -> None:
    assert bound(Settings, "source_retention_seconds", Ge).ge > bound(Sender, "stats_max_batch_age_seconds", Le).le


def bound(settings_type: type[ServiceSettings], name: str, kind: type[Any]) -> Any:
    return next(each for each in settings_type.model_fields[name].metadata if isinstance(each, kind))


@pytest.mark.parametrize("url", ["", "stats.sqlite3", "sqlite:///", "sqlite://x", "memory", "mysql://localhost/stats"])
def test_a_database_of_no_known_kind_is_refused(capsys: pytest.CaptureFixture[str], url: str) -> None:
    line = settings_bounds.refused(Settings, capsys, "--database-url", url)
    assert f"--database-url='{url}'" in line
    assert "has to be sqlite:///PATH, postgresql://" in line or not url


def test_an_empty_database_url_does_not_mean_the_file_of_the_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATS_DATABASE_URL", "")

    assert settings_bounds.refused(Settings, capsys).startswith("the_service: STATS_DATABASE_URL='': ")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///stats.sqlite3", f"sqlite:///{Path.cwd()}/stats.sqlite3"),
        ("sqlite:////var/lib/stats.sqlite3", "sqlite:////var/lib/stats.sqlite3"),
        ("postgresql://user:secret@host/stats", "postgresql://user:...@host/stats"),
        ("memory:", "memory:"),
    ],
)
def test_the_database_is_shown_from_the_root_and_without_its_password(url: str, shown: str) -> None:
    assert Settings(database_url=url).shown_database_url == shown


@pytest.mark.parametrize("url", ["postgres://user:secret@host/stats", "postgresql:user:sec@ret@host/stats"])
def test_a_refused_database_is_told_without_its_password(capsys: pytest.CaptureFixture[str], url: str) -> None:
    line = settings_bounds.refused(Settings, capsys, "--database-url", url)

    assert ":...@host/stats" in line
    assert "sec" not in line


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/stats.sqlite3", Path("data/stats.sqlite3")),
        ("sqlite:////var/lib/stats.sqlite3", Path("/var/lib/stats.sqlite3")),
        ("memory:", None),
        ("postgresql://localhost/stats", None),
    ],
)
def test_the_database_is_a_file_or_elsewhere(url: str, path: Path | None) -> None:
    assert load_settings(Settings, program="stats_service", arguments=["--database-url", url]).sqlite_path == path


def test_the_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = settings_bounds.help_text(Settings, capsys)

    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert " ".join(str(field.description).split()) in text


def test_without_a_word_it_keeps_a_file_and_listens_where_fibonacci_service_looks() -> None:
    settings = load_settings(Settings, program="stats_service", arguments=[])

    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 5002)
    assert settings.sqlite_path == Path("data/stats.sqlite3")
