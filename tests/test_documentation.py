"""Every setting stands in the documents, as it is: its variable, flag, default, bounds and meaning."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from pydantic.fields import FieldInfo

import api_gateway.settings
import fibonacci_service.settings
import stats_service.settings
from deploy.local.run import defaults
from service_kit.settings import ServiceSettings

ROOT = Path(__file__).parent.parent
SERVICES: dict[str, type[ServiceSettings]] = {
    "api_gateway": api_gateway.settings.Settings,
    "fibonacci_service": fibonacci_service.settings.Settings,
    "stats_service": stats_service.settings.Settings,
}
TABLE_HEAD = "| Variable | Flag | Default | Bounds | Meaning |\n| --- | --- | --- | --- | --- |\n"

each_service = pytest.mark.parametrize("service", SERVICES)


def variable(service: str, name: str) -> str:
    return f"{SERVICES[service].prefix()}{name.upper()}"


def environment_lines(service: str) -> str:
    """The section of .env.example: for each setting its meaning and bounds, then its assignment, commented out."""
    return "\n".join(
        f"# {field.description} ({bounds(field)})\n#{variable(service, name)}={default(field)}\n"
        for name, field in SERVICES[service].model_fields.items()
    )


def table(service: str) -> str:
    """The table of docs/operations.md."""
    return TABLE_HEAD + "".join(
        f"| `{variable(service, name)}` | `--{name.replace('_', '-')}` | {quoted(default(field))} | {bounds(field)} "
        f"| {field.description} |\n"
        for name, field in SERVICES[service].model_fields.items()
    )


def quoted(text: str) -> str:
    return f"`{text}`" if text else ""


def default(field: FieldInfo) -> str:
    """As it is written in the environment."""
    return str(field.default).lower() if field.annotation is bool else str(field.default)


def bounds(field: FieldInfo) -> str:
    """What is allowed, in words; the form of a text is left to the description."""
    if choices := get_args(field.annotation):
        return ", ".join(choices)
    if field.annotation is bool:
        return "true, false"
    limits = {
        key: getattr(limit, key)
        for limit in field.metadata
        for key in ("ge", "le", "min_length", "max_length")
        if hasattr(limit, key)
    }
    if "max_length" in limits:
        return f"{limits.get('min_length', 0)} to {limits['max_length']} characters"
    return f"{limits['ge']} to {limits['le']}"


def section(document: str, heading: str) -> str:
    """What stands between a heading and the next one."""
    _, found, after = (ROOT / document).read_text(encoding="utf-8").partition(f"{heading}\n\n")
    assert found, f"{document} has no heading {heading!r}"
    return re.split(r"^##+ ", after, maxsplit=1, flags=re.MULTILINE)[0].rstrip("\n") + "\n"


@each_service
def test_env_example_shows_every_setting_with_its_default(service: str) -> None:
    assert section(".env.example", f"## {service}") == environment_lines(service)


@each_service
def test_operations_lists_every_setting_with_its_bounds(service: str) -> None:
    assert section("docs/operations.md", f"### {service}") == table(service)


@each_service
def test_compose_names_every_setting(service: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    named = re.findall(rf"^      ({SERVICES[service].prefix()}\w+):", text, flags=re.MULTILINE)
    assert named == [variable(service, name) for name in SERVICES[service].model_fields]


def test_operations_and_env_example_tell_what_compose_hands_through_for_traces() -> None:
    compose, example = ((ROOT / name).read_text(encoding="utf-8") for name in ("docker-compose.yml", ".env.example"))
    handed = set(re.findall(r"^  (OTEL_\w+):$", compose, flags=re.MULTILINE))

    assert handed
    told = set(re.findall(r"`(OTEL_[A-Z_]*[A-Z])`", section("docs/operations.md", "## Traces")))
    assert handed == told - {"OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT"}  # of which it is told that they are ignored
    assert handed == set(re.findall(r"^#(OTEL_\w+)=", example, flags=re.MULTILINE))


@each_service
def test_operations_tells_what_make_run_sets_otherwise(service: str) -> None:
    prefix = SERVICES[service].prefix()
    chosen = {
        f"`…_{name.removeprefix(prefix)}={value}`" for name, value in defaults().items() if name.startswith(prefix)
    }
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (chapter,) = re.findall(r"^## Run$(.+?)^## ", text, flags=re.MULTILINE | re.DOTALL)

    assert {name for name in chosen if not re.search("_(TARGET|FORMAT)=", name)} <= set(
        re.findall(r"`…_[^`]+`", chapter)
    )


def test_operations_begins_with_its_chapters_and_every_link_in_it_leads_to_a_heading() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    chapters = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)

    assert re.findall(r"^- \[([^]]+)\]\(#[a-z0-9-]+\): .+$", text, flags=re.MULTILINE) == chapters
    headings = {anchor(heading) for heading in re.findall(r"^##+ (.+)$", text, flags=re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_git_ignores_what_the_commands_of_the_documents_write(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    written = re.findall(r"(?:--output |--file=|backup save \S+ )([^\s/`]\S*)", text)
    git = shutil.which("git")
    if git is None:
        pytest.skip("NOT TESTED: .gitignore; no git on PATH")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run([git, "init", "--quiet", tmp_path], check=True)

    ask = [git, "check-ignore", *written]
    ignored = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.splitlines()

    assert {name.partition("/")[0] for name in written} >= {"backup", "copy.sqlite3", "copy.dump", "profile.svg"}
    assert [name for name in written if name not in ignored] == []


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
