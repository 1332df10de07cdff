"""What holds for the settings of every service."""

from collections.abc import Iterator
from typing import Any

import pytest

from service_kit.settings import ServiceSettings, load_settings


def undescribed(settings_type: type[ServiceSettings]) -> list[str]:
    return [name for name, field in settings_type.model_fields.items() if not field.description]


def unbounded(settings_type: type[ServiceSettings]) -> list[str]:
    """The numbers without a least and a greatest value."""
    numbers = ((name, field) for name, field in settings_type.model_fields.items() if field.annotation in (int, float))
    return [name for name, field in numbers if {"ge", "le"} - {bound for bound, _ in _bounds(field.metadata)}]


def just_outside(settings_type: type[ServiceSettings]) -> list[tuple[str, str]]:
    """Every bounded setting with a value next to its bound, on the wrong side."""
    steps = {"ge": -1, "le": 1}
    return [
        (name, str(value + steps[bound]))
        for name, field in settings_type.model_fields.items()
        for bound, value in _bounds(field.metadata)
    ]


def _bounds(metadata: list[Any]) -> Iterator[tuple[str, Any]]:
    for constraint in metadata:
        for bound in ("ge", "le"):
            if hasattr(constraint, bound):
                yield bound, getattr(constraint, bound)


def refused(settings_type: type[ServiceSettings], capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a start with such arguments ends with."""
    with pytest.raises(SystemExit) as caught:
        load_settings(settings_type, program="the_service", arguments=arguments)
    output, line = capsys.readouterr()
    assert (caught.value.code, output) == (2, "")
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    return line


def help_text(settings_type: type[ServiceSettings], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        load_settings(settings_type, program="the_service", arguments=["--help"])
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.split())
