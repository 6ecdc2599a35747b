"""Weights and numbers for the test classes: small, odd, the same at every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lfads_torch.declare import is_per_member, setting_fields
from lfads_torch.model.layout import Layout, initial_weights
from lfads_torch.training.streams import Streams

if TYPE_CHECKING:
    from lfads_torch.declare import PluginSettings
    from lfads_torch.model.layout import WeightSpec

__all__ = ["SIZES", "devices", "drawn", "drawn_weights", "member_values", "members_of", "require"]

SIZES = ((1, 1, 1), (3, 5, 2), (2, 33, 3))  # members, trials, bins


def devices() -> tuple[torch.device, ...]:
    """The processor, and the accelerator where there is one."""
    names = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return tuple(torch.device(name) for name in names)


def drawn(site: str, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normals, keyed by a name."""
    random = torch.Generator().manual_seed(sum(site.encode()))
    return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)


def drawn_weights(
    specs: Sequence[WeightSpec], n_members: int, *, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """Every weight moved from its start by 0.3 standard normals of each member's own."""
    layout, streams = Layout(tuple(specs)), Streams(3, torch.arange(n_members))

    def normal(name: str, n: int) -> Tensor:
        return streams.normal(name, 0, None, n)[:, 0]

    start = initial_weights(layout, normal, n_members)
    moved = start + 0.3 * normal("moved", layout.n)
    return {name: value.clone() for name, value in layout.views(moved.to(dtype)).items()}


def member_values(
    part: object, n_members: int, *, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """The members' own numbers [P] that the part's `settings_type` declares, others for each.

    They begin at the defaults and go up by a tenth, as far as the settings' ranges go.
    """
    kind: type[PluginSettings] | None = getattr(part, "settings_type", None)
    if kind is None:
        return {}
    start = kind()
    return {
        f"{kind.section}.{each.name}": _upwards(each, getattr(start, each.name), n_members, dtype)
        for each in setting_fields(kind)
        if is_per_member(each)
    }


def _upwards(each: Field[Any], start: float, n_members: int, dtype: torch.dtype) -> Tensor:
    """From the default up, less than half of the way to the highest value there may be."""
    step = torch.arange(n_members, dtype=dtype) * 0.1 * (abs(start) or 1.0)
    bounds = (each.metadata["at_most"], each.metadata["below"])
    highest = min([bound for bound in bounds if bound is not None], default=float("inf"))
    return start + min(1.0, 0.5 * (highest - start) / max(float(step[-1]), 1e-12)) * step


def members_of(values: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    """One member's weights, [1, ...] each."""
    return {name: value[member : member + 1] for name, value in values.items()}


def require(is_so: bool, message: str) -> None:
    """Fail with a message that says what the contract wants."""
    if not is_so:
        raise AssertionError(message)
