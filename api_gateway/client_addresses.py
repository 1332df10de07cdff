"""Who a client is by its address, through the proxies that are believed."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_PROXIES = 64
#: The most proxies that a request is followed back through.
MAX_HOPS = 32
#: Texts of which it is remembered what address they are; to find it out takes 3 us.
MAX_REMEMBERED = 4_096
MAX_ADDRESS_LENGTH = 64
#: A provider gives each customer at least so much of IPv6, and within it one has addresses without end.
IPV6_PREFIX = 64

_FORWARDED_FOR = b"x-forwarded-for"
# Some proxies add the port that the client called from.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


def parse_networks(text: str) -> tuple[Network, ...]:
    """The addresses and networks of a list with commas between. Raises ValueError."""
    names = [name.strip() for name in text.split(",")] if text else []
    if len(names) > MAX_PROXIES:
        raise ValueError(f"has {len(names)} entries; there may be {MAX_PROXIES}")
    return tuple(_network(name) for name in names)


class ClientAddresses:
    """Names the client of a request: its IPv4 address, or the /64 that its IPv6 address is in.

    X-Forwarded-For is read only from a peer that is trusted, from the right: the first address that is not one of
    the trusted proxies is the client. What is to the left of it anybody may have written.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._trusts = lru_cache(MAX_REMEMBERED)(self._is_in_a_trusted_network)

    def __call__(self, scope: Scope) -> str:
        peer, _port = scope["client"] or ("", 0)
        address = _address(peer)
        if address is None:  # a connection that broke before it was asked who it is
            return ""
        if self._trusts(address):
            for text in _forwarded_for(scope):
                named = _address(text)
                if named is None:  # the proxy does not tell; its clients are counted as one
                    break
                address = named
                if not self._trusts(address):
                    break
        return _counted_as(address)

    def _is_in_a_trusted_network(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded_for(scope: Scope) -> Iterator[str]:
    """The entries of the header fields, the last one first."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR]
    entries = ",".join(lines).rsplit(",", MAX_HOPS) if lines else []
    return (entry.strip() for entry in reversed(entries[-MAX_HOPS:]))


def _address(text: str) -> Address | None:
    """The address that a text names, with or without a port; None where it names none."""
    return _read(text) if len(text) <= MAX_ADDRESS_LENGTH else None


@lru_cache(MAX_REMEMBERED)
def _read(text: str) -> Address | None:
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address(text if found is None else found["v6"] or found["v4"] or "")
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(MAX_REMEMBERED)
def _counted_as(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))


def _network(name: str) -> Network:
    try:
        network = ip_network(name)
    except ValueError:
        raise ValueError(f"{name[:60]!r} is neither an address nor a network such as 10.0.0.0/8") from None
    if network.prefixlen == 0:
        raise ValueError(f"{name} is everybody, and whoever is trusted may say that it is somebody else")
    return network
