from bench.rpc.exchanges import BATCH, DECIMAL_BATCH, EXCHANGES, UNARY
from service_kit.pb.fibonacci.fib_pb2 import BatchGetFibRequest, BatchGetFibResponse


def test_a_batch_has_a_thousand_items_and_as_many_right_results() -> None:
    for name in (BATCH, DECIMAL_BATCH):
        exchange = EXCHANGES[name]
        assert isinstance(exchange.request, BatchGetFibRequest)
        assert isinstance(exchange.response, BatchGetFibResponse)
        results = {
            item.request.n: result.response
            for item, result in zip(exchange.request.items, exchange.response.results, strict=True)
        }
        assert (len(exchange.request.items), exchange.indices.total(), len(results)) == (1_000, 1_000, 93)
        assert results[92].x == 7540113804746346429
        assert results[10].value == (b"55" if name == DECIMAL_BATCH else b"")


def test_a_unary_call_is_for_one_number() -> None:
    assert EXCHANGES[UNARY].indices.total() == 1
