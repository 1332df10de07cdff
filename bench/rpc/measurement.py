"""fibonacci_service and the handler that does nothing, in turns, then batches."""

from collections.abc import Iterator, Sequence

from bench import aims
from bench.ceilings import EMPTY_RPC, new_ceiling
from bench.checks import check_account, open_client
from bench.figures import Figure, Part, Turn, ratios
from bench.plan import Plan
from bench.rpc.calls import RpcClient
from bench.rpc.exchanges import BATCH, BATCH_ITEMS, DECIMAL_BATCH, UNARY
from bench.system import new_system
from deploy.local.processes import ServiceProcess

IN_FLIGHT = (1, 32)
BATCHES_IN_FLIGHT = 2


def measure_rpc(plan: Plan) -> Iterator[Part]:
    with new_system() as system, new_ceiling(EMPTY_RPC) as empty, RpcClient() as client, open_client() as http:
        figures = [
            *(figure for number in IN_FLIGHT for figure in _unary(client, system.fibonacci, empty, number, plan)),
            *_batches(client, system.fibonacci, plan),
        ]
        expected = client.asked[system.fibonacci.program]
        check_account(http, system.url, expected)
    counted = Figure("numbers that were asked for and are counted", [expected.total()])
    yield Part(
        "rpc", "fibonacci_service for gRPC clients, and a grpc.aio handler that does nothing", [*figures, counted]
    )


def _unary(
    client: RpcClient, fibonacci: ServiceProcess, empty: ServiceProcess, in_flight: int, plan: Plan
) -> list[Figure]:
    turns: dict[str, list[Turn]] = {"ours": [], "empty": []}
    for _ in range(plan.rounds):
        for name, server in (("ours", fibonacci), ("empty", empty)):
            turns[name].append(client.measure(server, UNARY, in_flight=in_flight, seconds=plan.seconds))
    where = f"GetFib, in flight: {in_flight}"
    rates = {name: [turn.load.requests_per_second for turn in of_rounds] for name, of_rounds in turns.items()}
    return [
        *(Figure(f"{where}, calls/s, {name}", samples) for name, samples in rates.items()),
        Figure(f"{where}, ratio of rates", ratios(rates["ours"], rates["empty"]), aims.UNARY_TO_EMPTY),
        *(Figure(f"{where}, p50 ms, {name}", [turn.load.p50_ms for turn in turns[name]]) for name in turns),
        *(Figure(f"{where}, p99 ms, {name}", [turn.load.p99_ms for turn in turns[name]]) for name in turns),
        Figure(f"{where}, CPU us/call, ours", _cpu_us(turns["ours"], fibonacci)),
        Figure(f"{where}, CPU us/call, empty", _cpu_us(turns["empty"], empty)),
    ]


def _batches(client: RpcClient, fibonacci: ServiceProcess, plan: Plan) -> Iterator[Figure]:
    turns: dict[str, list[Turn]] = {BATCH: [], DECIMAL_BATCH: []}
    for _ in range(plan.rounds):
        for exchange, of_rounds in turns.items():
            turn = client.measure(fibonacci, exchange, in_flight=BATCHES_IN_FLIGHT, seconds=plan.seconds)
            of_rounds.append(turn)
    for exchange, aim in ((BATCH, aims.NUMBERS_PER_SECOND), (DECIMAL_BATCH, None)):
        rates = [turn.load.requests_per_second * BATCH_ITEMS for turn in turns[exchange]]
        yield Figure(f"BatchGetFib, {exchange} of {BATCH_ITEMS:,}, numbers/s", rates, aim)
        yield Figure(
            f"BatchGetFib, {exchange}, CPU us/number",
            [microseconds / BATCH_ITEMS for microseconds in _cpu_us(turns[exchange], fibonacci)],
        )


def _cpu_us(turns: Sequence[Turn], server: ServiceProcess) -> list[float]:
    return [turn.cpu_us[server.program] for turn in turns]
