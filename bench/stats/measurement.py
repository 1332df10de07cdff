"""The account, part by part; one after the other, since each would disturb the others."""

from collections.abc import Iterator

from bench.figures import Part
from bench.plan import Plan
from bench.stats.readings import measure_readings
from bench.stats.record_path import measure_record_path
from bench.stats.stores import measure_large_sqlite, measure_postgresql, measure_small_sqlite


def measure_stats(plan: Plan) -> Iterator[Part]:
    """Raises BenchmarkFailed."""
    yield measure_record_path(rounds=plan.rounds)
    yield measure_small_sqlite(numbers=plan.numbers, rounds=plan.rounds)
    yield measure_postgresql(numbers=plan.numbers, rounds=plan.rounds)
    yield measure_large_sqlite(numbers=plan.numbers, rounds=plan.rounds)
    yield measure_readings(plan)
