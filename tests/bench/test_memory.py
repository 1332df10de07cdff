import pytest

from bench.memory import growth_figures, memory_figures


def test_memory_is_told_of_each_program_and_of_all_of_them() -> None:
    figures = memory_figures([{"a": 1_000_000, "b": 3_000_000}, {"a": 2_000_000, "b": 180_000_000}])

    assert {figure.name: figure.samples for figure in figures} == {
        "PSS MB, a": [1, 2],
        "PSS MB, b": [3, 180],
        "PSS MB, together": [4, 182],
        "PSS MB, together at the most": [182],
    }
    assert figures[-1].meets_aim is False


def test_growth_is_that_after_the_first_fifth() -> None:
    settling = [(0.0, {"a": 0, "b": 0}), (1.0, {"a": 100_000_000, "b": 5})]
    settled = [(float(minute), {"a": (100 + 3 * minute) * 1_000_000, "b": 5}) for minute in range(2, 10)]

    each, _, together = growth_figures([*settling, *settled])

    assert each.name == "growth, MB a minute, a"
    assert [*each.samples, *together.samples] == pytest.approx([3, 3])
    assert together.meets_aim is False
