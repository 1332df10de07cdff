import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats_service.errors import IndexNegative, OrderUnknown, PageSizeOutOfRange, PageTokenForeign
from stats_service.paging import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    Order,
    PageRequest,
    Place,
    index_of,
    page_request,
    page_token,
)

places = st.builds(Place, count=st.integers(0, 2**63 - 1), n=st.integers(0, 2**31 - 1))


def asked(size: int = 10, order: int = Order.BUSIEST, token: str = "") -> PageRequest:
    return page_request(page_size=size, order=order, page_token=token)


def test_the_least_index_is_one_and_below_it_there_is_none() -> None:
    assert index_of(0) == 0
    with pytest.raises(IndexNegative):
        index_of(-1)


def test_nothing_asked_is_the_default_page() -> None:
    assert asked(0, 0, "") == PageRequest() == PageRequest(DEFAULT_PAGE_SIZE, Order.BUSIEST, None)


@given(place=places, order=st.sampled_from(Order))
@settings(deadline=None)
def test_a_token_leads_behind_the_number_it_was_given_for(place: Place, order: Order) -> None:
    token = page_token(order, place)

    assert asked(7, order, token) == PageRequest(7, order, place)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(place=places, order=st.sampled_from(Order), other=st.sampled_from(Order))
@settings(deadline=None)
def test_a_token_of_another_order_is_refused(place: Place, order: Order, other: Order) -> None:
    if order is not other:
        with pytest.raises(PageTokenForeign):
            asked(10, other, page_token(order, place))


@given(place=places, at=st.integers(0, 22), by=st.integers(1, 63))
@settings(deadline=None)
def test_a_token_in_which_anything_is_changed_is_refused(place: Place, at: int, by: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = page_token(Order.BUSIEST, place)
    changed = token[:at] + alphabet[(alphabet.index(token[at]) + by) % 64] + token[at + 1 :]

    with pytest.raises(PageTokenForeign):
        asked(token=changed)


@given(token=st.text(min_size=1))
@settings(deadline=None)
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(PageTokenForeign):
        asked(token=token)


@pytest.mark.parametrize("spelt", ["{}=", "{}==", " {}", "{}\n", "{}AAAA"])
def test_a_token_has_one_spelling(spelt: str) -> None:
    token = page_token(Order.BUSIEST, Place(5, 10))

    with pytest.raises(PageTokenForeign):
        asked(token=spelt.format(token))


def test_a_token_in_the_other_alphabet_of_base64_is_refused() -> None:
    tokens = (page_token(Order.BUSIEST, Place(count, 10)) for count in range(1_000))
    token = next(token for token in tokens if "-" in token or "_" in token)
    other = base64.b64encode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))).decode().rstrip("=")

    with pytest.raises(PageTokenForeign):
        asked(token=other)


@pytest.mark.parametrize("size", [-1, -(2**31), MAX_PAGE_SIZE + 1, 2**31 - 1])
def test_a_page_size_outside_its_bounds_is_refused(size: int) -> None:
    with pytest.raises(PageSizeOutOfRange) as caught:
        asked(size)
    assert (caught.value.page_size, caught.value.limit) == (size, MAX_PAGE_SIZE)


@pytest.mark.parametrize("order", [-1, 5, 2**31 - 1])
def test_an_unknown_order_is_refused(order: int) -> None:
    with pytest.raises(OrderUnknown) as caught:
        asked(order=order)
    assert caught.value.order == order
