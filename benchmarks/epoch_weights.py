"""Training that keeps the weights of every epoch: rules of selection are compared on one run.

Resumable; the weights lie in FOLDER/weights/epoch_NNNN.npy, [member, weight].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lfads_torch.outputs.metrics_log import MetricsLog
from lfads_torch.training.checkpoint import load_state, save_state
from lfads_torch.training.loop import EpochReport, advance
from lfads_torch.training.state import PopulationState
from lfads_torch.workflows.assemble import Assembly, start_state

__all__ = ["TrainedEpochs", "ensure_epochs"]


@dataclass(frozen=True)
class TrainedEpochs:
    """Every epoch of one population."""

    folder: Path
    assembly: Assembly

    @property
    def metrics(self) -> MetricsLog:
        return MetricsLog(self.folder / "metrics.jsonl")

    @property
    def state_path(self) -> Path:
        return self.folder / "last.safetensors"

    def weights_path(self, epoch: int) -> Path:
        return self.folder / "weights" / f"epoch_{epoch:04d}.npy"

    def state(self, epoch: int) -> PopulationState:
        """The population as it was when this epoch was scored; moments and clocks are left out."""
        weights = torch.from_numpy(np.load(self.weights_path(epoch)))
        return replace(start_state(self.assembly), weights=weights, epoch=epoch)


def ensure_epochs(folder: Path, assembly: Assembly) -> TrainedEpochs:
    """All epochs that the settings ask for: trained now, gone on with, or found as they are."""
    trained = TrainedEpochs(folder, assembly)
    trained.weights_path(0).parent.mkdir(parents=True, exist_ok=True)
    task, training = assembly.task, assembly.settings.training
    if trained.state_path.exists():
        state = load_state(trained.state_path, task.layout, task.device)
    else:
        state = start_state(assembly)
    trained.metrics.truncate_after(state.epoch - 1)

    def observe(report: EpochReport) -> None:
        np.save(trained.weights_path(report.epoch), state.weights.cpu().numpy())
        trained.metrics.append(report.row())
        save_state(trained.state_path, state, task.layout, seed=assembly.settings.run.seed)
        if report.epoch % 10 == 0:
            scores = " ".join(f"{value:.5f}" for value in report.values["valid_score"])
            print(f"{folder.name}: epoch {report.epoch}, {report.seconds:.1f} s, {scores}")

    advance(
        state,
        task,
        assembly.training_data(),
        seed=assembly.settings.run.seed,
        n_epochs=training.epochs - state.epoch,
        observe=observe,
    )
    return trained
