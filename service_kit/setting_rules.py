"""What is demanded of a setting beyond its own bounds."""

import ipaddress
from collections.abc import Callable

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError


def together_with(other: str) -> AfterValidator:
    """For a setting that is set where the other one is, and only there."""

    def check(value: object, info: ValidationInfo) -> object:
        if bool(value) != bool(info.data.get(other)):
            raise refusal("has to be set together with", setting=other)
        return value

    return AfterValidator(check)


def needs(other: str) -> AfterValidator:
    """For a setting that means nothing without the other one."""

    def check(value: object, info: ValidationInfo) -> object:
        if value and not info.data.get(other):
            raise refusal("means nothing without", setting=other)
        return value

    return AfterValidator(check)


def read_by(parse: Callable[[str], object]) -> AfterValidator:
    """For a text that is empty or can be parsed; the ValueError of what cannot be is the reason."""

    def check(value: str) -> str:
        try:
            if value:
                parse(value)
        except ValueError as error:
            raise refusal(str(error)) from None
        return value

    return AfterValidator(check)


def at_most_one_with(other: str) -> AfterValidator:
    """For a probability of what happens only where something else does not."""

    def check(value: float, info: ValidationInfo) -> float:
        if value + info.data.get(other, 0) > 1:
            raise refusal("is more than 1 together with", setting=other)
        return value

    return AfterValidator(check)


def refusal(reason: str, *, setting: str = "") -> PydanticCustomError:
    """Why a value is refused. A reason that ends with another setting leaves its name to whoever knows the prefix."""
    text = "{reason} {setting}" if setting else "{reason}"
    return PydanticCustomError("refused", text, {"reason": reason, "setting": setting.upper()})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it; of a name other than localhost that is not known."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
