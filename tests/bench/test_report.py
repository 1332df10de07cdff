import json

from bench.figures import Aim, Figure, Part
from bench.report import as_json, table

PART = Part(
    "values",
    "F(n)",
    [
        Figure("ours, ms", [2.0, 1.0, 30.0]),
        Figure("ratio", [0.25, 1.2345678, 1.5], Aim(1.15)),
        Figure("terms/s", [12345.678], Aim(5_000, at_least=True)),
        Figure("requests", [1_234_567]),
    ],
)


def test_a_part_is_a_table_of_medians_spreads_and_aims() -> None:
    assert table(PART) == (
        "**F(n)**\n\n"
        "|          | median (least-most) | aim      | met |\n"
        "| -------- | ------------------- | -------- | --- |\n"
        "| ours, ms | 2.000 (1.000-30.00) |          |     |\n"
        "| ratio    | 1.235 (0.250-1.500) | <= 1.15  | NO  |\n"
        "| terms/s  | 12346               | >= 5,000 | yes |\n"
        "| requests | 1234567             |          |     |"
    )


def test_the_json_holds_every_sample_the_machine_and_the_plan() -> None:
    written = json.loads(as_json([PART], machine={"cores": 2}, plan={"rounds": 3}))

    assert (written["machine"], written["plan"]) == ({"cores": 2}, {"rounds": 3})
    assert written["parts"]["values"][1] == {
        "name": "ratio",
        "median": 1.2345678,
        "least": 0.25,
        "most": 1.5,
        "aim": "<= 1.15",
        "met": False,
        "samples": [0.25, 1.23457, 1.5],
    }
