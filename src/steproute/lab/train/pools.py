"""Batches made ahead of time by several processes, in an order that does not depend on how many there are."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from typing import Final

import torch
from torch import Tensor

from steproute.core.arrays import I64

POOL: Final = 8
"""Batches that are made at a time: their rows are sorted by length first, so that little is padded."""
Pool = list[tuple[Tensor, Tensor]]


def pooled(make: Callable[[int], Pool], step: int, processes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of make(0), make(1), …, from batch number `step` on.

    make: can be pickled, and gives the same batches whenever it is called.
    """
    (first, skipped), ahead = divmod(step, POOL), 2 * processes
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
        under_way = deque(executor.submit(_arrays, make, first + index) for index in range(ahead))
        try:
            for index in count(first + ahead):
                under_way.append(executor.submit(_arrays, make, index))
                for tokens, targets in under_way.popleft().result()[skipped:]:
                    yield torch.from_numpy(tokens), torch.from_numpy(targets)
                skipped = 0
        finally:
            executor.shutdown(cancel_futures=True)


def _arrays(make: Callable[[int], Pool], index: int) -> list[tuple[I64, I64]]:
    """Arrays are copied between processes; tensors would be shared, which needs an open file each."""
    return [(tokens.numpy(), targets.numpy()) for tokens, targets in make(index)]
