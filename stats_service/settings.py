"""What stats_service can be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.setting_rules import read_by
from service_kit.settings import GrpcServiceSettings, Port, without_password

_SQLITE, _POSTGRESQL, _MEMORY = "sqlite:///", "postgresql://", "memory:"


def _check_database_url(url: str) -> None:
    if url != _MEMORY and not any(url.startswith(kind) and url != kind for kind in (_SQLITE, _POSTGRESQL)):
        raise ValueError(f"has to be {_SQLITE}PATH, {_POSTGRESQL}USER:PASSWORD@HOST:PORT/DATABASE or {_MEMORY}")


class Settings(GrpcServiceSettings):
    """Keeps the account of every answered Fibonacci number over gRPC.

    Every flag is also an environment variable: --listen-port is STATS_LISTEN_PORT. A flag wins.
    """

    model_config = SettingsConfigDict(env_prefix="STATS_")

    listen_port: Port = Field(5002, description="TCP port to listen on; 0 takes a free one and logs which.")
    metrics_port: Port = Field(9102, description="TCP port to serve metrics on; 0 takes a free one and logs which.")
    database_url: Annotated[str, read_by(_check_database_url)] = Field(
        "sqlite:///data/stats.sqlite3",
        min_length=1,
        max_length=1000,
        description="Where the account is kept: sqlite:///PATH (sqlite:////PATH from the root), "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (and ?sslmode=require for TLS), or memory:",
    )
    max_numbers: int = Field(
        1_000_000,
        ge=1_000,
        le=100_000_000,
        description="Different numbers that have a row of their own; the least used beyond share one.",
    )
    max_histograms: int = Field(
        10_000, ge=0, le=1_000_000, description="The busiest numbers, for which a histogram of the times is kept."
    )
    max_watchers: int = Field(
        1_000, ge=0, le=100_000, description="Clients that may watch the account at once; more are refused."
    )
    source_retention_seconds: float = Field(
        86_400,
        ge=86_400,  # twice as long as FIBONACCI_STATS_MAX_BATCH_AGE_SECONDS may be
        le=31_536_000,
        description="How long a silent source's last sequence is remembered, to know a late repeat by.",
    )
    tidy_interval_seconds: float = Field(
        60, ge=0.01, le=3_600, description="How often what is beyond these bounds is put away."
    )

    @property
    def shown_database_url(self) -> str:
        """As the log may tell it: without a password, and a file from the root."""
        path = self.sqlite_path
        return without_password(self.database_url) if path is None else f"{_SQLITE}{path.absolute()}"

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the account, or None where it is kept elsewhere."""
        return Path(self.database_url.removeprefix(_SQLITE)) if self.database_url.startswith(_SQLITE) else None
