"""A worker that crashes is started again, later each time, and not for ever."""

from __future__ import annotations

import pytest
from convserve_server.workers.restarts import Crashes, RestartPolicy


def test_each_crash_in_a_row_waits_twice_as_long_up_to_the_longest_and_the_last_one_is_final() -> None:
    crashes = Crashes(RestartPolicy(first_delay=1, longest_delay=5, limit=6, steady=60))
    assert [crashes.add(served=0) for _ in range(6)] == [1, 2, 4, 5, 5, None]


@pytest.mark.parametrize(("served", "delay"), [(59.9, 2), (60, 1)])
def test_a_worker_that_has_served_for_long_starts_counting_anew(served: float, delay: float) -> None:
    crashes = Crashes(RestartPolicy(first_delay=1, limit=3, steady=60))
    crashes.add(served=0)
    assert crashes.add(served=served) == delay


def test_a_crash_before_any_service_counts() -> None:
    # A slot that never served says so with a negative infinity: now minus "never".
    crashes = Crashes(RestartPolicy(limit=1))
    assert crashes.add(served=-float("inf")) is None
