"""Every certificate and every authority is replaced, under load, and no request fails."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service_kit import tls
from tests.tls import hops
from tests.tls.authority import Authority, Issued

NAMES = ("client", "gateway", "fibonacci", "stats")
#: What listens: three services. What calls: two channels of the gateway, one of fibonacci_service.
LISTENING, CALLING = 3, 3


@dataclass(frozen=True, slots=True)
class Chain:
    """All three services by mTLS, and what each shows and believes, in files that a test replaces."""

    url: str
    believed: Path
    shown: dict[str, Issued]

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.believed)
        context.load_cert_chain(self.shown["client"].certificate, self.shown["client"].key)
        return context

    def replace_shown(self, authority: Authority) -> None:
        for name, issued in self.shown.items():
            issued.replace_by(authority.issue("localhost", name))

    def spoil_keys(self) -> None:
        for issued in self.shown.values():
            issued.key.write_bytes(b"no key at all")


def believe(believed: Path, *authorities: Authority) -> None:
    believed.write_bytes(b"".join(authority.file.read_bytes() for authority in authorities))


@asynccontextmanager
async def chained(authority: Authority, believed: Path) -> AsyncIterator[Chain]:
    believe(believed, authority)
    shown = {name: authority.issue("localhost", name) for name in NAMES}

    def settings(name: str, *callees: str, **targets: str) -> dict[str, Any]:
        ends = hops.Ends(server=shown[name], server_believes=believed, client=shown[name], client_believes=believed)
        calling = {setting: value for callee in callees for setting, value in ends.calling(callee).items()}
        return {**ends.listening(), "tls_client_names": ",".join(NAMES), **calling, **targets}

    async with AsyncExitStack() as stack:
        stats = await stack.enter_async_context(hops.stats(**settings("stats")))
        stats_target = f"localhost:{stats}"
        fibonacci = await stack.enter_async_context(
            hops.fibonacci(**settings("fibonacci", "stats", stats_target=stats_target))
        )
        fibonacci_target = f"localhost:{fibonacci}"
        gateway = await stack.enter_async_context(
            hops.gateway(
                **settings(
                    "gateway", "fibonacci", "stats", fibonacci_target=fibonacci_target, stats_target=stats_target
                )
            )
        )
        yield Chain(f"https://localhost:{gateway}", believed, shown)


async def ask(client: httpx.AsyncClient, answered: Counter[str]) -> None:
    """A number, a dear one, and the account; whatever is no answer is counted by its name."""
    for path in ("/fib?n=10", "/fib?n=2000", "/stats"):
        try:
            answered[str((await client.get(path)).status_code)] += 1
        except httpx.TransportError as error:
            answered[repr(error)] += 1


async def ask_until(ended: asyncio.Event, chain: Chain, answered: Counter[str], *, kept: bool) -> None:
    """Over one connection that is kept, or over a new one each time."""
    while not ended.is_set():
        async with httpx.AsyncClient(base_url=chain.url, verify=chain.context(), timeout=30) as client:
            await ask(client, answered)
            while kept and not ended.is_set():
                await ask(client, answered)


@asynccontextmanager
async def load(chain: Chain) -> AsyncIterator[Counter[str]]:
    answered: Counter[str] = Counter()
    ended = asyncio.Event()
    tasks = [asyncio.create_task(ask_until(ended, chain, answered, kept=kept)) for kept in (True, False)]
    try:
        yield answered
    finally:
        ended.set()  # not cancelled: httpx would leave a socket open
        await asyncio.gather(*tasks)


async def all_took_over(lines: list[Any], times: int, answered: Counter[str]) -> None:
    """Returns when every end has new files for so many times, and after twenty more answers."""
    async with asyncio.timeout(45):
        while True:
            events = Counter(line["event"] for line in lines)
            if (
                events["tls.reloaded"] == times * (LISTENING + CALLING)
                and events["channel.replaced"] == times * CALLING
            ):
                break
            await asyncio.sleep(0.02)
        enough = answered["200"] + 20
        while answered["200"] < enough and set(answered) <= {"200"}:  # noqa: ASYNC110 - the load has no event
            await asyncio.sleep(0.02)


async def test_an_authority_and_all_its_certificates_are_replaced_and_no_request_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.05)
    old, new = Authority(tmp_path), Authority(tmp_path)
    with capture_logs() as lines:
        async with chained(old, tmp_path / "believed.pem") as chain, load(chain) as answered:
            await all_took_over(lines, 0, answered)
            believe(chain.believed, old, new)
            await all_took_over(lines, 1, answered)
            chain.replace_shown(new)
            await all_took_over(lines, 2, answered)
            believe(chain.believed, new)
            await all_took_over(lines, 3, answered)
            left_out = await asked_by(chain, believed=new, shown=old.issue("client"))

    assert set(answered) == {"200"}
    assert left_out is None
    assert [line for line in lines if line["log_level"] in ("warning", "error")] == []


async def asked_by(chain: Chain, *, believed: Authority, shown: Issued) -> int | None:
    """The status of the answer that a client gets, if it gets one."""
    context = ssl.create_default_context(cafile=believed.file)
    context.load_cert_chain(shown.certificate, shown.key)
    async with httpx.AsyncClient(base_url=chain.url, verify=context) as client:
        try:
            return (await client.get("/livez")).status_code
        except (httpx.TransportError, ssl.SSLError):
            return None


async def test_a_bad_new_file_is_logged_and_the_old_certificate_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.02)
    ours = Authority(tmp_path)
    with capture_logs() as lines:
        async with chained(ours, tmp_path / "believed.pem") as chain:
            context = chain.context()
            chain.spoil_keys()
            async with asyncio.timeout(30):
                while sum(line["event"] == "tls.refused" for line in lines) < LISTENING + CALLING:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=chain.url, verify=context, timeout=30) as client:
                answers = [(await client.get(path)).status_code for path in ("/fib?n=10", "/stats")]

    assert answers == [200, 200]
    assert {line["error"].partition("=")[0] for line in lines if line["event"] == "tls.refused"} == {
        "GATEWAY_TLS_KEY",
        "GATEWAY_CALL_KEY",
        "FIBONACCI_TLS_KEY",
        "FIBONACCI_CALL_KEY",
        "STATS_TLS_KEY",
    }
