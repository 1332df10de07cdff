import pytest

from fibonacci_service.settings import Settings
from service_kit.settings import load_settings
from tests import settings_bounds


def test_every_setting_has_a_description_and_every_number_bounds() -> None:
    assert settings_bounds.undescribed(Settings) == []
    assert settings_bounds.unbounded(Settings) == []


@pytest.mark.parametrize(("name", "value"), settings_bounds.just_outside(Settings))
def test_a_value_outside_its_bounds_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variable = f"FIBONACCI_{name.upper()}"
    monkeypatch.setenv(variable, value)

    assert f"{variable}='{value}'" in settings_bounds.refused(Settings, capsys)


@pytest.mark.parametrize("target", ["two words", "x" * 1_001])
def test_a_target_that_is_no_target_is_refused(capsys: pytest.CaptureFixture[str], target: str) -> None:
    assert "--stats-target=" in settings_bounds.refused(Settings, capsys, "--stats-target", target)


def test_the_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = settings_bounds.help_text(Settings, capsys)

    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert " ".join(str(field.description).split()) in text


def test_without_a_word_it_starts_beside_the_other_services() -> None:
    settings = load_settings(Settings, program="fibonacci_service", arguments=[])

    assert (settings.listen_host, settings.listen_port, settings.stats_target) == ("127.0.0.1", 5001, "localhost:5002")
