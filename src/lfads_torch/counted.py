"""A number with its noun, in the singular for one of it."""

from __future__ import annotations

__all__ = ["counted"]


def counted(n: int, noun: str) -> str:
    """`counted(1, "unit")` is "1 unit", `counted(2, "training trial")` "2 training trials".

    For nouns whose plural ends in s alone.
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
