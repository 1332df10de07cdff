from bench.stats.record_path import measure_record_path


def test_every_answer_is_recorded_and_takes_some_time() -> None:
    part = measure_record_path(rounds=1)

    assert [len(figure.samples) for figure in part.figures] == [1, 1]
    assert all(10 < figure.samples[0] < 1_000_000 for figure in part.figures)
