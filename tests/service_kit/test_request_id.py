import pytest

from service_kit.request_id import accept_request_id, new_request_id


@pytest.mark.parametrize("offered", ["a", "Az09._-", "x" * 64, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"])
def test_an_id_that_is_safe_to_log_is_accepted(offered: str) -> None:
    assert accept_request_id(offered) == offered


@pytest.mark.parametrize("offered", ["", "x" * 65, "two words", "line\n", "\nline", "ü", "a/b", 'a"b', "a\0"])
def test_any_other_is_replaced_by_a_new_one(offered: str) -> None:
    accepted = accept_request_id(offered)

    assert accepted != offered
    assert accept_request_id(accepted) == accepted


def test_no_two_new_ids_are_alike() -> None:
    assert len({new_request_id() for _ in range(1_000)}) == 1_000
