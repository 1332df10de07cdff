"""Numbers that no cache knows. Pure."""


class FreshIndices:
    """Indices that were never asked for before, from a given one downwards."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def take(self, near: int, count: int = 1) -> int:
        """The highest of `count` unused indices at or below `near`."""
        n = self._next.get(near, near)
        self._next[near] = n - count
        return n
