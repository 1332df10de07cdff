from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.negotiation import (
    MAX_BYTES,
    ByteRange,
    choose_coding,
    choose_media_type,
    none_match,
    parse_range,
    range_holds,
)

OFFERS = ("application/json", "text/plain", "application/octet-stream")
JSON, TEXT, OCTETS = OFFERS
ETAG = '"10-json-1"'
# What a header could hold: the characters that mean something in it are as frequent as the rest.
HEADERS = st.text(st.sampled_from('*/;=,"\\ .-019qaz\t\xe9') | st.characters(max_codepoint=255), max_size=80)
WEIGHTS = st.integers(0, 1000).map(lambda thousandths: f"{thousandths / 1000:.3f}")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        (" , ", JSON),
        ("*/*", JSON),
        ("text/plain", TEXT),
        ("TEXT/Plain", TEXT),
        ("text/*", TEXT),
        ("application/*", JSON),
        ("application/octet-stream, */*;q=0.1", OCTETS),
        ("text/plain;q=0.5, application/json;q=0.4", TEXT),
        ("text/plain, application/json", JSON),
        ("text/plain;charset=UTF-8", TEXT),
        ('text/plain; charset="us-ascii"', TEXT),
        ("application/json;charset=utf-8", JSON),
        ("application/json;q=0, */*", TEXT),
        ("*/*, application/*;q=0", TEXT),
        ("text/*;q=0.9, text/plain;q=0.1, application/json;q=0.5", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),
        ('text/html;note="a, application/json", text/plain', TEXT),
        ("text/plain ; q=1.000 ; extension=x", TEXT),
        ("nonsense, text/plain", TEXT),
    ],
)
def test_the_form_that_the_client_weighs_most_is_chosen(accept: str, chosen: str) -> None:
    assert choose_media_type(accept, OFFERS) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "*/*;q=0",
        "application/json;q=0",
        "application/json;q=0.000, text/plain;q=0, image/*",
        "text/plain;charset=utf-16",
        "application/json;profile=x",
        "application/json;q=2",
        "json",
    ],
)
def test_a_client_that_takes_none_of_the_forms_is_given_none(accept: str) -> None:
    assert choose_media_type(accept, OFFERS) is None


@given(st.permutations([(JSON, "0.2"), (TEXT, "0.9"), (OCTETS, "0.5"), ("*/*", "1")]))
def test_the_order_in_which_ranges_are_listed_means_nothing(ranges: list[tuple[str, str]]) -> None:
    assert choose_media_type(", ".join(f"{name};q={weight}" for name, weight in ranges), OFFERS) == TEXT


@given(weights=st.tuples(WEIGHTS, WEIGHTS, WEIGHTS))
def test_no_form_is_chosen_over_one_that_weighs_more(weights: tuple[str, str, str]) -> None:
    accept = ", ".join(f"{offer};q={weight}" for offer, weight in zip(OFFERS, weights, strict=True))
    chosen = choose_media_type(accept, OFFERS)
    heaviest = max(weights)
    if heaviest == "0.000":
        assert chosen is None
    else:
        assert chosen == OFFERS[weights.index(heaviest)]


@pytest.mark.parametrize(
    ("accept_encoding", "long", "short"),
    [
        (None, "identity", "identity"),
        ("", "identity", "identity"),
        ("gzip", "gzip", "identity"),
        ("GZIP", "gzip", "identity"),
        ("x-gzip", "gzip", "identity"),
        ("gzip, deflate, br", "gzip", "identity"),
        ("br, zstd", "identity", "identity"),
        ("gzip;q=0.001", "gzip", "identity"),
        ("gzip;q=0", "identity", "identity"),
        ("*", "gzip", "identity"),
        ("*;q=0.5, gzip;q=0.2", "identity", "identity"),
        ("identity;q=1, gzip;q=0.5", "identity", "identity"),
        ("identity;q=0.5, gzip", "gzip", "identity"),
        ("identity;q=0, gzip", "gzip", "gzip"),
        ("*;q=0, gzip", "gzip", "gzip"),
        ("*;q=0, identity", "identity", "identity"),
        ("identity;q=0", None, None),
        ("*;q=0", None, None),
        ("identity;q=0, gzip;q=0", None, None),
    ],
)
def test_gzip_is_taken_where_it_pays_and_the_client_does_not_prefer_identity(
    accept_encoding: str | None, long: str | None, short: str | None
) -> None:
    assert choose_coding(accept_encoding, gzip_pays=True) == long
    assert choose_coding(accept_encoding, gzip_pays=False) == short


@pytest.mark.parametrize("named", [ETAG, f"W/{ETAG}", f'"a,b", {ETAG}', f'"x",W/{ETAG},"y"', "*", " * "])
def test_a_request_that_names_the_entity_tag_does_not_pass(named: str) -> None:
    assert not none_match(named, ETAG)


@pytest.mark.parametrize("named", ["", '"10-json-2"', '"10-text-1", W/"11-json-1"', "10-json-1", '"*"', '"x10-json-1"'])
def test_a_request_that_names_other_entity_tags_passes(named: str) -> None:
    assert none_match(named, ETAG)


def test_a_range_stands_only_for_the_exact_bytes_that_it_is_a_part_of() -> None:
    assert range_holds(None, ETAG)
    assert range_holds(f" {ETAG}", ETAG)
    for other in (f"W/{ETAG}", '"10-json-2"', "Sat, 21 Nov 2026 09:00:00 GMT", "*", ""):
        assert not range_holds(other, ETAG)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=2-5", range(2, 6)),
        ("Bytes= 2-5 ,", range(2, 6)),
        ("bytes=0002-5", range(2, 6)),
        ("bytes=2-", range(2, 10)),
        ("bytes=2-99999999999999999999", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("bytes=9-9", range(9, 10)),
    ],
)
def test_a_range_takes_those_of_ten_bytes(header: str, taken: range) -> None:
    asked = parse_range(header)
    assert asked is not None
    assert asked.within(10) == taken


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", f"bytes={'9' * 5_000}-", "bytes=-0"])
def test_a_range_behind_the_end_takes_nothing(header: str) -> None:
    asked = parse_range(header)
    assert asked is not None
    assert asked.within(10) is None


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=1-2-3"]
)
def test_several_ranges_other_units_and_nonsense_are_no_range(header: str) -> None:
    assert parse_range(header) is None


@given(st.integers(0, 2 * MAX_BYTES), st.integers(0, 2 * MAX_BYTES), st.integers(1, 1000))
def test_what_a_range_takes_lies_within_the_body(first: int, length: int, total: int) -> None:
    for asked in (ByteRange(first, first + length), ByteRange(first, None), ByteRange(None, length)):
        part = asked.within(total)
        assert part is None or 0 <= part.start < part.stop <= total


@given(st.binary(min_size=1, max_size=50), st.integers(0, 60), st.integers(0, 60))
def test_the_parts_of_a_body_make_the_body(body: bytes, cut: int, suffix: int) -> None:
    def taken(header: str) -> bytes:
        part = (parse_range(header) or ByteRange(0, None)).within(len(body))
        return body[part.start : part.stop] if part else b""

    assert (taken(f"bytes=0-{cut - 1}") if cut else b"") + taken(f"bytes={cut}-") == body
    assert taken(f"bytes=-{suffix}") == (body[-suffix:] if suffix else b"")


@pytest.mark.parametrize(
    "read",
    [
        lambda header: choose_media_type(header, OFFERS),
        lambda header: choose_coding(header, gzip_pays=True),
        lambda header: none_match(header, ETAG),
        lambda header: range_holds(header, ETAG),
        lambda header: parse_range(f"bytes={header}"),
    ],
)
@given(header=HEADERS)
def test_no_header_is_an_error(read: Callable[[str], object], header: str) -> None:
    read(header)


def test_a_header_as_long_as_a_server_takes_is_read_in_passing() -> None:
    for unit in ("a", ",", '"', ";", "a/b;", '"\\', "a/b;q=1,", "-", "0", " ", "\t;"):
        header = unit * (64_000 // len(unit))
        choose_media_type(header, OFFERS)
        choose_coding(header, gzip_pays=True)
        none_match(header, ETAG)
        parse_range(f"bytes={header}")
