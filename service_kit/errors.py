"""The base of the errors that a service answers its caller with."""

from typing import ClassVar


class ServiceError(Exception):
    """A refusal that the caller may read: its text is safe to send.

    `reason` is a constant in UPPER_SNAKE_CASE for programs, `field` the request's field that is at fault.
    """

    reason: ClassVar[str]
    field: str | None = None

    def facts(self) -> dict[str, str]:
        """The attributes of the error, as they travel in ErrorInfo.metadata."""
        return {name: str(value) for name, value in vars(self).items() if name != "field"}
