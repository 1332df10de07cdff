"""docker-compose.yml as it is written: what its profile adds, and that the observers look where the services are."""

import re
from pathlib import Path

import pytest

from tests.prometheus import CONFIGURATION, ROOT, read

COMPOSE = read(ROOT / "docker-compose.yml")
SERVICES = {"api_gateway", "fibonacci_service", "stats_service"}
OBSERVERS = {"prometheus", "grafana", "jaeger"}
GRAFANA = ROOT / "deploy" / "grafana"

each_observer = pytest.mark.parametrize("observer", sorted(OBSERVERS))


def mounted(service: str) -> dict[str, Path]:
    """By its path in the container, what it sees of this repository."""
    volumes = [volume.split(":") for volume in COMPOSE["services"][service].get("volumes", [])]
    return {volume[1]: ROOT / volume[0] for volume in volumes if volume[0].startswith("./")}


def test_without_a_profile_there_are_the_three_services_and_nothing_else() -> None:
    profiles = {name: tuple(service.get("profiles", ())) for name, service in COMPOSE["services"].items()}

    assert profiles == dict.fromkeys(SERVICES, ()) | dict.fromkeys(OBSERVERS, ("observability",))


@each_observer
def test_an_observer_is_of_one_version_has_no_rights_and_is_published_to_this_machine_alone(observer: str) -> None:
    service = COMPOSE["services"][observer]

    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert all(port.startswith("${PUBLISHED_ADDRESS:-127.0.0.1}:") for port in service["ports"])


@each_observer
def test_an_observer_tells_whether_it_is_ready(observer: str) -> None:
    """So `up --wait` waits for it. wget is what its image has."""
    *command, url = COMPOSE["services"][observer]["healthcheck"]["test"]

    assert command == ["CMD", "wget", "-q", "-O", "/dev/null"]
    assert url.startswith("http://127.0.0.1:")


def test_whoever_looks_on_in_grafana_may_explore_and_save_nothing() -> None:
    environment = COMPOSE["services"]["grafana"]["environment"]

    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_USERS_VIEWERS_CAN_EDIT"] == "true"


@each_observer
def test_what_an_observer_mounts_is_in_the_repository_and_read_only(observer: str) -> None:
    assert all(folder.is_dir() for folder in mounted(observer).values())
    written = [volume for volume in COMPOSE["services"][observer].get("volumes", []) if not volume.endswith(":ro")]
    assert all(volume.partition(":")[0] in COMPOSE["volumes"] for volume in written)


def test_prometheus_scrapes_the_ports_at_which_compose_has_the_services_tell() -> None:
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in read(CONFIGURATION)["scrape_configs"]}
    variables = {
        "api_gateway": "GATEWAY_LISTEN",
        "fibonacci_service": "FIBONACCI_METRICS",
        "stats_service": "STATS_METRICS",
    }
    for name, variable in variables.items():
        environment = COMPOSE["services"][name]["environment"]
        assert targets.pop(name) == [f"{name}:{environment[f'{variable}_PORT']}"]
        assert environment[f"{variable}_HOST"] == "0.0.0.0"  # noqa: S104 - inside a container
    assert targets == {}


def test_prometheus_starts_with_the_configuration_that_is_tested() -> None:
    [(inside, folder)] = mounted("prometheus").items()

    assert folder / CONFIGURATION.name == CONFIGURATION
    assert f"--config.file={inside}/{CONFIGURATION.name}" in COMPOSE["services"]["prometheus"]["command"]


def test_grafana_is_provisioned_with_the_dashboard_and_where_its_queries_go() -> None:
    [provider] = read(GRAFANA / "provisioning" / "dashboards" / "exact-fibonacci.yml")["providers"]
    sources = {
        source["type"]: source["url"]
        for source in read(GRAFANA / "provisioning" / "datasources" / "observability.yml")["datasources"]
    }

    assert mounted("grafana")["/etc/grafana/provisioning"] == GRAFANA / "provisioning"
    assert mounted("grafana")[provider["options"]["path"]] == GRAFANA / "dashboards"
    assert sources == {"prometheus": "http://prometheus:9090", "jaeger": "http://jaeger:16686"}
