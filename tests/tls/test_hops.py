"""Who is believed on which hop: the same certificates at both ends of each of the four."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.tls.authority import Authority
from tests.tls.hops import ADMITTED, HOPS, Ends

#: Long enough for a machine that is busy, where an answer is expected.
PATIENCE_SECONDS = 30.0
#: Long enough for several attempts to connect, where none is to succeed.
IMPATIENCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Authorities:
    """The one that both ends believe, and one that neither knows."""

    ours: Authority
    foreign: Authority


Change = Callable[[Ends, Authorities], Ends]

REFUSED: dict[str, Change] = {
    "a client without a certificate": lambda ends, _: replace(ends, client=None),
    "a client whose certificate has expired": lambda ends, by: replace(
        ends, client=by.ours.issue(ADMITTED, expired=True)
    ),
    "a client of a foreign authority": lambda ends, by: replace(ends, client=by.foreign.issue(ADMITTED)),
    "a client of another name": lambda ends, by: replace(ends, client=by.ours.issue("somebody")),
    "a server whose certificate has expired": lambda ends, by: replace(
        ends, server=by.ours.issue("localhost", expired=True)
    ),
    "a server of a foreign authority": lambda ends, by: replace(ends, server=by.foreign.issue("localhost")),
    "a server of another name": lambda ends, by: replace(ends, server=by.ours.issue("elsewhere")),
}

each_hop = pytest.mark.parametrize("hop", HOPS)


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    return Authorities(ours=Authority(tmp_path), foreign=Authority(tmp_path))


@pytest.fixture
def good(authorities: Authorities) -> Ends:
    ours = authorities.ours
    return Ends(
        server=ours.issue("localhost"),
        server_believes=ours.file,
        client=ours.issue(ADMITTED),
        client_believes=ours.file,
    )


@each_hop
async def test_two_ends_that_believe_each_other_talk(good: Ends, hop: str) -> None:
    assert await HOPS[hop](good, PATIENCE_SECONDS)


@each_hop
@pytest.mark.parametrize("fault", REFUSED)
async def test_nobody_talks_to(good: Ends, authorities: Authorities, hop: str, fault: str) -> None:
    assert not await HOPS[hop](REFUSED[fault](good, authorities), IMPATIENCE_SECONDS)
