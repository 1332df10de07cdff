"""The statements that read the account, the same for both databases."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stats_service import tables
from stats_service.measures import Measures
from stats_service.paging import Order, PageRequest, Place

#: A row of numbers or of totals.
MeasuredRow = Row[Any]


def page_of_numbers(request: PageRequest) -> Select[Any]:
    """The rows of a page, and one more where others follow."""
    columns = tables.numbers.c
    order = request.order
    by_count = [columns.count.desc() if order.count_falls else columns.count] if order.by_count else []
    by_n = columns.n.desc() if order.n_falls else columns.n
    page = select(tables.numbers).order_by(*by_count, by_n).limit(request.size + 1)
    return page if request.after is None else page.where(_behind(request.after, order))


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
    for n, key, count in await connection.execute(
        select(table).where(table.c.n.in_(indices)).order_by(*table.primary_key)
    ):
        found[n][key] = count
    return found


def _behind(after: Place, order: Order) -> ColumnElement[bool]:
    """The rows behind the last of the page before, written so that an index leads to the first of them."""
    columns = tables.numbers.c
    behind_n = columns.n < after.n if order.n_falls else columns.n > after.n
    if not order.by_count:
        return behind_n
    if order.count_falls:
        return and_(columns.count <= after.count, or_(columns.count < after.count, behind_n))
    return and_(columns.count >= after.count, or_(columns.count > after.count, behind_n))
