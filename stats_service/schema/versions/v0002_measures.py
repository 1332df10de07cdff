"""Coalesced requests, errors, histograms, first and last seen, operations and minutes; totals with every measure.

What was counted before keeps its counts; when it was first seen is not known, which is 0.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_MEASURES = "count, cache_hits, coalesced, total_ns, min_ns, max_ns, first_seen, last_seen"
#: The row of all numbers together; what is summed does not overflow 64 bits.
_ALL = """
SELECT -1, sum(count), sum(cache_hits), 0, sum(total_ns), min(min_ns), max(max_ns), 0, 0 FROM old_numbers
HAVING count(*) > 0
"""


def upgrade() -> None:
    op.rename_table("numbers", "old_numbers")
    _create_measured("numbers")
    op.execute(
        f"INSERT INTO numbers (n, {_MEASURES}) "  # noqa: S608 - of constants
        "SELECT n, count, cache_hits, 0, total_ns, min_ns, max_ns, 0, 0 FROM old_numbers"
    )
    op.create_index("numbers_by_count", "numbers", [sa.text("count DESC"), "n"])
    op.drop_table("totals")
    _create_measured("totals")
    op.execute(f"INSERT INTO totals (n, {_MEASURES}) {_ALL}")
    op.drop_table("old_numbers")
    _create_counts("errors", "kind")
    _create_counts("buckets", "bucket")
    op.create_table(
        "operations",
        sa.Column("operation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "minutes",
        sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("cache_hits", sa.BigInteger, nullable=False),
        sa.Column("coalesced", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("total_ns", sa.BigInteger, nullable=False),
    )


def _create_measured(name: str) -> None:
    op.create_table(
        name,
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        *(
            sa.Column(column, sa.BigInteger, nullable=False)
            for column in ("count", "cache_hits", "coalesced", "total_ns", "min_ns", "max_ns")
        ),
        sa.Column("first_seen", sa.Float(53), nullable=False),
        sa.Column("last_seen", sa.Float(53), nullable=False),
    )


def _create_counts(name: str, key: str) -> None:
    op.create_table(
        name,
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column(key, sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
