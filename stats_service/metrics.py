"""What stats_service tells of itself."""

from service_kit.metrics import Metrics
from stats_service.servicer import StatsServicer
from stats_service.store import StatsStore


def register(metrics: Metrics, *, servicer: StatsServicer, store: StatsStore) -> None:
    tally, watchers = servicer.tally, servicer.watchers
    metrics.counter(
        "stats_batches",
        "Batches that were applied, and those that had been before and changed nothing.",
        lambda: tally.batches,
        ("outcome",),
    )
    metrics.counter("stats_requests", "Answered requests in the applied batches.", lambda: tally.requests)
    metrics.gauge(
        "stats_numbers", "Numbers with a row of their own, as of the last count or tidying.", lambda: store.numbers
    )
    metrics.counter("stats_numbers_folded", "Numbers whose row this process folded.", lambda: store.folded)
    metrics.histogram(
        "stats_transaction_duration_seconds",
        "How long transactions of the database took, with the wait for their turn.",
        store.transactions,
        ("kind",),
    )
    metrics.counter("stats_transactions_failed", "Transactions that the database did not do.", lambda: store.failures)
    metrics.gauge("stats_watchers", "Clients that watch the account.", lambda: watchers.watching)
