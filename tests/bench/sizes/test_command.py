import pytest

from bench.__main__ import main
from bench.sizes.command import parse_arguments


def test_sizes_has_options_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sizes", "--connections", "1"])

    assert ended.value.code == 2
    assert "python -m bench sizes" in capsys.readouterr().err


def test_the_default_is_seven_repetitions() -> None:
    assert (parse_arguments([]).repetitions, parse_arguments([]).short) == (7, False)
