"""What `make run` keeps of the output of its services; the whole of it is tried in tests/system."""

import pytest

from deploy.local.run import last_line


@pytest.mark.parametrize(
    "pieces",
    [
        ["it cannot start\n"],
        ["it cannot start", "\n"],
        ["before\nit can", "not ", "start\n"],
        ["before\n", "it cannot start\n", "\n"],
        ["before", "\nit cannot start"],
    ],
)
def test_the_last_line_is_found_however_the_output_is_cut(pieces: list[str]) -> None:
    said = ""
    for piece in pieces:
        said = last_line(said + piece)

    assert said.strip() == "it cannot start"


def test_lines_do_not_add_up() -> None:
    said = ""
    for number in range(1000):
        said = last_line(f"{said}line {number}\n")

    assert said == "line 999\n"
