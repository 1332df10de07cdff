"""The statements that read the account, the same for both databases."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import FromClause, Row, Select, Table, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from stats_service import tables
from stats_service.measures import Measures
from stats_service.paging import Order, PageRequest

#: A row of numbers or of totals.
MeasuredRow = Row[Any]


def page_of_numbers(request: PageRequest) -> Select[Any]:
    """The rows of a page, and one more where others follow."""
    limit, order = request.size + 1, request.order
    if request.after is None:
        return _first_of(tables.numbers, order, limit)
    columns = tables.numbers.c
    behind_n = columns.n < request.after.n if order.n_falls else columns.n > request.after.n
    if not order.by_count:
        return _first_of(tables.numbers, order, limit).where(behind_n)
    # One condition for both would read every equal number before the page: of a million that were asked for once, all.
    equals = _first_of(tables.numbers, order, limit).where(columns.count == request.after.count, behind_n)
    count = request.after.count
    others = _first_of(tables.numbers, order, limit).where(
        columns.count < count if order.count_falls else columns.count > count
    )
    both = union_all(select(equals.subquery()), select(others.subquery()))
    return _first_of(both.subquery(), order, limit)


def _first_of(rows: FromClause, order: Order, limit: int) -> Select[Any]:
    by_count = [rows.c.count.desc() if order.count_falls else rows.c.count] if order.by_count else []
    by_n = rows.c.n.desc() if order.n_falls else rows.c.n
    return select(rows).order_by(*by_count, by_n).limit(limit)


def busiest(limit: int) -> Select[tuple[int]]:
    columns = tables.numbers.c
    return select(columns.n).order_by(columns.count.desc(), columns.n).limit(limit)


def least_used(limit: int) -> Select[Any]:
    columns = tables.numbers.c
    return select(tables.numbers).order_by(columns.count, columns.n.desc()).limit(limit)


async def count_numbers(connection: AsyncConnection) -> int:
    return (await connection.execute(select(func.count()).select_from(tables.numbers))).scalar_one()


async def measured(connection: AsyncConnection, rows: Sequence[MeasuredRow]) -> dict[int, Measures]:
    """The rows with their errors and histograms, by n."""
    indices = [row.n for row in rows]
    errors = await _counts(connection, tables.errors, indices)
    histograms = await _counts(connection, tables.buckets, indices)
    return {row.n: Measures(*row[1:], errors=errors[row.n], histogram=histograms[row.n]) for row in rows}


async def _counts(
    connection: AsyncConnection, table: Table, indices: Sequence[int]
) -> defaultdict[int, dict[int, int]]:
    """Of a table with the columns n, another key, and a count."""
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for n, key, count in await connection.execute(select(table).where(table.c.n.in_(indices))):
        found[n][key] = count
    return found
