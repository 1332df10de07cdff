"""What api_gateway can be told."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.settings import Port, ServiceSettings, Target


class Settings(ServiceSettings):
    """Serves exact Fibonacci numbers and their statistics over HTTP.

    Every flag is also an environment variable: --listen-port is GATEWAY_LISTEN_PORT. A flag wins.
    """

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    listen_port: Port = Field(3002, description="TCP port to listen on; 0 takes a free one and logs which.")
    fibonacci_target: Target = Field("localhost:5001", description="gRPC target of fibonacci_service.")
    stats_target: Target = Field("localhost:5002", description="gRPC target of stats_service.")
    deadline_seconds: float = Field(
        5,
        ge=0.05,
        le=600,
        description="How long a request may take, over all attempts to answer it; for a number that is sent in pieces, "
        "how long the first may take, and each of the others.",
    )
    max_waiting: int = Field(
        10_000, ge=1, le=1_000_000, description="Requests that may wait for fibonacci_service; more get 503."
    )
    max_streams: int = Field(
        100, ge=1, le=10_000, description="Readers that /stats/stream may have at a time; more get 503."
    )
    reuse_port: bool = Field(
        False,
        description="Whether other gateways that say so too may listen on the same port, which shares connections out.",
    )
