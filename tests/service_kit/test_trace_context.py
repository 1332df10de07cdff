import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.trace_context import TraceContext, context_of, parse_context

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read(trace_id: int, span_id: int, sampled: bool) -> None:  # noqa: FBT001
    context = TraceContext(trace_id, span_id, sampled)

    assert parse_context(context.parent) == context


def test_it_is_written_as_the_standard_has_it() -> None:
    context = TraceContext(int(TRACE, 16), int(SPAN, 16), sampled=True, state="a=1")

    assert context.fields() == (("traceparent", GOOD), ("tracestate", "a=1"))


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "00",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "-more",
        GOOD.upper(),
        GOOD.replace("-", "_"),
        " " + GOOD,
        GOOD + "\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01.more",
        "\u0660\u0660" + GOOD[2:],  # digits, and no ASCII
    ],
)
def test_what_is_no_traceparent_counts_as_none(bad: str) -> None:
    assert parse_context(bad) is None


@given(st.text(alphabet=string.hexdigits + "-", max_size=60) | st.text(max_size=60) | st.just(GOOD), st.text())
def test_nothing_that_is_offered_is_an_error(parent: str, state: str) -> None:
    context = parse_context(parent, state)

    assert context is None or parse_context(*(value for _, value in context.fields())) == context


def test_a_later_version_is_read_as_far_as_this_one_knows_it() -> None:
    for later in (f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"):
        assert parse_context(later) == parse_context(GOOD)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_one_flag_says_whether_it_is_sampled(flags: str, sampled: bool) -> None:  # noqa: FBT001
    context = parse_context(f"00-{TRACE}-{SPAN}-{flags}")

    assert context is not None
    assert context.sampled is sampled


@pytest.mark.parametrize("state", ["a=" + "1" * 511, "a=\x00", "a=é", "a=1\r\nb=2", "a=1,\tb=2"])
def test_a_state_that_cannot_be_passed_on_is_left_out_alone(state: str) -> None:
    assert parse_context(GOOD, state) == parse_context(GOOD)


def test_the_states_of_several_headers_are_one_list() -> None:
    context = context_of([("tracestate", "a=1"), ("traceparent", GOOD), ("tracestate", "b=2"), ("other", "x")])

    assert context is not None
    assert context.state == "a=1,b=2"


@pytest.mark.parametrize("fields", [[], [("tracestate", "a=1")], [("traceparent", GOOD)] * 2, [("traceparent", b"00")]])
def test_no_parent_and_two_parents_are_none(fields: list[tuple[str, str | bytes]]) -> None:
    assert context_of(fields) is None
