"""What the medians aim at, in every part of the benchmark."""

from bench.figures import Aim

# GET /fib through the three services.
AIMED_CONNECTIONS = 64
TO_BARE_ASGI = Aim(0.5, at_least=True)
TO_MODEL_ROUTE = Aim(2.5, at_least=True)
P99_TO_BARE_ASGI = Aim(2)
#: At 1 connection.
P50_TO_ROUND_TRIP = Aim(1)
#: At 256 connections, to that at 64.
P99_OF_MANY = Aim(4)
SERVICES_MB = Aim(180)
GROWTH_MB_PER_MINUTE = Aim(1)
START_SECONDS = Aim(2)

# Five times what can be done.
GOODPUT_TO_PEAK = Aim(0.8, at_least=True)
P99_OVERLOADED_TO_IDLE = Aim(3)

# With metrics, and traces that are off, to without.
DEFAULT_TELEMETRY = Aim(1.05)

# fibonacci_service for gRPC clients.
UNARY_TO_EMPTY = Aim(0.95, at_least=True)
NUMBERS_PER_SECOND = Aim(500_000, at_least=True)

# The account.
RECORD_NS = Aim(1_000)
SMALL_SQLITE_COMMIT_MS = Aim(15)
LARGE_SQLITE_COMMIT_MS = Aim(80)
POSTGRESQL_COMMIT_MS = Aim(30)
TO_BARE_DRIVER = Aim(2)
GET_STATS_MS = Aim(50)
STORE_FILE_MB = Aim(400)
STATS_SERVICE_MB = Aim(150)
FRESHNESS_MS = Aim(200)

# Numbers of any size.
#: What the ratio to the bare library aims at, by index.
VALUE_TO_LIBRARY = {10_000_000: Aim(1.15)}
FIRST_BYTE_MS = Aim(20)
GENERATOR_TO_CONVERSIONS = Aim(5, at_least=True)
RANGE_TO_CONVERSIONS = Aim(3, at_least=True)
P99_BUSY_TO_IDLE = Aim(5)
COPIES = Aim(8)
CANCELLATION_MS = Aim(200)
