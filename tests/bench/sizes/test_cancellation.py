import pytest

from bench.answers import fibonacci
from bench.sizes.cancellation import residue


@pytest.mark.parametrize("n", [0, 1, 2, 10, 93, 300])
@pytest.mark.parametrize("modulus", [1, 2, 10, 10**30])
def test_the_residues_to_compare_with_are_right(n: int, modulus: int) -> None:
    assert residue(n, modulus) == fibonacci(n) % modulus
