"""The batch sizes that a device runs: few, so that each is prepared before the first caller asks for it.

On a GPU every new shape costs a search for the best convolution, and a captured graph has one shape. So rows are padded
up to the next bucket; at most half of a batch is padding, and none of it reaches a caller.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def bucket_sizes(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to ``most``, which is one of them whatever it is."""
    if most < 1:
        raise ValueError(f"a batch has at least 1 row, not {most}")
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return tuple(sizes)


def bucket_for(rows: int, sizes: Sequence[int]) -> int:
    """The smallest of the ascending ``sizes`` that holds so many rows. Raises ValueError when none does."""
    at = bisect_left(sizes, rows)
    if rows < 1 or at == len(sizes):
        raise ValueError(f"{rows} rows do not fit into the batch sizes {', '.join(map(str, sizes))}")
    return sizes[at]
