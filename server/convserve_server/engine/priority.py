"""A queue in the order of urgency that lets nobody starve."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import count
from typing import Any

LEVEL_SECONDS = 1.0
"""How long a request has waited when it is as urgent as a new one of the next level.

So it is overtaken only by such as come in within this time for each level between them.
"""


class PriorityLine:
    """Takes the place of a deque of parts: first is whose submission, plus a second for each level, is earliest.

    A part's level is the ``priority`` of its waiter (1 is the most urgent), or ``default`` where it has none.
    """

    def __init__(self, parts: Iterable[Any], default: int) -> None:
        self._default = default
        self._order = count()
        self._heap: list[tuple[float, int, Any]] = []
        self.extend(parts)

    def extend(self, parts: Iterable[Any]) -> None:
        """Put parts in; those of equal urgency stay in their order."""
        for part in parts:
            level = getattr(part.waiter, "priority", self._default)
            heapq.heappush(self._heap, (part.submitted + level * LEVEL_SECONDS, next(self._order), part))

    def popleft(self) -> Any:
        """Take the first one out."""
        return heapq.heappop(self._heap)[2]

    def __getitem__(self, index: int) -> Any:
        """The first one; there is no other index than 0."""
        return self._heap[index][2]

    def __len__(self) -> int:
        return len(self._heap)
