"""The statements that a store sends for a batch, as SQLAlchemy tells of them."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its parameters, or with several sets of them."""

    sql: str
    parameters: Any
    many: bool


Transaction = list[Statement]


@dataclass(frozen=True, slots=True)
class TransactionLog:
    """Keeps the transactions that write, without their BEGIN and COMMIT."""

    kept: list[Transaction] = field(default_factory=list)
    _open: dict[Connection, Transaction] = field(default_factory=dict)

    def listen(self) -> None:
        event.listen(Engine, "begin", self._begun)
        event.listen(Engine, "before_cursor_execute", self._executed)
        event.listen(Engine, "commit", self._committed)

    def _begun(self, connection: Connection) -> None:
        self._open[connection] = []

    def _executed(
        self,
        connection: Connection,
        _cursor: object,
        sql: str,
        parameters: Any,
        _context: object,
        many: bool,  # noqa: FBT001 - SQLAlchemy says so
    ) -> None:
        if connection in self._open and not sql.startswith("BEGIN"):
            self._open[connection].append(Statement(sql, parameters, many))

    def _committed(self, connection: Connection) -> None:
        statements = self._open.pop(connection, [])
        if any(statement.sql.startswith("INSERT") for statement in statements):
            self.kept.append(statements)
