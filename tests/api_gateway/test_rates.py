import pytest

from api_gateway.rates import MAX_RATES, MAX_REQUESTS, MAX_WINDOW_SECONDS, parse_rates, rate_name
from api_gateway.settings import Settings
from tests.settings_bounds import refused


def parsed(text: str) -> list[tuple[str, int, int]]:
    return [(rate_name(rate), rate.amount, rate.get_expiry()) for rate in parse_rates(text)]


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("100/second", [("100/second", 100, 1)]),
        ("100/second;5000/minute", [("100/second", 100, 1), ("5000/minute", 5_000, 60)]),
        ("7/hour, 5 per 10 seconds | 2/day", [("5/10second", 5, 10), ("7/hour", 7, 3_600), ("2/day", 2, 86_400)]),
        (f"{MAX_REQUESTS}/12 month", [(f"{MAX_REQUESTS}/12month", MAX_REQUESTS, 12 * 30 * 86_400)]),
    ],
)
def test_rates_are_read_in_the_notation_of_the_library_shortest_window_first(
    text: str, rates: list[tuple[str, int, int]]
) -> None:
    assert parsed(text) == rates


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("often", "is not written like 100/second,5000/minute"),
        ("100", "is not written like"),
        ("100/second;", "is not written like"),
        ("100/second;:5/minute", "is not written like"),
        ("100/second\n5/minute", "is not written like"),
        ("100/fortnight", "is not written like"),
        ("-1/second", "is not written like"),
        ("0/second", f"0/second has to allow 1 to {MAX_REQUESTS} requests"),
        (f"{MAX_REQUESTS + 1}/second", "has to allow"),
        ("1/2 year", f"1/2year is for more than {MAX_WINDOW_SECONDS} seconds"),
        ("60/minute;1/60 second", "has two rates for the same time"),
        (";".join(f"1/{n} second" for n in range(1, MAX_RATES + 2)), f"there may be {MAX_RATES}"),
    ],
)
def test_what_is_no_list_of_a_few_rates_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_rates(text)


@pytest.mark.parametrize("text", ["often", "0/second", "1/second;:1/minute"])
def test_the_gateway_does_not_start_with_such_a_text_and_one_line_says_why(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert f"--rate-limit={text!r}: " in refused(Settings, capsys, "--rate-limit", text)
