"""The gateway with a certificate, and its clients with theirs."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from api_gateway.app import running
from api_gateway.settings import Settings
from tests.tls.authority import Authority, Issued


def context(ours: Authority, shown: Issued | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ours.file)
    if shown is not None:
        made.load_cert_chain(shown.certificate, shown.key)
    return made


@asynccontextmanager
async def serving(
    ours: Authority, *, client_ca: str = "", names: str = "", receive_timeout_seconds: float = 8
) -> AsyncIterator[str]:
    issued = ours.issue("localhost")
    settings = Settings(
        listen_port=0,
        drain_delay_seconds=0,
        receive_timeout_seconds=receive_timeout_seconds,
        tls_certificate=str(issued.certificate),
        tls_key=str(issued.key),
        tls_client_ca=client_ca,
        tls_client_names=names,
    )
    async with running(settings) as port:
        yield f"https://localhost:{port}"


@asynccontextmanager
async def client_of(url: str, verify: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, verify=verify, timeout=30) as client:
        yield client
