"""What stats_service can be told."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_kit.settings import Port, ServiceSettings

_SQLITE = "sqlite:///"


class Settings(ServiceSettings):
    """Keeps the account of every answered Fibonacci number over gRPC.

    Every flag is also an environment variable: --listen-port is STATS_LISTEN_PORT. A flag wins.
    """

    model_config = SettingsConfigDict(env_prefix="STATS_")

    listen_port: Port = Field(5002, description="TCP port to listen on; 0 takes a free one and logs which.")
    database_url: str = Field(
        "sqlite:///data/stats.sqlite3",
        max_length=1000,
        pattern=r"^(memory:|sqlite:///.+)$",
        description="Where the account is kept: sqlite:///PATH (sqlite:////PATH from the root), or memory:",
    )
    source_retention_seconds: float = Field(
        86_400, ge=7_200, le=31_536_000, description="How long a silent source's last sequence is remembered."
    )

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the account, or None where it is kept in memory."""
        return Path(self.database_url.removeprefix(_SQLITE)) if self.database_url.startswith(_SQLITE) else None
