"""Whose turn the processor's threads are: the compiled library's or PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

__all__ = ["library_threads", "threads_for_library"]

_threads: ContextVar[int | None] = ContextVar("threads_of_the_compiled_library", default=None)


def library_threads() -> int:
    """How many threads a call of the library may use."""
    own = _threads.get()
    return torch.get_num_threads() if own is None else own


@contextmanager
def threads_for_library() -> Iterator[None]:
    """Within, the library has the threads that PyTorch had, and PyTorch has one.

    After each operation PyTorch's idle threads keep their cores busy for a while, waiting for the
    next one. Where the library does nearly all of a step they only stand in its way: a step on two
    threads then takes longer than on one.
    """
    before, token = torch.get_num_threads(), _threads.set(library_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _threads.reset(token)
