"""Weights of a trained model as the start of another one: what is taken, what is not, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lfads_torch.errors import RunError
from lfads_torch.training.parts import chosen_weights, require_parts

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from lfads_torch.model.weights import Layout

__all__ = ["Taken", "matched"]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The weights taken, by name; and the names of the others."""

    weights: Mapping[str, Float[Tensor, "..."]]
    fresh: tuple[str, ...]  # of the new model, which start as always
    left: tuple[str, ...]  # of the old model, which nobody needs
    numbers: Mapping[str, float] = field(default_factory=dict)  # of its plug-ins, by dotted name


def matched(
    there: Mapping[str, Float[Tensor, "..."]],
    layout: Layout,
    *,
    parts: Collection[str],
    where: str,
) -> Taken:
    """The old model's weights that the new one has too, of the parts named (none: of all).

    Raises RunError where a shape differs or nothing agrees, SettingsError for unknown parts.
    """
    needed = {spec.name: spec.shape for spec in layout.specs}
    require_parts(parts, {**needed, **there}, what="parts (--from-parts)")
    wanted = chosen_weights(parts or ("*",), {**needed, **there})
    shared = [name for name in needed if name in there and name in wanted]
    differing = [name for name in shared if tuple(there[name].shape) != needed[name]]
    if differing:
        raise RunError(f"{where}: cannot start from it: {_differences(differing, there, needed)}")
    if not shared:
        raise RunError(
            f"{where}: cannot start from it: none of its weights is wanted here. Its parts are "
            f"{', '.join(dict.fromkeys(name.rpartition('.')[0] for name in there))}."
        )
    return Taken(
        weights={name: there[name] for name in shared},
        fresh=tuple(name for name in needed if name not in shared),
        left=tuple(name for name in there if name not in shared),
    )


def _differences(
    names: list[str], there: Mapping[str, Tensor], needed: Mapping[str, tuple[int, ...]]
) -> str:
    shown = "; ".join(
        f"{name} is {_shape(tuple(there[name].shape))} there and {_shape(needed[name])} here"
        for name in names[:3]
    )
    more = f"; and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{shown}{more}."


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
