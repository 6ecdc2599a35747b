"""Training of a fit inside its run folder: epochs, metrics, checkpoints, signals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.training.loop import EpochReport
    from lfads_torch.training.state import PopulationState
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.fit import Observer

__all__ = ["train_fit"]


def train_fit(run: RunFolder, assembly: Assembly, watcher: Observer, *, is_resumed: bool) -> None:
    """Train to the end or to a signal; the run's status says which."""
    from lfads_torch.training.checkpoint import load_state
    from lfads_torch.training.loop import AdvanceOptions, advance
    from lfads_torch.workflows.assemble import start_state
    from lfads_torch.workflows.grouping import members_at_once
    from lfads_torch.workflows.interruption import Interruption

    settings, task, path = assembly.settings, assembly.task, run.last_checkpoint_path
    if is_resumed and path.exists():
        state = load_state(path, task.layout, task.device, own=settings.own)
        run.metrics.truncate_after(state.epoch - 1)
        watcher.message(f"resumed after epoch {state.epoch - 1}")
    else:
        # The refit of a member starts from that member's own initial weights.
        state = start_state(assembly, first_member=int(run.read_record().refit.get("member", 0)))
        run.metrics.truncate_after(-1)
    keeper = _Keeper(run, assembly, state, watcher)
    with Interruption(watcher.message) as interruption:
        advance(
            state,
            task,
            assembly.training_data(),
            seed=settings.run.seed,
            n_epochs=settings.training.epochs - state.epoch,
            observe=keeper.observe,
            options=AdvanceOptions(
                members_at_once=members_at_once(run, assembly, watcher),
                wants_stop=lambda: interruption.is_wanted,
            ),
        )
        keeper.store()
    is_done = state.epoch >= settings.training.epochs or bool(state.clocks.is_stopped.all())
    if is_done:
        run.set_status("finished")
    else:
        run.set_status("interrupted", reason=interruption.signal_name)
        watcher.message(
            f"stored after epoch {state.epoch - 1}; go on with: lfads resume {run.path}"
        )


class _Keeper:
    """Writes metrics after every epoch and checkpoints from time to time."""

    def __init__(
        self, run: RunFolder, assembly: Assembly, state: PopulationState, watcher: Observer
    ) -> None:
        self._run, self._assembly, self._state, self._watcher = run, assembly, state, watcher
        self._stored_at = time.monotonic()

    def observe(self, report: EpochReport) -> None:
        if not self._assembly.has_validation:
            _keep_last(self._state)
        self._run.metrics.append(report.row())
        for text in report.messages:
            self._watcher.message(text)
        self._watcher.epoch(report, self._assembly.settings)
        interval = self._assembly.settings.training.checkpoint_interval_s
        if time.monotonic() - self._stored_at >= interval:
            self.store()

    def store(self) -> None:
        from lfads_torch.training.checkpoint import save_best, save_state

        layout, seed = self._assembly.task.layout, self._assembly.settings.run.seed
        save_state(self._run.last_checkpoint_path, self._state, layout, seed=seed)
        save_best(self._run.best_checkpoint_path, self._state, layout, seed=seed)
        self._stored_at = time.monotonic()


def _keep_last(state: PopulationState) -> None:
    """Make the last weights the best ones: scores of training trials choose nothing."""
    import torch

    clocks = state.clocks
    goes_on = ~clocks.is_stopped | (clocks.best_epoch < 0)
    state.best_weights = torch.where(goes_on[:, None], state.weights, state.best_weights)
    clocks.best_epoch = torch.where(goes_on, state.epoch - 1, clocks.best_epoch)
    clocks.best_score = torch.where(goes_on, clocks.smoothed, clocks.best_score)
