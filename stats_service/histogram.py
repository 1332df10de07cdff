"""Times in fixed log-linear buckets, as stats.proto defines them. Pure; times are in nanoseconds.

Eight buckets share each power of two, so the middle of a bucket is at most 1/16 from any time in it. Histograms of
fixed buckets add up, whoever kept them; a sketch that adapts would be smaller and would cost more to merge.
"""

import math
from collections.abc import Mapping

#: How many of each bucket; a bucket that is missing is empty.
Histogram = Mapping[int, int]

#: The last bucket of those with 50 bits, as the longest time that a record may hold has them, 10**15 ns.
MAX_BUCKET = 383

_LEADING_BITS = 4
_SUB_BUCKETS = 8


def bucket_of(ns: int) -> int:
    exponent = max(ns.bit_length() - _LEADING_BITS, 0)
    return _SUB_BUCKETS * exponent + (ns >> exponent)


def middle_ns(bucket: int) -> float:
    """The time in the middle of a bucket."""
    if bucket < 2 * _SUB_BUCKETS:
        return float(bucket)
    exponent = bucket // _SUB_BUCKETS - 1
    leading = bucket - exponent * _SUB_BUCKETS
    return float((leading + 0.5) * (1 << exponent) - 0.5)


def percentile_ns(histogram: Histogram, share: float) -> float | None:
    """The time that at least this share of all times do not exceed, at most 1/16 off; None of an empty histogram."""
    rank = math.ceil(share * sum(histogram.values()))
    for bucket in sorted(histogram):
        rank -= histogram[bucket]
        if rank <= 0:
            return middle_ns(bucket)
    return None
