"""The statements that add to the account, written once for both databases.

A batch of a thousand rows goes past SQLAlchemy's own handling of parameters, which takes as long as the database does:
the statement is compiled once, and the rows are handed to the driver as tuples in the order of the table's columns.
`python -m bench stats` shows the cost beside the bare driver's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Dialect, Select, Table, bindparam, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from stats_service import tables
from stats_service.measures import MOST, MinuteTotals, NumberMeasures

#: How a column of a row that is there already takes up that of a new one.
Merge = Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[Any]]
Row = tuple[Any, ...]

#: How many of the measures are columns; errors and histograms are rows of their own.
_COLUMNS = len(tables.numbers.columns) - 1


@dataclass(frozen=True, slots=True)
class Upserts:
    """Each a text for the driver, with a parameter for each column of its table."""

    numbers: str
    totals: str
    errors: str
    buckets: str
    operations: str
    minutes: str

    @classmethod
    def of(cls, dialect: Dialect) -> "Upserts":
        return cls(
            numbers=_adding(tables.numbers, dialect),
            totals=_adding(tables.totals, dialect),
            errors=_adding(tables.errors, dialect),
            buckets=_adding(tables.buckets, dialect),
            operations=_adding(tables.operations, dialect),
            minutes=_adding(tables.minutes, dialect),
        )


def advance_source(dialect: Dialect) -> Any:
    """Touches a row where the sequence is above the source's last, and none where it repeats."""
    new = _insert(tables.sources, dialect)
    return new.on_conflict_do_update(
        index_elements=[tables.sources.c.source],
        set_={"sequence": new.excluded.sequence, "last_seen": new.excluded.last_seen},
        where=tables.sources.c.sequence < new.excluded.sequence,
    )


def measured_row(number: NumberMeasures) -> Row:
    """The row of its table, whose columns are in the order of the measures."""
    return number.n, *number.measures[:_COLUMNS]


def error_rows(numbers: Sequence[NumberMeasures]) -> list[Row]:
    return [(number.n, kind, count) for number in numbers for kind, count in sorted(number.measures.errors.items())]


def bucket_rows(numbers: Sequence[NumberMeasures]) -> list[Row]:
    return [
        (number.n, bucket, count) for number in numbers for bucket, count in sorted(number.measures.histogram.items())
    ]


def minute_row(minute: MinuteTotals) -> Row:
    return minute.minute, minute.count, minute.cache_hits, minute.coalesced, minute.errors, minute.total_ns


def _adding(table: Table, dialect: Dialect) -> str:
    new = _insert(table, dialect)
    added = new.from_select(list(table.columns), _unnested(table)) if _in_columns(dialect) else new
    merges = _merges(dialect)
    upsert = added.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={
            column.name: merges.get(column.name, _saturated_sum(dialect))(column, new.excluded[column.name])
            for column in table.columns
            if not column.primary_key
        },
    )
    return str(upsert.compile(dialect=dialect))


def parameters(rows: Sequence[Row], dialect: Dialect) -> Any:
    """What is handed to the driver with a statement that adds: rows, or for PostgreSQL the columns."""
    return tuple(map(list, zip(*rows, strict=True))) if _in_columns(dialect) else list(rows)


def _in_columns(dialect: Dialect) -> bool:
    """PostgreSQL takes all rows in one statement, as arrays, in two thirds of the time of a statement for each."""
    return dialect.name == "postgresql"


def _unnested(table: Table) -> Select[Any]:
    return select(*(func.unnest(bindparam(column.name, type_=ARRAY(column.type))) for column in table.columns))


def _insert(table: Table, dialect: Dialect) -> Any:
    return (postgresql if dialect.name == "postgresql" else sqlite).insert(table)


def _merges(dialect: Dialect) -> Mapping[str, Merge]:
    least, greatest = _least(dialect), _greatest(dialect)
    return {"min_ns": least, "max_ns": greatest, "first_seen": least, "last_seen": greatest}


def _saturated_sum(dialect: Dialect) -> Merge:
    """Both are at most MOST, and their sum may be more than 64 bits hold."""
    least = _least(dialect)
    return lambda kept, added: least(kept, literal_column(str(MOST)) - added) + added


def _least(dialect: Dialect) -> Merge:
    return func.least if dialect.name == "postgresql" else func.min


def _greatest(dialect: Dialect) -> Merge:
    return func.greatest if dialect.name == "postgresql" else func.max
