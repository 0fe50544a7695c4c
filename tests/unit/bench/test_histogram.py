"""The histogram of the load generator against plain sorted lists."""

from __future__ import annotations

import pickle

import pytest
from convserve_client.bench.histogram import Histogram, merged
from hypothesis import given
from hypothesis import strategies as st

# From a microsecond on: below, the nanosecond that the scale counts in is what limits it.
DURATIONS = st.lists(st.floats(1e-6, 3000.0), min_size=1, max_size=200)


def of(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in durations:
        histogram.record(seconds)
    return histogram


@given(DURATIONS, st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_the_smallest_value_that_covers_that_part_exact_to_half_a_percent(
    durations: list[float], fraction: float
) -> None:
    ascending = sorted(durations)
    covering = next(v for n, v in enumerate(ascending, 1) if n / len(ascending) >= fraction - 1e-9)
    assert of(durations).percentile(fraction) == pytest.approx(covering, rel=0.005)


@given(DURATIONS, DURATIONS)
def test_histograms_of_parts_merge_to_the_histogram_of_the_whole(first: list[float], second: list[float]) -> None:
    parts, whole = merged([of(first), of(second)]), of(first + second)
    fractions = [0.0, 0.25, 0.5, 0.9, 0.99, 1.0]
    assert parts.percentiles(fractions) == whole.percentiles(fractions)
    assert (parts.count, parts.longest, parts.shortest) == (whole.count, whole.longest, whole.shortest)
    assert parts.mean == pytest.approx(whole.mean)


def test_999_of_1000_ends_before_the_slowest_one() -> None:
    assert of([0.001] * 999 + [1.0]).percentile(0.999) == pytest.approx(0.001, rel=0.005)


def test_the_ends_of_the_scale_hold_what_is_beyond_them() -> None:
    histogram = of([-1.0, 0.0, 1e5])
    assert histogram.count == 3
    assert histogram.longest == 1e5
    assert histogram.percentile(1.0) > 3600


def test_nothing_counted_gives_zeros() -> None:
    assert Histogram().percentiles([0.5, 0.99]) == [0.0, 0.0]
    assert Histogram().mean == 0.0


def test_fractions_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        Histogram().percentiles([0.9, 0.5])


def test_a_histogram_travels_between_processes() -> None:
    histogram = pickle.loads(pickle.dumps(of([0.001, 0.002])))
    assert histogram.count == 2
    assert histogram.percentile(1.0) == pytest.approx(0.002, rel=0.005)
