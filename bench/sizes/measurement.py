"""What numbers of any size cost in the three real services, beside the bare library, in turns."""

from collections.abc import Iterator

from bench.figures import Part
from bench.sizes.cancellation import measure_cancellation
from bench.sizes.client import Client
from bench.sizes.fresh_indices import FreshIndices
from bench.sizes.library import Library
from bench.sizes.memory import measure_memory
from bench.sizes.plan import Plan
from bench.sizes.predictions import measure_predictions
from bench.sizes.ranges import measure_ranges
from bench.sizes.starvation import measure_starvation
from bench.sizes.values import measure_values
from bench.system import new_system


def measure_sizes(plan: Plan) -> Iterator[Part]:
    """One part after the other, since each would disturb the others. Raises BenchmarkFailed."""
    times, fresh = plan.repetitions, FreshIndices()
    with Library() as library:
        with new_system() as system, Client(system.gateway.port) as client:
            yield measure_values(client, library, fresh, indices=plan.indices, repetitions=times)
            yield measure_ranges(
                system, client, library, start=plan.range_start, count=plan.range_count, repetitions=times
            )
            yield measure_starvation(
                system, library, fresh, near=plan.largest, seconds=plan.steady_seconds, pairs=plan.steady_pairs
            )
        yield measure_memory(library, n=plan.largest, repetitions=times)
        yield measure_predictions(library, indices=plan.predicted_indices, repetitions=times)
        yield measure_cancellation(library, fresh, repetitions=times)
