from fibonacci_service.aggregate import MAX_CAUSES, MAX_SUBJECTS, NUMBER, OPERATION, Aggregate
from fibonacci_service.observations import Failure, FailureKind, Operation
from fibonacci_service.outbox import MAX_BATCH_ENTRIES, Outbox
from service_kit.trace_context import TraceContext
from tests.fibonacci_service.test_outbox import aggregate_of


def context(span_id: int) -> TraceContext:
    return TraceContext(1, span_id, sampled=True)


def causes_of_each_batch(aggregate: Aggregate) -> list[list[int]]:
    """The spans of each batch in turn."""
    outbox, causes = Outbox(source="source-1"), []
    outbox.add(aggregate, end_time=1.0)
    while outbox.oldest() is not None:
        causes.append([cause.span_id for cause in outbox.causes])
        outbox.remove_oldest()
    return causes


def test_a_batch_knows_the_spans_of_the_requests_that_it_tells_of() -> None:
    numbers = range(MAX_BATCH_ENTRIES)
    last = MAX_BATCH_ENTRIES + 7
    aggregate = aggregate_of(numbers, [Failure(last, FailureKind.WORKER_LOST)], [Operation.RANGE])
    aggregate.add_cause((NUMBER, 3), context(30))
    aggregate.add_cause((NUMBER, last), context(40))
    aggregate.add_cause((NUMBER, 3), context(31))
    aggregate.add_cause((OPERATION, Operation.RANGE), context(50))

    # The number 1 is something else than the operation 1.
    assert causes_of_each_batch(aggregate) == [[30, 31], [40, 50]]


def test_a_batch_of_requests_without_spans_knows_none() -> None:
    assert causes_of_each_batch(aggregate_of([1, 2, 3])) == [[]]


def test_a_request_for_many_numbers_is_one_cause_and_leaves_room_for_others() -> None:
    aggregate = aggregate_of(range(200))
    for n in range(200):
        aggregate.add_cause((NUMBER, n), context(30))
    aggregate.add_cause((NUMBER, 3), context(40))

    assert causes_of_each_batch(aggregate) == [[30, 40]]


def test_a_request_whose_numbers_go_in_several_batches_is_a_cause_of_each() -> None:
    aggregate = aggregate_of(range(MAX_BATCH_ENTRIES + 1))
    aggregate.add_cause((NUMBER, 3), context(30))
    aggregate.add_cause((NUMBER, MAX_BATCH_ENTRIES), context(30))

    assert causes_of_each_batch(aggregate) == [[30], [30]]


def test_so_many_numbers_of_a_request_and_no_more_say_where_it_is_a_cause() -> None:
    aggregate = aggregate_of(range(MAX_BATCH_ENTRIES + 1))
    for n in range(MAX_SUBJECTS):
        aggregate.add_cause((NUMBER, n), context(30))
    aggregate.add_cause((NUMBER, MAX_BATCH_ENTRIES), context(30))

    assert causes_of_each_batch(aggregate) == [[30], []]


def test_an_aggregate_knows_so_many_and_no_more() -> None:
    aggregate = aggregate_of([1])
    for span_id in range(1, 2 * MAX_CAUSES):
        aggregate.add_cause((NUMBER, 1), context(span_id))

    [causes] = causes_of_each_batch(aggregate)

    assert causes == list(range(1, MAX_CAUSES + 1))
