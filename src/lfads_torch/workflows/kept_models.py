"""The models that a run keeps, best first: its members' best, or a search's best of each line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["KeptModel", "kept_models"]


@dataclass(frozen=True, kw_only=True)
class KeptModel:
    """What is known of a model without building it."""

    member: int  # of a search: the slot in which its line began
    score: float  # smoothed validation reconstruction, lower is better; inf without validation
    hyperparameters: Mapping[str, float]  # dotted name -> value as it enters the training


def kept_models(run: RunFolder) -> list[KeptModel]:
    """Best first; models without a score last, in the order of the file."""
    import torch

    from lfads_torch.search.space import MOVABLE
    from lfads_torch.training.checkpoint import load_extras, read_clock, read_members
    from lfads_torch.training.hyperparameters import Hyperparameters

    path, device = run.best_checkpoint_path, torch.device("cpu")
    members, scores = read_members(path, device), read_clock(path, "best_score", device).tolist()
    stored = load_extras(path, device, prefix="hyperparameters/")
    own = Hyperparameters.complete(stored)
    found = [
        KeptModel(
            member=member,
            score=score if math.isfinite(score) else math.inf,
            hyperparameters={name: float(own[field][p]) for name, field in MOVABLE.items()},
        )
        for p, (member, score) in enumerate(zip(members, scores, strict=True))
    ]
    return sorted(found, key=lambda model: model.score)
