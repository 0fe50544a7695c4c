"""How rows are dealt out to the instances: none takes all while others have nothing, nor too few to be worth a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from convserve_server.engine.batcher import WORTH_A_RUN, Batcher, Limits
from support.batching import Doubling, rows, send


def assert_no_more(more: bool) -> None:
    assert not more


def test_what_waits_is_shared_with_the_other_instance() -> None:
    second = Doubling()
    first = Doubling(lambda: assert_no_more(batcher.lead(1)))
    batcher = Batcher([second, first], Limits())
    for number in range(12):
        send(batcher, rows(number))
    batcher.lead(1)
    assert [len(batch) for batch in first.batches] == [6]
    assert [len(batch) for batch in second.batches] == [6], "half of what is there, though less is waiting"


def test_few_rows_are_not_torn_apart() -> None:
    first, second = Doubling(), Doubling()
    batcher = Batcher([second, first], Limits())
    for number in range(WORTH_A_RUN):
        send(batcher, rows(number))
    batcher.lead(1)
    assert [len(batch) for batch in first.batches] == [WORTH_A_RUN]


def boom() -> None:
    raise RuntimeError("boom")


@pytest.mark.parametrize("during", [lambda: None, boom])
def test_rows_count_as_running_only_while_they_run(during: Callable[[], None]) -> None:
    one, other = Doubling(during), Doubling(during)
    batcher = Batcher([other, one], Limits())
    for _ in range(3):
        send(batcher, (np.zeros((16, 1), np.float32),))
        batcher.lead()
    one.batches.clear()
    for number in range(8):
        send(batcher, rows(number))
    batcher.lead(1)
    assert len(one.batches[0]) == 4, "a half of 8: nothing else is there"
