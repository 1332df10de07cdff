import asyncio
from collections.abc import Iterable

import pytest

from fibonacci_service.aggregate import Aggregate, Tally
from fibonacci_service.observations import Failure, FailureKind, Operation
from fibonacci_service.outbox import Outbox, entry_count, request_count
from service_kit.pb.stats import stats_pb2
from tests.fibonacci_service.scripted_stats import breaches

BUSY, CANCELLED = FailureKind.WORKERS_BUSY, FailureKind.CANCELLED


def aggregate_of(
    answered: Iterable[int] = (),
    failures: Iterable[Failure] = (),
    operations: Iterable[Operation] = (),
    *,
    start_time: float = 0.0,
) -> Aggregate:
    aggregate = Aggregate(start_time=start_time)
    for n in answered:
        aggregate.tallies.setdefault(n, Tally()).add(1_000, "computed")
    for failure in failures:
        aggregate.add_failure(failure)
    for operation in operations:
        aggregate.add_operation(operation)
    return aggregate


def emptied(outbox: Outbox) -> list[stats_pb2.RecordRequest]:
    """Every batch in turn."""
    batches = []
    while (batch := outbox.oldest()) is not None:
        batches.append(batch)
        outbox.remove_oldest()
    return batches


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(source="a_life")


def test_a_batch_holds_all_that_was_closed_in_the_order_of_the_contract(outbox: Outbox) -> None:
    failures = [Failure(7, CANCELLED), Failure(7, BUSY), Failure(3, CANCELLED), Failure(3, CANCELLED)]
    operations = [Operation.DESCRIPTION, Operation.RANGE, Operation.RANGE]
    outbox.add(aggregate_of([20, 10, 10], failures, operations, start_time=1.25), end_time=2.5)

    [batch] = emptied(outbox)

    assert (batch.source, batch.sequence) == ("a_life", 1)
    assert [(record.n, record.count) for record in batch.records] == [(10, 2), (20, 1)]
    assert [(error.n, error.kind, error.count) for error in batch.errors] == [
        (3, stats_pb2.CANCELLED, 2),
        (7, stats_pb2.WORKERS_BUSY, 1),
        (7, stats_pb2.CANCELLED, 1),
    ]
    assert [(operation.operation, operation.count) for operation in batch.operations] == [
        (stats_pb2.RANGE, 2),
        (stats_pb2.DESCRIPTION, 1),
    ]
    assert (batch.start_time.ToMilliseconds(), batch.end_time.ToMilliseconds()) == (1_250, 2_500)
    assert (entry_count(batch), request_count(batch)) == (7, 3)
    assert breaches(batch) == []


def test_a_record_tells_the_whole_tally(outbox: Outbox) -> None:
    aggregate = Aggregate(start_time=0)
    tally = aggregate.tallies[10] = Tally()
    tally.add(1_000, "computed")
    tally.add(7, "cache")
    tally.add(1_001, "coalesced")
    outbox.add(aggregate, end_time=0)

    [batch] = emptied(outbox)

    [record] = batch.records
    times = {"total_duration": 2_008, "min_duration": 7, "max_duration": 1_001}
    assert record == stats_pb2.NumberRecord(
        n=10, count=3, cache_hits=1, coalesced=1, **times, buckets=[7, 63], bucket_counts=[1, 2]
    )


def test_no_batch_has_more_entries_than_the_contract_allows(outbox: Outbox) -> None:
    failures = [Failure(n, CANCELLED) for n in range(700)]
    outbox.add(aggregate_of(reversed(range(2_500)), failures, Operation), end_time=0)
    assert outbox.size == 3_203

    batches = emptied(outbox)

    lists = [(len(batch.records), len(batch.errors), len(batch.operations)) for batch in batches]
    assert lists == [(1_000, 0, 0), (1_000, 0, 0), (500, 500, 0), (0, 200, 3)]
    assert [batch.sequence for batch in batches] == [1, 2, 3, 4]
    assert [record.n for batch in batches for record in batch.records] == list(range(2_500))
    assert [error.n for batch in batches for error in batch.errors] == list(range(700))
    assert [breach for batch in batches for breach in breaches(batch)] == []
    assert outbox.size == 0


def test_the_oldest_batch_stays_as_it_is_until_it_is_removed(outbox: Outbox) -> None:
    outbox.add(aggregate_of(range(1_000)), end_time=0)
    first = outbox.oldest()
    outbox.add(aggregate_of([5]), end_time=60)

    assert outbox.oldest() is first
    assert outbox.size == 1_001
    outbox.remove_oldest()
    assert outbox.size == 1
    assert [(batch.sequence, batch.end_time.seconds) for batch in emptied(outbox)] == [(2, 60)]


def test_a_clock_that_was_set_back_leaves_no_batch_that_ends_before_it_begins(outbox: Outbox) -> None:
    outbox.add(aggregate_of([5], start_time=100.0), end_time=40.0)

    [batch] = emptied(outbox)

    assert (batch.start_time.seconds, batch.end_time.seconds) == (100, 100)


async def test_who_waits_for_something_to_send_wakes_when_it_comes_and_not_before(outbox: Outbox) -> None:
    for n in (1, 2):
        waiting = asyncio.create_task(outbox.filled())
        await asyncio.sleep(0)
        assert not waiting.done()
        outbox.add(aggregate_of([n]), end_time=0)
        async with asyncio.timeout(30):
            await waiting
        emptied(outbox)
