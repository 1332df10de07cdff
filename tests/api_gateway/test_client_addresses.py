import pytest

from api_gateway.client_addresses import MAX_HOPS, MAX_PROXIES, ClientAddresses, parse_networks
from api_gateway.settings import Settings
from tests.settings_bounds import refused

TRUSTED = "10.0.0.0/8, 2001:db8:f::/48,::1"


def client(peer: str, *forwarded_for: str, trusted: str = TRUSTED) -> str:
    """Who has sent a request that came from this peer, with these header fields."""
    headers = [(b"host", b"gateway"), *((b"x-forwarded-for", line.encode("latin-1")) for line in forwarded_for)]
    return ClientAddresses(parse_networks(trusted))({"client": (peer, 1), "headers": headers})


@pytest.mark.parametrize("forwarded_for", ["198.51.100.7", "198.51.100.7, 10.0.0.1", "", "nonsense", "2001:db8::1"])
@pytest.mark.parametrize("trusted", [TRUSTED, ""])
def test_a_peer_that_is_not_trusted_is_the_client_whatever_it_says(forwarded_for: str, trusted: str) -> None:
    assert client("203.0.113.9", forwarded_for, trusted=trusted) == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded_for", "expected"),
    [
        (("198.51.100.7",), "198.51.100.7"),
        (("192.0.2.1, 198.51.100.7",), "198.51.100.7"),
        (("192.0.2.1,198.51.100.7,10.9.9.9,  10.1.1.1 ",), "198.51.100.7"),
        (("192.0.2.1", "198.51.100.7", "10.9.9.9"), "198.51.100.7"),
        (("198.51.100.7:50000",), "198.51.100.7"),
        (("[2001:db8:1:2::7]:50000",), "2001:db8:1:2::/64"),
        (("[2001:db8:1:2::7]",), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::7, 2001:db8:f::1",), "2001:db8:1:2::/64"),
        (("::ffff:198.51.100.7, ::ffff:10.0.0.2",), "198.51.100.7"),
    ],
)
def test_from_a_trusted_peer_the_last_address_that_is_no_trusted_proxy_is_the_client(
    forwarded_for: tuple[str, ...], expected: str
) -> None:
    assert client("10.0.0.1", *forwarded_for) == expected


def test_where_every_address_is_a_trusted_proxy_the_first_of_them_is_the_client() -> None:
    assert client("10.0.0.1") == "10.0.0.1"
    assert client("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize(
    "entry",
    [
        "unknown",
        "_hidden",
        "",
        " ",
        "198.51.100.7.5",
        "198.51.100.256",
        "198.51.100.007",
        "[::1",
        "1.2.3.4:",
        "\xe9",
        "1" * 9_000,
    ],
)
def test_where_a_proxy_names_no_address_it_is_counted_itself(entry: str) -> None:
    assert client("10.0.0.1", f"192.0.2.1, {entry}") == "10.0.0.1"
    assert client("10.0.0.1", f"192.0.2.1, {entry}, 10.0.0.2") == "10.0.0.2"


def test_a_request_is_followed_back_through_so_many_proxies_and_no_further() -> None:
    assert client("10.0.0.1", ", ".join(["192.0.2.1"] + ["10.0.0.2"] * (MAX_HOPS - 1))) == "192.0.2.1"
    assert client("10.0.0.1", ", ".join(["192.0.2.1"] + ["10.0.0.2"] * MAX_HOPS)) == "10.0.0.2"
    assert client("10.0.0.1", ", ".join(["192.0.2.1"] * 3_000 + ["10.0.0.2"] * MAX_HOPS)) == "10.0.0.2"


@pytest.mark.parametrize("peer", ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::5%eth0"])
def test_ipv6_clients_are_counted_by_their_64(peer: str) -> None:
    assert client(peer) == "2001:db8:1:2::/64"
    assert client("2001:db8:1:3::1") == "2001:db8:1:3::/64"


def test_an_ipv4_address_is_the_same_client_by_ipv6() -> None:
    assert client("::ffff:203.0.113.9") == client("203.0.113.9") == "203.0.113.9"
    assert client("::ffff:10.0.0.1", "198.51.100.7") == "198.51.100.7"


def test_a_connection_that_broke_before_it_was_asked_who_it_is_has_no_address() -> None:
    assert ClientAddresses(())({"client": None, "headers": []}) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("proxy", "'proxy' is neither an address nor a network such as 10.0.0.0/8"),
        ("10.0.0.1,", "'' is neither"),
        ("10.0.0.1/8", "is neither"),
        ("10.0.0.0/33", "is neither"),
        ("*", "is neither"),
        ("0.0.0.0/0", "is everybody"),
        ("10.0.0.1, ::/0", "is everybody"),
        (",".join(["::1"] * (MAX_PROXIES + 1)), f"there may be {MAX_PROXIES}"),
    ],
)
def test_what_is_no_list_of_addresses_and_networks_is_refused(
    capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    line = refused(Settings, capsys, "--trusted-proxies", text)
    assert "--trusted-proxies=" in line
    assert reason in line
