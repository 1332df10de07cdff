from bench.sizes.fresh_indices import FreshIndices


def test_no_index_is_taken_twice() -> None:
    fresh = FreshIndices()

    assert [fresh.take(100), fresh.take(100, 10), fresh.take(100), fresh.take(7)] == [100, 99, 89, 7]
