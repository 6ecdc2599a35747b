"""The process's number of threads is the caller's; runs set their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["threads_restored"]


@contextmanager
def threads_restored() -> Iterator[None]:
    """Threads as before at the end, also where something was raised."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
