"""Makes certificates for development: an authority of one's own, one for each service and one for a client.

`python -m deploy.local.certificates DIRECTORY` keeps the authority that is there and replaces what it issued before.
Whoever has its key can be any of the services: it is not for production.
"""

import argparse
import datetime as dt
import os
import shlex
from pathlib import Path

import trustme

LIFETIME = dt.timedelta(days=365)
SERVICES = ("api_gateway", "fibonacci_service", "stats_service")
CLIENT = "client"
#: Where the services are on one machine.
ADDRESSES = ("localhost", "127.0.0.1", "::1")

#: Every hop by mTLS, and each service open only to those that call it. A browser that has been to the gateway is not
#: told to keep to TLS: it would for whatever else runs on localhost.
SETTINGS = """\
GATEWAY_TLS_CERTIFICATE={0}/api_gateway.pem
GATEWAY_TLS_KEY={0}/api_gateway.key
GATEWAY_TLS_CLIENT_CA={0}/ca.pem
GATEWAY_HSTS_SECONDS=0
GATEWAY_CALL_CERTIFICATE={0}/api_gateway.pem
GATEWAY_CALL_KEY={0}/api_gateway.key
GATEWAY_FIBONACCI_CA={0}/ca.pem
GATEWAY_FIBONACCI_SERVER_NAME=fibonacci-service
GATEWAY_STATS_CA={0}/ca.pem
GATEWAY_STATS_SERVER_NAME=stats-service
FIBONACCI_TLS_CERTIFICATE={0}/fibonacci_service.pem
FIBONACCI_TLS_KEY={0}/fibonacci_service.key
FIBONACCI_TLS_CLIENT_CA={0}/ca.pem
FIBONACCI_TLS_CLIENT_NAMES=api-gateway
FIBONACCI_CALL_CERTIFICATE={0}/fibonacci_service.pem
FIBONACCI_CALL_KEY={0}/fibonacci_service.key
FIBONACCI_STATS_CA={0}/ca.pem
FIBONACCI_STATS_SERVER_NAME=stats-service
STATS_TLS_CERTIFICATE={0}/stats_service.pem
STATS_TLS_KEY={0}/stats_service.key
STATS_TLS_CLIENT_CA={0}/ca.pem
STATS_TLS_CLIENT_NAMES=api-gateway,fibonacci-service
"""


def make(directory: Path) -> None:
    """Writes `ca`, the services and `client`, each as .pem and .key, and `tls.env` with the settings that use them."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = _authority(directory)
    expires = dt.datetime.now(dt.UTC) + LIFETIME
    for service in SERVICES:
        name = service.replace("_", "-")  # a name in the DNS has no underscore
        _write(directory, service, authority.issue_cert(name, *ADDRESSES, common_name=name, not_after=expires))
    _write(directory, CLIENT, authority.issue_cert(CLIENT, common_name=CLIENT, not_after=expires))
    _replace(directory / "tls.env", SETTINGS.format(shlex.quote(str(directory.resolve()))).encode(), mode=0o644)


def _authority(directory: Path) -> trustme.CA:
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    authority = trustme.CA(organization_name="exact-fibonacci development")
    _replace(key, authority.private_key_pem.bytes(), mode=0o600)
    _replace(certificate, authority.cert_pem.bytes(), mode=0o644)
    return authority


def _write(directory: Path, name: str, issued: trustme.LeafCert) -> None:
    _replace(directory / f"{name}.key", issued.private_key_pem.bytes(), mode=0o600)
    _replace(directory / f"{name}.pem", b"".join(pem.bytes() for pem in issued.cert_chain_pems), mode=0o644)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    """At one instant: whoever reads it finds the old file or the new one."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.certificates", description=__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    make(directory)
    print(f"Made. All hops by TLS:\n\n    set -a; . {directory}/tls.env; set +a; make run\n")


if __name__ == "__main__":
    main()
