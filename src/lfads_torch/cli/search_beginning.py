"""What each member began the running generation with, from the state that the search stored then.

The history tells it only once the generation is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lfads_torch.errors import LfadsError

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["Beginning", "read_beginning"]


@dataclass(frozen=True)
class Beginning:
    """Parents by member, and the searched hyperparameters by dotted name, then by member."""

    generation: int
    parents: Mapping[int, int]
    values: Mapping[str, Mapping[int, float]]


def read_beginning(run: RunFolder) -> Beginning | None:
    """None where the file is not there or cannot be read: the view then shows less."""
    from safetensors import SafetensorError, safe_open

    from lfads_torch.search.space import field_of

    try:
        names = _searched(run)
        with safe_open(run.generation_checkpoint_path, framework="numpy") as stored:
            members = [int(each) for each in stored.get_tensor("members")]
            columns = {
                name: stored.get_tensor(f"hyperparameters/{field_of(name)}") for name in names
            }
            parents = [int(each) for each in stored.get_tensor("search/parent")]
            generation = int(stored.get_tensor("search/generation")[0])
    except (OSError, SafetensorError, LfadsError, KeyError):
        return None
    return Beginning(
        generation=generation,
        parents=dict(zip(members, parents, strict=True)),
        values={
            name: dict(zip(members, map(float, column), strict=True))
            for name, column in columns.items()
        },
    )


def _searched(run: RunFolder) -> list[str]:
    """Names of the space, or those that a list gives."""
    from lfads_torch.config.space import space_from_yaml

    path = run.space_path
    names = [each.name for each in space_from_yaml(path.read_text(encoding="utf-8"), str(path))]
    values = run.read_record().search.get("values") or [{}]
    return names or list(values[0])
