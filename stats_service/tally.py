"""What became of the batches that were sent here."""

from stats_service.batch import Batch


class Tally:
    def __init__(self) -> None:
        self.batches = {"applied": 0, "duplicate": 0}
        self.requests = 0

    def add(self, batch: Batch, *, applied: bool) -> None:
        if applied:
            self.batches["applied"] += 1
            self.requests += batch.count
        else:
            self.batches["duplicate"] += 1
