"""What api_gateway can be told."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from api_gateway.client_addresses import parse_networks
from api_gateway.origins import parse_origins
from api_gateway.rates import parse_rates
from service_kit.faults import FaultSettings
from service_kit.setting_rules import needs, read_by
from service_kit.settings import CallingSettings, FileName, Port, ServerName, Target


class Settings(FaultSettings, CallingSettings):
    """Serves exact Fibonacci numbers and their statistics over HTTP.

    Every flag is also an environment variable: --listen-port is GATEWAY_LISTEN_PORT. A flag wins.
    """

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    fault_error_status: int = Field(503, ge=400, le=599, description="The HTTP status of an injected error.")
    listen_port: Port = Field(3002, description="TCP port to listen on; 0 takes a free one and logs which.")
    fibonacci_target: Target = Field("localhost:5001", description="gRPC target of fibonacci_service.")
    fibonacci_ca: FileName = Field(
        "", description="PEM file of fibonacci_service's authorities; with one it is called by TLS."
    )
    fibonacci_server_name: Annotated[ServerName, needs("fibonacci_ca")] = Field(
        "", description="Name that fibonacci_service's certificate has to carry; without one, the host of the target."
    )
    stats_target: Target = Field("localhost:5002", description="gRPC target of stats_service.")
    stats_ca: FileName = Field("", description="PEM file of stats_service's authorities; with one it is called by TLS.")
    stats_server_name: Annotated[ServerName, needs("stats_ca")] = Field(
        "", description="Name that stats_service's certificate has to carry; without one, the host of the target."
    )
    deadline_seconds: float = Field(
        5,
        ge=0.05,
        le=600,
        description="How long a request may take, over all attempts to answer it; for a number that is sent in pieces, "
        "how long the first may take, and each of the others.",
    )
    max_deadline_seconds: int = Field(
        60, ge=1, le=3600, description="The longest that X-Request-Timeout-Ms may say instead."
    )
    max_connections: int = Field(
        900, ge=1, le=1_000_000, description="HTTP connections that may be open at once; more get 503."
    )
    max_in_flight: int = Field(
        512, ge=1, le=1_000_000, description="Requests that may be in flight at once, streams too; more get 503."
    )
    receive_timeout_seconds: float = Field(
        8,
        ge=0.1,
        le=3600,
        description="How long a request may take to arrive, from when its connection is free for it.",
    )
    send_timeout_seconds: float = Field(
        8, ge=0.1, le=3600, description="How long a client may take to read 64 KiB of an answer."
    )
    max_waiting: int = Field(
        10_000, ge=1, le=1_000_000, description="Requests that may wait for fibonacci_service; more get 503."
    )
    max_streams: int = Field(
        100, ge=1, le=10_000, description="Readers that /stats/stream may have at a time; more get 503."
    )
    rate_limit: Annotated[str, read_by(parse_rates)] = Field(
        "",
        max_length=200,
        description="How often a client may ask, by its address, such as 100/second,5000/minute; without one, as often "
        "as it likes.",
    )
    trusted_proxies: Annotated[str, read_by(parse_networks)] = Field(
        "",
        max_length=2000,
        description="Addresses and networks, with commas between, of the proxies whose X-Forwarded-For is believed.",
    )
    cors_origins: Annotated[str, read_by(parse_origins)] = Field(
        "",
        max_length=2000,
        description="Origins, with commas between, whose pages may read the answers, such as https://app.example.org; "
        "* is every origin.",
    )
    hsts_seconds: Annotated[int, needs("tls_certificate")] = Field(
        0,
        ge=0,
        le=63_072_000,
        description="For how long a browser that came by TLS comes to this host by TLS only; 0 does not say so.",
    )
    reuse_port: bool = Field(
        False,
        description="Whether other gateways that say so too may listen on the same port, which shares connections out.",
    )
