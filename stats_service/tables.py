"""The tables of the account, the same in SQLite and PostgreSQL. schema/ makes them, and changes older ones."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table

metadata = MetaData()


def _measured(name: str) -> Table:
    """One row for each n: the columns are the fields of Measures, in their order."""
    return Table(
        name,
        metadata,
        Column("n", Integer, primary_key=True, autoincrement=False),
        Column("count", BigInteger, nullable=False),
        Column("cache_hits", BigInteger, nullable=False),
        Column("coalesced", BigInteger, nullable=False),
        Column("total_ns", BigInteger, nullable=False),
        Column("min_ns", BigInteger, nullable=False),
        Column("max_ns", BigInteger, nullable=False),
        Column("first_seen", Float(53), nullable=False),
        Column("last_seen", Float(53), nullable=False),
    )


numbers = _measured("numbers")
#: Pages are read along it, forwards and backwards.
Index("numbers_by_count", numbers.c.count.desc(), numbers.c.n)

#: The rows ALL and FOLDED, so that the totals need no pass over a million numbers.
totals = _measured("totals")

#: Errors and histograms of numbers and, under the n of ALL and FOLDED, of the totals.
errors = Table(
    "errors",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("kind", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
buckets = Table(
    "buckets",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

operations = Table(
    "operations",
    metadata,
    Column("operation", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

minutes = Table(
    "minutes",
    metadata,
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Column("cache_hits", BigInteger, nullable=False),
    Column("coalesced", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("total_ns", BigInteger, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("last_seen", Float(53), nullable=False),
)
