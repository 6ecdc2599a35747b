"""What the processor has of the instruction sets that make the compiled backend faster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["WIDER", "WiderSet", "describe_wider", "processor_flags"]


@dataclass(frozen=True)
class WiderSet:
    """An instruction set: its name in the library, the system's flag for it, what it brings."""

    name: str
    flag: str
    brings: str


WIDER = (
    WiderSet("avx512", "avx512dq", "products of float32 in vectors of 16 numbers instead of 8"),
    WiderSet("amx", "amx_bf16", "products of bf16 operands on tiles, for run.precision bf16"),
)


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The flags that Linux lists for the first processor; none where it lists none."""
    if not path.exists():
        return frozenset()
    lines = path.read_text(errors="replace").splitlines()
    named = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(named, "").split())


def describe_wider(usable: tuple[str, ...], flags: frozenset[str]) -> dict[str, str]:
    """Name -> whether it is used, and if not why and what it would bring.

    `usable`: the library's instruction sets on this machine.
    """
    return {each.name: _told(each, usable, flags) for each in WIDER}


def _told(wider: WiderSet, usable: tuple[str, ...], flags: frozenset[str]) -> str:
    if wider.name in usable:
        return f"present, and used: {wider.brings}"
    if wider.flag in flags:
        return (
            "present, but not used: the library was not built, by a compiler without it, or the "
            f"system does not grant it; it would bring {wider.brings}"
        )
    return f"absent; it would bring {wider.brings}"
