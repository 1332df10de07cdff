"""The base of the errors that a service answers its caller with."""

from typing import ClassVar

#: The attributes that have a detail of their own.
_DETAILS = frozenset({"field", "retry_delay_seconds"})


class ServiceError(Exception):
    """A refusal that the caller may read: its text is safe to send.

    `reason` is a constant in UPPER_SNAKE_CASE for programs, `field` the request's field that is at fault, and
    `retry_delay_seconds` is how soon the same request may be answered.
    """

    reason: ClassVar[str]
    field: str | None = None
    retry_delay_seconds: float | None = None

    def facts(self) -> dict[str, str]:
        """The attributes of the error, as they travel in ErrorInfo.metadata."""
        return {name: str(value) for name, value in vars(self).items() if name not in _DETAILS}
