import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509

from deploy.local.certificates import CLIENT, SERVICES, make
from service_kit.settings import ServiceSettings, unknown_variables
from tests.test_documentation import SERVICES as SETTINGS


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "with a space" / "certs"
    make(directory)
    return directory


def names(certificate: Path) -> set[str]:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    return {str(name.value) for name in loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value}


def test_it_makes_an_authority_the_services_a_client_and_their_settings(made: Path) -> None:
    pairs = {f"{name}.{kind}" for name in ("ca", CLIENT, *SERVICES) for kind in ("pem", "key")}

    assert {path.name for path in made.iterdir()} == pairs | {"tls.env"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_own_name_and_those_of_this_machine(made: Path, service: str) -> None:
    assert names(made / f"{service}.pem") == {service.replace("_", "-"), "localhost", "127.0.0.1", "::1"}


def test_only_its_owner_reads_a_key(made: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.glob("*.key")}

    assert modes == {0o600}


def test_a_certificate_is_good_for_a_year(made: Path) -> None:
    certificate = x509.load_pem_x509_certificate((made / "api_gateway.pem").read_bytes())
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)

    assert dt.timedelta(days=364) < left <= dt.timedelta(days=365)


def test_a_second_time_the_authority_stays_and_the_rest_is_new(made: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    make(made)
    kept = {path.name for path in made.iterdir() if path.read_bytes() == before[path.name]}

    assert kept == {"ca.pem", "ca.key", "tls.env"}


@pytest.mark.parametrize("settings_type", SETTINGS.values())
def test_its_settings_are_settings(made: Path, settings_type: type[ServiceSettings]) -> None:
    lines = (made / "tls.env").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines)

    assert any(name.startswith(settings_type.prefix()) for name in given)
    assert unknown_variables(settings_type, given) == {}
