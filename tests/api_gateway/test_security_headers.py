"""What answers tell a browser, over real connections to the real gateway."""

import asyncio
import base64
import hashlib
import re
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_gateway.app import running
from api_gateway.settings import Settings
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to
from tests.api_gateway.watching_neighbour import WatchingStats
from tests.tls.authority import Authority

OF_ANY_ANSWER = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


EACH_ONCE = {name: [value] for name, value in OF_ANY_ANSWER.items()}
PATHS = ("/fib?n=10", "/fib?n=abc", "/fib/batch?n=1", "/stats", "/livez", "/openapi.json", "/nowhere", "/docs/x")


def told(response: httpx.Response) -> dict[str, list[str]]:
    """Each of the fields, as often as it stands there."""
    return {name: response.headers.get_list(name) for name in OF_ANY_ANSWER}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", PATHS)
async def test_answers_and_problems_say_that_they_are_data(
    lasting_client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await lasting_client.request(method, path)
    assert told(response) == EACH_ONCE
    assert not {"strict-transport-security", "referrer-policy", "server"} & set(response.headers)


async def test_so_do_those_that_the_app_never_sees() -> None:
    async with gateway_to(WatchingStats(), rate_limit="3/day", cors_origins="*") as client:
        fresh = await client.get("/fib?n=10")
        answers = [
            fresh,
            await client.get("/fib?n=10", headers={"If-None-Match": fresh.headers["etag"]}),
            await client.post("/fib/batch", content=b"0" * 70_000),
            await client.options("/fib", headers={"Origin": "null", "Access-Control-Request-Method": "GET"}),
        ]
        async with client.stream("GET", "/stats/stream") as stream:
            answers.append(stream)
        answers.append(await client.get("/fib?n=10"))
    assert [answer.status_code for answer in answers] == [200, 304, 413, 200, 200, 429]
    for answer in answers:
        assert told(answer) == EACH_ONCE


async def test_so_does_the_answer_to_what_is_no_http() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"nonsense\r\n\r\n")
        head = (await reader.read()).partition(b"\r\n\r\n")[0].decode().splitlines()
        writer.close()
        await writer.wait_closed()
    assert set(head) >= {f"{name}: {value}" for name, value in OF_ANY_ANSWER.items()}


async def test_a_crash_says_so_too() -> None:
    async with gateway_to(TinyFibonacci(values={5_000: b"\xff"})) as client:
        response = await client.get("/fib?n=5000")
        assert (response.status_code, told(response)) == (500, EACH_ONCE)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_may_load_what_it_names_and_run_the_script_that_stands_in_it(
    lasting_client: httpx.AsyncClient, path: str
) -> None:
    response = await lasting_client.get(path)
    (policy,) = response.headers.get_list("content-security-policy")
    allowed = {name: sources.split() for name, _, sources in (each.partition(" ") for each in policy.split("; "))}
    scripts = re.findall(r'<script src="([^"]+)"', response.text)
    inline = [
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    ]
    linked = re.findall(r'href="([^"]+)"', response.text)
    styles = [url.partition("?")[0] for url in linked if "css" in url]
    assert scripts
    assert styles
    assert allowed["default-src"] == allowed["frame-ancestors"] == ["'none'"]
    assert allowed["script-src"] == [*scripts, *inline]
    assert allowed["style-src"] == [*styles, "'unsafe-inline'"]
    assert allowed["connect-src"] == ["'self'"]
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("settings", "told"), [({}, []), ({"hsts_seconds": 0}, []), ({"hsts_seconds": 300}, ["max-age=300"])]
)
async def test_with_tls_a_browser_is_told_to_keep_to_it_where_a_setting_says_so(
    tmp_path: Path, settings: dict[str, Any], told: list[str]
) -> None:
    ours = Authority(tmp_path)
    issued = ours.issue("localhost")
    listening: dict[str, Any] = {"tls_certificate": str(issued.certificate), "tls_key": str(issued.key)}
    async with (
        running(Settings(listen_port=0, drain_delay_seconds=0, **listening, **settings)) as port,
        httpx.AsyncClient(verify=ssl.create_default_context(cafile=ours.file)) as client,
    ):
        for path in ("/livez", "/nowhere", "/docs"):
            response = await client.get(f"https://localhost:{port}{path}")
            assert response.headers.get_list("strict-transport-security") == told
