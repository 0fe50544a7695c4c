"""How rows are dealt out to the instances: none takes all while others have nothing, nor too few to be worth a run."""

from __future__ import annotations

import pytest
from convserve_server.engine.batcher import FAIR_SHARE, Batcher, Limits
from support.batching import Doubling, rows, send


@pytest.mark.parametrize(("waiting", "taken"), [(FAIR_SHARE, FAIR_SHARE), (FAIR_SHARE + 1, FAIR_SHARE), (24, 12)])
def test_what_waits_is_shared_with_the_other_instance(waiting: int, taken: int) -> None:
    first, second = Doubling(), Doubling()
    batcher = Batcher([second, first], Limits())
    for number in range(waiting):
        send(batcher, rows(number))
    batcher.lead(1)
    assert [len(batch) for batch in first.batches] == [taken]
