"""What makes a benchmark worth nothing."""


class BenchmarkFailed(Exception):
    """An answer, or the account of the answers, was not what it must be; the text is one line."""
