"""The models that a run keeps: its members' best; of a search, its lines' best and its members'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["KeptModel", "every_model", "kept_models"]


@dataclass(frozen=True, kw_only=True)
class KeptModel:
    """What is known of a model without building it."""

    member: int  # its id; of a search: the slot in which its line began, or above (docs/search.md)
    line: int  # of a search: id of the line that it belongs to; else its own
    slot: int  # of a search: id of the member that was the best; else its own
    epoch: int  # in which it was; -1: none counted
    score: float  # smoothed validation reconstruction, lower is better; inf without validation
    hyperparameters: Mapping[str, float]  # dotted name -> value as it enters the training

    @property
    def is_of_line(self) -> bool:
        """Whether it is the best of its line; also whatever is of no search."""
        return self.member == self.line


def kept_models(run: RunFolder) -> list[KeptModel]:
    """Members, of a search the best of every line. Best first; without a score last."""
    return sorted(_lines(every_model(run)), key=lambda model: model.score)


def every_model(run: RunFolder) -> list[KeptModel]:
    """Of a search also members that are not the best of their line; in the order of the file."""
    import torch

    from lfads_torch.search.space import MOVABLE
    from lfads_torch.training.checkpoint import load_extras, read_clock, read_members
    from lfads_torch.training.hyperparameters import Hyperparameters

    path, device = run.best_checkpoint_path, torch.device("cpu")
    members, scores = read_members(path, device), read_clock(path, "best_score", device).tolist()
    epochs = read_clock(path, "best_epoch", device).tolist()
    own = Hyperparameters.complete(load_extras(path, device, prefix="hyperparameters/"))
    dotted = {name: own[field] for name, field in MOVABLE.items()}
    dotted |= {name: value for name, value in own.items() if "." in name}  # of plug-ins
    descent = load_extras(path, device, prefix="search/")  # older runs, and fits, have none
    lines, slots = (
        descent[name].tolist() if name in descent else members for name in ("line", "slot")
    )
    return [
        KeptModel(
            member=member,
            line=lines[p],
            slot=slots[p],
            epoch=epochs[p],
            score=scores[p] if math.isfinite(scores[p]) else math.inf,
            hyperparameters={name: float(value[p]) for name, value in dotted.items()},
        )
        for p, member in enumerate(members)
    ]


def _lines(models: list[KeptModel]) -> list[KeptModel]:
    return [model for model in models if model.is_of_line]
