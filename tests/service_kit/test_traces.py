import asyncio
import gc
import time
import weakref

import pytest

from service_kit import spans
from service_kit.spans import MAX_DESCRIPTION, MAX_KEPT_A_SECOND, MAX_LINKS, MAX_SPANS, MAX_WAITING_SPANS
from service_kit.trace_context import TraceContext
from service_kit.traces import Active, current_span, follow, timed
from tests.tracing import Exported

CALLER = TraceContext(7, 8, sampled=True, state="a=1")


@pytest.fixture
def unsampled(monkeypatch: pytest.MonkeyPatch) -> Exported:
    monkeypatch.setattr(spans, "SLOW_NS", 3600 * 10**9)  # a test that is held up is not slow
    return Exported(sampled=False)


@pytest.fixture
def sampled() -> Exported:
    return Exported(sampled=True)


def make_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "SLOW_NS", -1)


def test_the_spans_of_a_sampled_trace_are_exported_as_they_end(sampled: Exported) -> None:
    with sampled.tracer.begin("root") as root:
        with root.child("child"):
            pass
        assert sampled.names == ["child"]

    assert sampled.names == ["child", "root"]
    assert root.kept == "sampled"


def test_the_spans_of_a_trace_that_is_not_sampled_are_let_go_when_it_ends_well_and_soon(unsampled: Exported) -> None:
    with unsampled.tracer.begin("root") as root, root.child("child"):
        pass

    assert unsampled.names == []


def test_an_error_keeps_what_ended_before_and_what_comes_after(unsampled: Exported) -> None:
    with unsampled.tracer.begin("root") as root:
        with root.child("before"):
            pass
        with pytest.raises(ZeroDivisionError), root.child("wrong"):
            raise ZeroDivisionError("no number")
        with root.child("after"):
            pass

    assert unsampled.names == ["before", "wrong", "after", "root"]
    assert root.kept == "error"
    assert not any(span.context.sampled for span in unsampled.spans)


def test_a_root_that_took_long_keeps_its_spans(unsampled: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    with unsampled.tracer.begin("root") as root:
        with root.child("quick"):
            pass
        make_slow(monkeypatch)

    assert unsampled.names == ["quick", "root"]
    assert root.kept == "slow"


def test_a_span_that_ends_after_a_root_that_was_let_go_is_let_go_too(unsampled: Exported) -> None:
    root = unsampled.tracer.begin("root")
    late = root.child("late")
    root.end()
    late.end()

    assert unsampled.names == []


def test_what_fails_after_a_root_that_was_let_go_brings_nothing_of_it_back(unsampled: Exported) -> None:
    root = unsampled.tracer.begin("root")
    early, late, wrong = (root.child(name) for name in ("early", "late", "wrong"))
    early.end()
    root.end()
    late.end()
    wrong.fail("500")
    wrong.end()

    assert unsampled.names == ["wrong"]


def test_a_span_that_ends_after_a_root_that_was_kept_is_kept_too(unsampled: Exported) -> None:
    root = unsampled.tracer.begin("root")
    late = root.child("late")
    root.fail("500")
    root.end()
    late.end()

    assert unsampled.names == ["root", "late"]


def test_what_waits_is_bounded(unsampled: Exported) -> None:
    root = unsampled.tracer.begin("root")
    for _ in range(2 * MAX_WAITING_SPANS):
        root.child("child").end()
    root.fail("500")
    root.end()

    assert unsampled.names == ["child"] * MAX_WAITING_SPANS + ["root"]


def test_what_is_exported_of_one_trace_is_bounded_and_its_root_among_it(sampled: Exported) -> None:
    with sampled.tracer.begin("root") as root:
        for _ in range(2 * MAX_SPANS):
            root.child("child").end()

    assert sampled.names == ["child"] * MAX_SPANS + ["root"]


def test_where_everything_fails_so_many_are_kept_in_a_second(
    unsampled: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    for second in (1, 2):
        monkeypatch.setattr(time, "time_ns", lambda second=second: second * 10**9 + 5)
        for _ in range(2 * MAX_KEPT_A_SECOND):
            with unsampled.tracer.begin("root") as root:
                root.fail("500")

    assert len(unsampled.spans) == 2 * MAX_KEPT_A_SECOND


def test_an_ended_span_is_freed_without_the_garbage_collector(unsampled: Exported) -> None:
    gc.collect()
    gc.disable()
    try:
        with unsampled.tracer.begin("root") as root, root.child("child"):
            pass
        ended = weakref.ref(root)
        del root
        assert ended() is None
    finally:
        gc.enable()


def test_what_is_nobodys_fault_keeps_nothing(unsampled: Exported) -> None:
    with unsampled.tracer.begin("root") as root:
        root.fail("client_left", is_error=False)
    with unsampled.tracer.begin("root") as root:
        root.fail("INVALID_ARGUMENT", failed=False)

    assert unsampled.names == []


async def test_a_cancelled_span_ends_and_says_so(sampled: Exported) -> None:
    async def work() -> None:
        with sampled.tracer.begin("root"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    [span] = sampled.spans
    assert (span.error_type, span.is_error) == ("cancelled", False)
    assert span.end_ns >= span.start_ns


def test_a_child_is_in_the_trace_of_its_parent(sampled: Exported) -> None:
    root = sampled.tracer.begin("root", "server", parent=CALLER)
    child = root.child("child", "client")

    assert (root.parent, root.is_root, root.context.trace_id, root.context.state) == (CALLER, True, 7, "a=1")
    assert (child.parent, child.is_root, child.context.trace_id) == (root.context, False, 7)
    assert len({CALLER.span_id, root.context.span_id, child.context.span_id}) == 3


def test_work_for_many_is_a_child_of_none_and_sampled_where_one_is(sampled: Exported, unsampled: Exported) -> None:
    chosen, other = sampled.tracer.begin("a").context, unsampled.tracer.begin("b").context

    both = unsampled.tracer.begin_linked("batch", [other, chosen])
    neither = sampled.tracer.begin_linked("batch", [other])

    assert (both.parent, both.context.sampled, both.links) == (None, True, [chosen])
    assert (neither.parent, neither.context.sampled, neither.links) == (None, False, [other])
    assert both.context.trace_id not in {chosen.trace_id, other.trace_id}


def test_links_and_descriptions_are_bounded(sampled: Exported) -> None:
    span = sampled.tracer.begin_linked("batch", [CALLER] * 200)
    span.link(CALLER)
    span.fail("500", "x" * 1_000)

    assert len(span.links) == MAX_LINKS
    assert len(span.description) == MAX_DESCRIPTION


def test_a_span_that_is_active_is_the_parent_of_what_is_timed_inside(sampled: Exported) -> None:
    with Active(sampled.tracer.begin("root")) as root, timed("part", task="value"):
        assert current_span.get() is root

    part, _ = sampled.spans
    assert current_span.get() is None
    assert (part.name, part.parent, part.attributes) == ("part", root.context, {"exact_fibonacci.task": "value"})


def test_a_span_follows_another_and_not_itself(sampled: Exported) -> None:
    other = sampled.tracer.begin("other")
    follow(other)  # outside any span, which is for nothing
    with Active(sampled.tracer.begin("waiting")) as waiting:
        for span in (other, waiting, None):
            follow(span)

    assert waiting.links == [other.context]


def test_nothing_is_timed_where_nothing_is_traced() -> None:
    with timed("part") as span:
        assert span is None


def test_a_clock_that_is_set_back_makes_no_span_end_before_it_began(
    sampled: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = sampled.tracer.begin("root")
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    span.end()

    assert span.end_ns == span.start_ns


def test_a_span_ends_once(sampled: Exported) -> None:
    span = sampled.tracer.begin("root")
    span.end()
    span.end()

    assert sampled.names == ["root"]
