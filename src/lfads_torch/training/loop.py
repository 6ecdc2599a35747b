"""Epochs: train, score, keep the best, deal with what diverged, stop when it is time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from lfads_torch.errors import DivergenceError
from lfads_torch.kernels.compiled.threads import threads_for_library
from lfads_torch.training.batches import alternating_batches, balanced_batches, total_size
from lfads_torch.training.filed import read_ahead
from lfads_torch.training.graphs import Sums
from lfads_torch.training.memory import freed_memory_kept
from lfads_torch.training.prepare import augmentations, is_in_library
from lfads_torch.training.resident import ResidentTrials
from lfads_torch.training.sample_validation import sample_validation_score
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.state import CHECKED_TERMS
from lfads_torch.training.step import loss_weights, training_step
from lfads_torch.training.streams import Streams

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.loss.objective import LossWeights
    from lfads_torch.training.augment import Augmentation
    from lfads_torch.training.filed import Trials
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = ["AdvanceOptions", "EpochReport", "TrainingData", "advance"]

_MAX_ROLLBACKS = 5


@dataclass(frozen=True)
class TrainingData:
    """Training and validation trials of every session."""

    train: tuple[Trials, ...]
    valid: tuple[Trials, ...]


@dataclass(frozen=True, kw_only=True)
class AdvanceOptions:
    """How a population trains, beside what the task says."""

    # A single model goes back to the epoch's start at a lower rate. In a search a member that left
    # the finite numbers is frozen and waits to be replaced.
    diverged: Literal["roll_back", "freeze"] = "roll_back"
    members_at_once: int = 0  # groups of this many train in turn, to bound memory; 0: all at once
    wants_stop: Callable[[], bool] = lambda: False  # asked between epochs


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch: for every quantity a list over members (`docs/formats.md`)."""

    epoch: int
    step: int
    seconds: float
    members: tuple[int, ...]  # permanent ids, in the order of the lists
    values: dict[str, list[float]]  # terms, gradient_norm, learning_rate, scores, ramps
    messages: tuple[str, ...]  # what diverged or stopped, in words

    def row(self) -> dict[str, object]:
        """A line of metrics.jsonl; `members` only where the ids are not 0, 1, 2, ..."""
        row = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds, **self.values}
        if self.members != tuple(range(len(self.members))):
            row |= {"members": list(self.members)}
        return row | {"messages": list(self.messages)} if self.messages else row


def advance(
    state: PopulationState,
    task: Task,
    data: TrainingData,
    *,
    seed: int,
    n_epochs: int,
    observe: Callable[[EpochReport], None],
    options: AdvanceOptions = AdvanceOptions(),
) -> None:
    """Train for up to `n_epochs` more epochs; `state` changes in place.

    `observe` is called after every epoch, when the state is whole and can be stored. Ends early
    once every member has stopped, or when `options.wants_stop` says so. Raises
    DivergenceError if members roll back and none can go on; frozen ones raise nothing.
    """
    with freed_memory_kept(), _threads(state, task, data):
        for _ in range(n_epochs):
            if bool(state.clocks.is_stopped.all()) or options.wants_stop():
                return
            observe(_epoch(state, task, data, seed, options))


def _threads(
    state: PopulationState, task: Task, data: TrainingData
) -> AbstractContextManager[None]:
    """All for the compiled library where it does nearly the whole step; else PyTorch's too."""
    return threads_for_library() if is_in_library(state, task, data.train) else nullcontext()


def _epoch(
    state: PopulationState, task: Task, data: TrainingData, seed: int, options: AdvanceOptions
) -> EpochReport:
    """One epoch of all members, group after group: what a member does depends on no other one."""
    size = options.members_at_once
    if not 0 < size < state.n_members:
        report = _epoch_of_group(state, task, data, seed, options)
    else:
        reports = []
        for rows in torch.arange(state.n_members, device=state.weights.device).split(size):
            part = state.part(rows)
            reports.append(_epoch_of_group(part, task, data, seed, options))
            state.put(rows, part)
        state.step, state.epoch = part.step, part.epoch
        report = _joined(reports)
    if options.diverged == "roll_back":
        _require_somebody(state, report)
    return report


def _epoch_of_group(
    state: PopulationState, task: Task, data: TrainingData, seed: int, options: AdvanceOptions
) -> EpochReport:
    started = time.perf_counter()
    was_stopped = state.clocks.is_stopped
    before = state.copy() if options.diverged == "roll_back" else None
    scales = loss_weights(state, task)
    trained = _train(state, task, data, seed)
    means, is_finite = trained.means, trained.is_finite
    score = validation_reconstruction(state, task, data.valid, seed=seed)
    means["ramp_kl"], means["ramp_l2"] = scales.ramp_kl, scales.ramp_l2
    means["learning_rate"] = state.hyperparameters.learning_rate.clone()  # the one in use
    means["valid_reconstruction"] = score
    if task.augmentation.has_sample_validation:
        means["sample_validation"] = sample_validation_score(state, task, data.train, seed=seed)
    is_finite["valid_reconstruction"] = score.isfinite()
    has_failed = ~torch.stack(list(is_finite.values())).all(0) & ~was_stopped
    if before is None:
        messages = _freeze(state, is_finite, has_failed)
    else:
        messages = _roll_back(state, before, is_finite, has_failed)
    # A member that went back is not scored: the score is of weights that it no longer has.
    _keep_score(state, task, score.where(~has_failed, torch.nan), scales)
    messages += [*_stop_or_slow(state, task, scales), *task.graphs.news()]
    means["valid_score"] = state.clocks.smoothed
    epoch = state.epoch
    state.epoch += 1
    state.clocks.epochs = state.clocks.epochs + ~(was_stopped | has_failed)
    read = torch.stack([value.double() for value in means.values()]).tolist()  # one transfer
    values = dict(zip(means, read, strict=True))
    members = tuple(state.members.tolist())
    seconds = time.perf_counter() - started
    return EpochReport(epoch, state.step, seconds, members, values, tuple(messages))


def _joined(reports: list[EpochReport]) -> EpochReport:
    """The groups' reports as one of the population."""
    first = reports[0]
    return EpochReport(
        epoch=first.epoch,
        step=first.step,
        seconds=sum(report.seconds for report in reports),
        members=tuple(member for report in reports for member in report.members),
        values={
            name: [value for report in reports for value in report.values[name]]
            for name in first.values
        },
        messages=tuple(text for report in reports for text in report.messages),
    )


def _train(state: PopulationState, task: Task, data: TrainingData, seed: int) -> Sums:
    """All batches of one epoch, on a GPU as replays of recorded steps where that is possible."""
    batches = _batches(state, task, data, Streams(seed, state.members))
    chain = augmentations(task, state.hyperparameters)
    if state.weights.device.type == "cuda":
        replayed = _replayed(state, task, data, batches, seed=seed, chain=chain)
        if replayed is not None:
            return replayed
    sums = Sums.start(state.n_members, state.weights.device)
    n_trials = sum(part.n_trials for part in data.train)
    for trials, batch in read_ahead(data.train, batches):
        report = training_step(state, task, trials, batch, seed=seed, chain=chain)
        sums.add(report, total_size(batch) / n_trials)
    return sums


def _replayed(
    state: PopulationState,
    task: Task,
    data: TrainingData,
    batches: list[tuple[Tensor, ...]],
    *,
    seed: int,
    chain: tuple[Augmentation, ...],
) -> Sums | None:
    """The epoch as replays of recorded steps; None, and no change, where there are none."""
    if not all(isinstance(part, ResidentTrials) for part in data.train):
        task.graphs.refusal = "trials are read from the file as they are needed"
        return None
    # The tuple itself, for what is recorded belongs to it.
    resident = cast("tuple[ResidentTrials, ...]", data.train)
    sums: Sums | None = task.graphs.epoch(state, task, resident, batches, seed=seed, chain=chain)
    return sums


def _batches(
    state: PopulationState, task: Task, data: TrainingData, streams: Streams
) -> list[tuple[Tensor, ...]]:
    """Positions [P, _] per session for every batch of the epoch."""
    n_trials, size = tuple(part.n_trials for part in data.train), task.training.batch_size
    if task.alternates:
        return alternating_batches(streams, state.epoch, n_trials, size)
    ends = tuple(part.n_trial_bins for part in data.train)
    return balanced_batches(streams, state.epoch, n_trials, size, n_trial_bins=ends)


def _freeze(
    state: PopulationState, is_finite: dict[str, Bool[Tensor, " P"]], failed: Bool[Tensor, " P"]
) -> list[str]:
    """Members that left the finite numbers stop, without a score, and remember what broke."""
    if not bool(failed.any()):
        return []
    clocks = state.clocks
    clocks.is_stopped = clocks.is_stopped | failed
    clocks.smoothed = torch.where(failed, torch.nan, clocks.smoothed)
    messages = []
    for p in failed.nonzero().flatten().tolist():
        term = _first_broken(is_finite, p)
        clocks.broken[p] = CHECKED_TERMS.index(term)
        messages.append(
            f"member {int(state.members[p])}: {term} was not finite in epoch {state.epoch}; it is "
            "frozen and has no score"
        )
    return messages


def _first_broken(is_finite: dict[str, Bool[Tensor, " P"]], p: int) -> str:
    return next(name for name in CHECKED_TERMS if not bool(is_finite[name][p]))


def _roll_back(
    state: PopulationState,
    before: PopulationState,
    is_finite: dict[str, Bool[Tensor, " P"]],
    failed: Bool[Tensor, " P"],
) -> list[str]:
    """Members that left the finite numbers return to the epoch's start at half their rate.

    After five returns a member stops.
    """
    if not bool(failed.any()):
        return []
    _revert(state, before, failed)
    rate = state.hyperparameters.learning_rate
    rate.copy_(torch.where(failed, 0.5 * rate, rate))
    state.clocks.rollbacks = state.clocks.rollbacks + failed
    given_up = failed & (state.clocks.rollbacks > _MAX_ROLLBACKS)
    state.clocks.is_stopped = state.clocks.is_stopped | given_up
    messages = []
    for p in failed.nonzero().flatten().tolist():
        member = int(state.members[p])
        ending = "it stops" if bool(given_up[p]) else f"its learning rate is now {rate[p]:.2g}"
        messages.append(
            f"member {member}: {_first_broken(is_finite, p)} was not finite in epoch "
            f"{state.epoch}; it went back to the start of the epoch and {ending}"
        )
    return messages


def _require_somebody(state: PopulationState, report: EpochReport) -> None:
    """Raise DivergenceError, with the term that broke, if no member is left and none has a best."""
    clocks = state.clocks
    has_given_up = clocks.rollbacks > _MAX_ROLLBACKS
    if bool(has_given_up.any()) and bool((clocks.is_stopped & (clocks.best_epoch < 0)).all()):
        raise DivergenceError(
            f"training left the finite numbers {_MAX_ROLLBACKS + 1} times: {report.messages[-1]}. "
            "Lower training.learning_rate, or look at the data with `lfads check`."
        )


def _revert(state: PopulationState, before: PopulationState, failed: Tensor) -> None:
    """Failed members take weights, moments and clocks of the epoch's start."""
    for name in ("weights", "moment1", "moment2", "best_weights"):
        old, new = getattr(before, name), getattr(state, name)
        setattr(state, name, torch.where(failed[:, None], old, new))
    for name, old in before.clocks.as_dict().items():
        setattr(state.clocks, name, torch.where(failed, old, getattr(state.clocks, name)))


def _keep_score(
    state: PopulationState, task: Task, score: Float[Tensor, " P"], scales: LossWeights
) -> None:
    """Smooth the score, and keep the weights of the best epoch that counts (`best_from`)."""
    clocks = state.clocks
    past = task.training.score_smoothing
    smoothed = torch.where(
        clocks.smoothed.isfinite(), past * clocks.smoothed + (1.0 - past) * score, score
    )
    counts = score.isfinite() & ~clocks.is_stopped
    clocks.smoothed = torch.where(counts, smoothed, clocks.smoothed)
    is_best = counts & (clocks.smoothed < clocks.best_score)
    if task.training.best_from == "ramps":
        is_best = is_best & _ramps_are_over(scales)
    clocks.best_score = torch.where(is_best, clocks.smoothed, clocks.best_score)
    clocks.best_epoch = torch.where(is_best, state.epoch, clocks.best_epoch)
    state.best_weights = torch.where(is_best[:, None], state.weights, state.best_weights)


def _ramps_are_over(scales: LossWeights) -> Bool[Tensor, " P"]:
    return (scales.ramp_kl >= 1.0) & (scales.ramp_l2 >= 1.0)


def _stop_or_slow(state: PopulationState, task: Task, scales: LossWeights) -> list[str]:
    """Early stopping after the ramps, and the decay of the rate on a plateau."""
    clocks, settings = state.clocks, task.training
    messages = []
    if settings.patience:
        waited = state.epoch - clocks.best_epoch >= settings.patience
        is_done = waited & (clocks.best_epoch >= 0) & ~clocks.is_stopped & _ramps_are_over(scales)
        clocks.is_stopped = clocks.is_stopped | is_done
        messages += [
            f"member {int(state.members[p])}: no better score for {settings.patience} epochs; it "
            f"stops, its best epoch is {int(clocks.best_epoch[p])}"
            for p in is_done.nonzero().flatten().tolist()
        ]
    if settings.plateau_factor < 1.0:
        _slow_on_plateau(state, task)
    return messages


def _slow_on_plateau(state: PopulationState, task: Task) -> None:
    clocks, settings = state.clocks, task.training
    is_better = clocks.smoothed < clocks.plateau_best
    clocks.plateau_best = torch.where(is_better, clocks.smoothed, clocks.plateau_best)
    waited = torch.where(is_better, 0, clocks.plateau_wait + 1)
    clocks.plateau_wait = torch.where(clocks.is_stopped, clocks.plateau_wait, waited)
    is_due = (clocks.plateau_wait >= settings.plateau_patience) & ~clocks.is_stopped
    rate = state.hyperparameters.learning_rate
    slower = (rate * settings.plateau_factor).clamp_min(settings.learning_rate_floor)
    rate.copy_(torch.where(is_due, torch.minimum(rate, slower), rate))
    clocks.plateau_wait = torch.where(is_due, 0, clocks.plateau_wait)
