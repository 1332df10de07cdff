"""What one RecordNo brings, and what it adds to the account. Pure; times of day in epoch seconds."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from stats_service.measures import ErrorCounts, Measures, MinuteTotals, NumberMeasures
from stats_service.records import ErrorRecord, NumberRecord, OperationRecord, refuse_first_broken, require

MAX_BATCH_ENTRIES = 1_000
#: What is older came from a clock that is wrong: a sender gives a batch up long before.
MAX_AGE_SECONDS = 86_400.0

#: Stands for all numbers together, where an index stands for one.
ALL = -1
#: Stands for those that share one row because there were too many.
FOLDED = -2

_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records to apply together or not at all. Only a batch with a source can be told from its own repeat.

    The times of day are None where the sender did not say them.
    """

    records: Sequence[NumberRecord] = ()
    errors: Sequence[ErrorRecord] = ()
    operations: Sequence[OperationRecord] = ()
    source: str = ""
    sequence: int = 0
    start_time: float | None = None
    end_time: float | None = None

    @property
    def count(self) -> int:
        """How many answered requests it tells of."""
        return sum(record.count for record in self.records)

    def check(self) -> None:
        """Raises RecordRefused."""
        require(_SOURCE.fullmatch(self.source) is not None, "source", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
        require(self.sequence >= 1, "sequence", "must be 1 or more")
        size = len(self.records) + len(self.errors) + len(self.operations)
        bound = f"must be 1 to {MAX_BATCH_ENTRIES} with errors and operations, not {size}"
        require(1 <= size <= MAX_BATCH_ENTRIES, "records", bound)
        _check_each("records", self.records, keys=[record.n for record in self.records], key_field="n")
        _check_each("errors", self.errors, keys=[(error.n, error.kind) for error in self.errors], key_field="n")
        operations = [record.operation for record in self.operations]
        _check_each("operations", self.operations, keys=operations, key_field="operation")
        if self.start_time is not None and self.end_time is not None:
            require(self.end_time >= self.start_time, "end_time", "must be start_time or later")

    def measures(self, now: float) -> list[NumberMeasures]:
        """What is added to each number, in rising order of n, and last to ALL of them; empty where nothing is.

        Every writer adds in this order, so that two of them never wait for each other.
        """
        first, last = self._times(now)
        errors = _by_number(self.errors)
        added = [
            NumberMeasures(record.n, _measures(record, first, last, errors.pop(record.n, {})))
            for record in self.records
        ]
        if errors:
            added += [
                NumberMeasures(n, Measures(first_seen=first, last_seen=last, errors=kinds))
                for n, kinds in errors.items()
            ]
            added.sort(key=lambda number: number.n)
        if added:
            added.append(NumberMeasures(ALL, _together(added, first, last)))
        return added

    def minute(self, now: float) -> MinuteTotals:
        """What is added to the minute in which the batch began."""
        first, _ = self._times(now)
        return MinuteTotals(
            minute=int(first // 60),
            count=self.count,
            cache_hits=sum(record.cache_hits for record in self.records),
            coalesced=sum(record.coalesced for record in self.records),
            errors=sum(error.count for error in self.errors),
            total_ns=sum(record.total_ns for record in self.records),
        )

    def _times(self, now: float) -> tuple[float, float]:
        """Nothing is seen in the future, whatever the sender's clock says."""
        last = now if self.end_time is None else min(self.end_time, now)
        first = last if self.start_time is None else min(self.start_time, now)
        return max(first, now - MAX_AGE_SECONDS), max(last, now - MAX_AGE_SECONDS)


def _check_each(name: str, entries: Sequence[Any], *, keys: Sequence[Any], key_field: str) -> None:
    """Raises RecordRefused where an entry breaks a rule of its own, or the keys do not rise."""
    for position, entry in enumerate(entries):
        refuse_first_broken(entry.rules(), name, position)
    for position, (before, after) in enumerate(pairwise(keys), 1):
        require(before < after, f"{name}[{position}].{key_field}", "must be above the record before it")


def _measures(record: NumberRecord, first: float, last: float, errors: ErrorCounts) -> Measures:
    return Measures(
        record.count,
        record.cache_hits,
        record.coalesced,
        record.total_ns,
        record.min_ns,
        record.max_ns,
        first,
        last,
        errors,
        record.histogram,
    )


def _by_number(errors: Iterable[ErrorRecord]) -> dict[int, ErrorCounts]:
    kinds: dict[int, dict[int, int]] = {}
    for error in errors:
        kinds.setdefault(error.n, {})[error.kind] = error.count
    return dict(kinds)


def _together(numbers: Sequence[NumberMeasures], first: float, last: float) -> Measures:
    """In one pass, because merging a thousand one by one would copy a thousand histograms."""
    measures = [number.measures for number in numbers]
    return Measures(
        count=sum(each.count for each in measures),
        cache_hits=sum(each.cache_hits for each in measures),
        coalesced=sum(each.coalesced for each in measures),
        total_ns=sum(each.total_ns for each in measures),
        min_ns=min(each.min_ns for each in measures),
        max_ns=max(each.max_ns for each in measures),
        first_seen=first,
        last_seen=last,
        errors=_added(each.errors for each in measures),
        histogram=_added(each.histogram for each in measures),
    )


def _added(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for each in counts:
        for key, count in each.items():
            total[key] = total.get(key, 0) + count
    return total
