from pathlib import Path

import pytest

from bench.options import parse_arguments
from bench.plan import SHORT, Plan


def test_the_defaults_are_five_rounds_of_everything_but_sizes_and_the_soak() -> None:
    options = parse_arguments([])

    assert list(options.measurements) == ["gateway", "rpc", "replicas", "stats"]
    assert (options.plan, options.json) == (Plan(), None)
    assert (options.plan.rounds, options.plan.connections, options.plan.numbers) == (5, (1, 16, 64, 256), 1_000_000)


def test_what_is_named_is_measured_and_nothing_else() -> None:
    options = parse_arguments(["soak", "rpc", "--minutes", "3", "--json", "out.json"])

    assert (list(options.measurements), options.plan.minutes, options.json) == (["soak", "rpc"], 3, Path("out.json"))


def test_rounds_are_of_sizes_too() -> None:
    plan = parse_arguments(["--rounds", "2"]).plan

    assert (plan.rounds, plan.sizes.repetitions) == (2, 2)


def test_short_is_a_plan_of_which_parts_may_be_chosen_otherwise() -> None:
    assert parse_arguments(["--short"]).plan == SHORT
    assert parse_arguments(["--short", "--connections", "1,2"]).plan.connections == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "'0' is not a whole number from 1 to 100"),
        (["--connections", "64,x"], "'x' is not a whole number from 1 to 512"),
        (["--numbers", "10"], "'10' is not a whole number from 1000 to 10000000"),
        (["latency"], "'latency' is none of gateway, rpc, replicas, stats, sizes, overload, telemetry, soak"),
    ],
)
def test_arguments_out_of_bounds_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err
