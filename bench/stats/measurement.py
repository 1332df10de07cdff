from bench.plan import Plan


def measure_stats(plan: Plan):
    yield from ()
