"""What fibonacci_service can be told."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.faults import ErrorCode, FaultSettings
from service_kit.setting_rules import needs
from service_kit.settings import CallingSettings, FileName, GrpcServiceSettings, Port, ServerName, Target


class Settings(FaultSettings, GrpcServiceSettings, CallingSettings):
    """Computes exact Fibonacci numbers over gRPC.

    Every flag is also an environment variable: --listen-port is FIBONACCI_LISTEN_PORT. A flag wins.
    """

    model_config = SettingsConfigDict(env_prefix="FIBONACCI_")

    fault_error_status: ErrorCode = Field("UNAVAILABLE", description="The gRPC status code of an injected error.")
    listen_port: Port = Field(5001, description="TCP port to listen on; 0 takes a free one and logs which.")
    metrics_port: Port = Field(9101, description="TCP port to serve metrics on; 0 takes a free one and logs which.")
    max_n: int = Field(10_000_000, ge=92, le=100_000_000, description="The largest index that is answered.")
    range_max_n: int = Field(1_000_000, ge=92, le=10_000_000, description="The largest index in a range.")
    workers: int = Field(
        0, ge=0, le=1024, description="Processes for long computations; 0 means one for each processor."
    )
    workers_max_queued_seconds: float = Field(
        2,
        ge=0,
        le=3600,
        description="A long computation may wait for a worker while those before it are predicted to be begun within "
        "this time; more are refused.",
    )
    max_lasting_calls: int = Field(
        1_000, ge=1, le=100_000, description="Streams, and calls that wait for a worker, at a time; more are refused."
    )
    worker_memory_bytes: int = Field(
        1 << 30, ge=128 << 20, le=1 << 40, description="Address space of a worker; a computation that needs more fails."
    )
    cache_bytes: int = Field(64 << 20, ge=0, le=64 << 30, description="Memory that the cache of values may hold.")
    stats_target: Target = Field("localhost:5002", description="gRPC target of stats_service.")
    stats_ca: FileName = Field("", description="PEM file of stats_service's authorities; with one it is called by TLS.")
    stats_server_name: Annotated[ServerName, needs("stats_ca")] = Field(
        "", description="Name that stats_service's certificate has to carry; without one, the host of the target."
    )
    stats_interval_seconds: float = Field(
        0.05, ge=0.001, le=60, description="How often what was answered is sent to stats_service."
    )
    stats_deadline_seconds: float = Field(
        2, ge=0.05, le=60, description="How long one attempt to send a batch may take before it is sent again."
    )
    stats_flush_seconds: float = Field(
        1, ge=0, le=600, description="How long a stopping service goes on trying to send what is left."
    )
    stats_max_pending: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="Different numbers that may wait to be sent, anew in each minute of an outage; more are dropped.",
    )
    stats_max_batch_age_seconds: float = Field(
        3600, ge=1, le=43_200, description="A batch that is still not acknowledged after this long is dropped."
    )
