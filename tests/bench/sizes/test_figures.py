import json

import pytest

from bench.sizes.figures import Aim, Figure, FreshIndices, Part, ratios
from bench.sizes.report import as_json, tables

PART = Part(
    "values",
    "F(n)",
    [
        Figure("ours, ms", [2.0, 1.0, 30.0]),
        Figure("ratio", [0.25, 1.2345678, 1.5], Aim(1.15)),
        Figure("terms/s", [12345.678], Aim(5, at_least=True)),
    ],
)


@pytest.mark.parametrize(
    ("aim", "median", "met"),
    [
        (Aim(8), 8, True),
        (Aim(8), 8.01, False),
        (Aim(5, at_least=True), 5, True),
        (Aim(5, at_least=True), 4.99, False),
    ],
)
def test_an_aim_is_met_up_to_its_bound(aim: Aim, median: float, met: bool) -> None:  # noqa: FBT001
    assert aim.is_met(median) is met


def test_a_figure_without_an_aim_neither_meets_nor_misses_one() -> None:
    assert Figure("ms", [1]).meets_aim is None


def test_ratios_are_those_of_each_pair() -> None:
    assert ratios([1, 4], [2, 2]) == [0.5, 2]


def test_no_index_is_taken_twice() -> None:
    fresh = FreshIndices()

    assert [fresh.take(100), fresh.take(100, 10), fresh.take(100), fresh.take(7)] == [100, 99, 89, 7]


def test_a_part_is_a_table_of_medians_spreads_and_aims() -> None:
    assert tables([PART]) == (
        "**F(n)**\n\n"
        "|          | median (least-most) | aim     | met |\n"
        "| -------- | ------------------- | ------- | --- |\n"
        "| ours, ms | 2.000 (1.000-30.00) |         |     |\n"
        "| ratio    | 1.235 (0.250-1.500) | <= 1.15 | NO  |\n"
        "| terms/s  | 12346 (12346-12346) | >= 5    | yes |"
    )


def test_the_json_holds_every_sample_the_machine_and_the_plan() -> None:
    written = json.loads(as_json([PART], machine={"cores": 2}, plan={"repetitions": 3}))

    assert (written["machine"], written["plan"]) == ({"cores": 2}, {"repetitions": 3})
    assert written["parts"]["values"][1] == {
        "name": "ratio",
        "median": 1.2345678,
        "least": 0.25,
        "most": 1.5,
        "aim": "<= 1.15",
        "met": False,
        "samples": [0.25, 1.23457, 1.5],
    }
