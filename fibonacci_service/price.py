"""What computing F(n) and its decimal digits takes on this machine, told from a few measured points."""

import bisect
import math
import time
from dataclasses import dataclass
from operator import itemgetter

from fibonacci_service.sequence import Encoding, encode, fibonacci, predicted_bytes

#: An index, and the seconds that its number took.
Point = tuple[int, float]

MEASURED_INDICES = (1_000, 10_000, 100_000, 1_000_000)
#: The best of so many tries counts: whatever disturbs one makes it longer.
TRIES = 3
#: A try repeats a small computation until it has done about as much as one of this index.
TRY_INDEX = 300_000
#: Beyond the points the time grows as n to this power, which is what GMP 6.3 needs from 10^6 to 10^8.
GROWTH = 1.26
#: The most memory that is held at once, for each digit: while GMP converts the number, and without the process itself.
PEAK_BYTES_PER_DIGIT = 3.5


@dataclass(frozen=True, slots=True)
class Price:
    """Exact at its points, of which the indices rise; straight lines between them where both scales are logarithmic."""

    points: tuple[Point, ...]

    def seconds(self, n: int) -> float:
        """Seconds of one idle processor. Below the first point it is that point's price."""
        place = bisect.bisect_right(self.points, n, key=itemgetter(0))
        if place == 0:
            return self.points[0][1]
        below, seconds = self.points[place - 1]
        if place == len(self.points):
            return float(seconds * (n / below) ** GROWTH)
        above, more_seconds = self.points[place]
        return float(seconds * (more_seconds / seconds) ** (math.log(n / below) / math.log(above / below)))

    def bytes(self, n: int) -> float:
        return PEAK_BYTES_PER_DIGIT * predicted_bytes(n, Encoding.DECIMAL)


#: What `measure` found on 2 cores of an AMD EPYC with GMP 6.3, for predictions on a machine that has not been measured.
REFERENCE = Price(((1_000, 1.04e-6), (10_000, 1.15e-5), (100_000, 3.2e-4), (1_000_000, 9.8e-3)))


def measure() -> tuple[Point, ...]:
    """The points of this machine, in about 35 ms. Time in which it waits for a processor does not count."""
    return tuple((n, min(_measured_seconds(n) for _ in range(TRIES))) for n in MEASURED_INDICES)


def _measured_seconds(n: int) -> float:
    repeats = max(1, TRY_INDEX // n)
    started = time.process_time()
    for _ in range(repeats):
        encode(fibonacci(n), Encoding.DECIMAL)
    return (time.process_time() - started) / repeats
