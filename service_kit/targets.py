"""What a gRPC target may look like. gRPC takes any text, and never connects to what is none."""

import ipaddress
import re

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_PORT = re.compile(r"[0-9]{1,5}")
#: Those whose rest is a path, a name or another program's to read.
_OPAQUE = frozenset({"google-c2p", "unix", "unix-abstract", "vsock", "xds"})
MAX_PORT = 65535


def check_target(target: str) -> None:
    """Raises ValueError for what no address can come of.

    `HOST:PORT`, `dns:HOST:PORT`, `dns:///HOST:PORT`, `ipv4:ADDRESS:PORT,…`, `ipv6:[ADDRESS]:PORT,…` and `unix:PATH`;
    without a port a name has gRPC's own, 443.
    """
    found = _SCHEME.fullmatch(target)
    scheme, rest = (found["scheme"].lower(), found["rest"]) if found else ("", target)
    if scheme in ("ipv4", "ipv6"):
        for address in rest.removeprefix("///").split(","):
            _check_address(address, version=int(scheme[-1]))
    elif scheme == "dns":
        _check_name(re.sub(r"^//[^/]*/|^/", "", rest))
    elif scheme not in _OPAQUE:
        _check_name(target)
    elif not rest.strip("/"):
        raise ValueError(f"names nothing behind {scheme}:")


def _check_name(text: str) -> None:
    """A name or an address; more colons than one are those of an IPv6 address."""
    host, port = _split(text)
    if not (_HOST.fullmatch(host) or _version(host)):
        raise ValueError("is not written like localhost:5001")
    if port is not None:
        _check_port(port)


def _check_address(text: str, *, version: int) -> None:
    host, port = _split(text)
    if _version(host) != version or port is None:
        example = "10.0.0.1:5001" if version == 4 else "[::1]:5001"  # noqa: PLR2004 - of the protocol
        raise ValueError(f"is not written like ipv{version}:{example}")
    _check_port(port)


def _check_port(port: str) -> None:
    if not (_PORT.fullmatch(port) and int(port) <= MAX_PORT):
        raise ValueError(f"has the port {port[:20]!r}")


def _split(text: str) -> tuple[str, str | None]:
    """Host and port, as gRPC tells them apart."""
    if text.startswith("["):
        host, closed, behind = text[1:].partition("]")
        if closed and (not behind or behind.startswith(":")):
            return host, behind[1:] if behind else None
        return text, None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _version(host: str) -> int | None:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None
