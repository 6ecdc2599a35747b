"""An epoch's training steps as replays of CUDA graphs: recorded once, then started as one call.

A step is thousands of small launches that the processor would issue one by one. A graph replays
them on fixed memory, so a *stage* holds a copy of the population at fixed addresses: the state is
copied in before an epoch and out after it. Step number, trial indices, hyperparameters and clocks
are tensors there; sums of the terms stay on the device. Nothing waits for the device in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lfads_torch.training.state import Clocks
from lfads_torch.training.step import training_step

if TYPE_CHECKING:
    from lfads_torch.training.augment import Augmentation
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.step import StepReport
    from lfads_torch.training.task import Task

__all__ = ["EPOCH_TERMS", "StepGraphs", "Sums", "named_terms"]

EPOCH_TERMS = (
    "reconstruction", "kl_initial_condition", "kl_inputs", "l2", "loss", "gradient_norm",
)  # fmt: skip
_CHANGED = ("weights", "moment1", "moment2")
_STAGES = 8  # kept at most: groups of two sizes, and the chains of their augmentations


def named_terms(report: StepReport) -> dict[str, Tensor]:
    """What an epoch reports of a step, [P] each."""
    terms = {name: getattr(report.terms, name) for name in EPOCH_TERMS if name != "gradient_norm"}
    return {**terms, "gradient_norm": report.gradient_norm}


@dataclass(frozen=True)
class Sums:
    """Of every term: its mean over the trials of an epoch, and whether it was always finite."""

    means: dict[str, Tensor]
    is_finite: dict[str, Tensor]

    @classmethod
    def start(cls, n_members: int, device: torch.device) -> Sums:
        return cls(
            {k: torch.zeros(n_members, dtype=torch.float64, device=device) for k in EPOCH_TERMS},
            {k: torch.ones(n_members, dtype=torch.bool, device=device) for k in EPOCH_TERMS},
        )

    def add(self, report: StepReport, share: float) -> None:
        """Add a step, in place; `share` of the epoch's trials were in it."""
        for name, value in named_terms(report).items():
            self.means[name].add_(share * value.double())
            self.is_finite[name].logical_and_(value.isfinite())

    def copy(self) -> Sums:
        return Sums(
            {k: v.clone() for k, v in self.means.items()},
            {k: v.clone() for k, v in self.is_finite.items()},
        )


@dataclass
class StepGraphs:
    """The graphs of one task. `refusal` says why steps cannot be recorded, once that is known."""

    is_wanted: bool = True
    refusal: str | None = None
    _stages: dict[tuple[object, ...], _Stage] = field(default_factory=dict)
    _told: bool = False

    def epoch(
        self,
        state: PopulationState,
        task: Task,
        trials: tuple[ResidentTrials, ...],
        batches: list[tuple[Tensor, ...]],
        *,
        seed: int,
        chain: tuple[Augmentation, ...],
    ) -> Sums | None:
        """Train one epoch by replays; `state` changes. None, and no change, where that fails."""
        if not self.is_wanted or self.refusal is not None:
            return None
        if any(part.n_trial_bins is not None for part in trials):
            self.refusal = "trials end at different bins, and only the device knows the longest one"
            return None
        key = (state.n_members, seed, id(trials), tuple(type(each) for each in chain))
        try:
            if key not in self._stages:
                self._make_room()
                self._stages[key] = _Stage.like(state, task, trials, seed, chain)
            stage = self._stages[key]
            stage.record(state, batches)
        except RuntimeError as error:
            self._stages.clear()
            self.refusal = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            return None
        return stage.train(state, batches)

    def _make_room(self) -> None:
        """A stage holds a population and the memory of its steps: the oldest go."""
        while len(self._stages) >= _STAGES:
            del self._stages[next(iter(self._stages))]

    def news(self) -> list[str]:
        """A message for the run's log, the first time that it is asked for after a refusal."""
        if self.refusal is None or self._told:
            return []
        self._told = True
        return [
            "training steps cannot be recorded as a CUDA graph and are launched one by one, which "
            f"is slower and gives the same numbers ({self.refusal})"
        ]


@dataclass
class _Stage:
    """A population at fixed addresses, and the graphs that advance it, by the batch's widths."""

    state: PopulationState
    step: Tensor  # [1]
    task: Task
    trials: tuple[ResidentTrials, ...]
    seed: int
    chain: tuple[Augmentation, ...]
    sums: Sums
    graphs: dict[tuple[int, ...], _Graph] = field(default_factory=dict)

    @classmethod
    def like(
        cls,
        state: PopulationState,
        task: Task,
        trials: tuple[ResidentTrials, ...],
        seed: int,
        chain: tuple[Augmentation, ...],
    ) -> _Stage:
        device = state.weights.device
        return cls(
            state.copy(),
            torch.zeros(1, dtype=torch.int64, device=device),
            task,
            trials,
            seed,
            chain,
            Sums.start(state.n_members, device),
        )

    def load(self, state: PopulationState) -> None:
        """Copy the population in, and start the sums anew."""
        own = self.state
        for name in _CHANGED:
            getattr(own, name).copy_(getattr(state, name))
        own.members.copy_(state.members)
        for to, given in (
            (own.hyperparameters, state.hyperparameters),
            (own.clocks, state.clocks),
        ):
            held = to.as_dict()
            for name, value in given.as_dict().items():
                held[name].copy_(value)
        self.step.fill_(state.step)
        for total in self.sums.means.values():
            total.zero_()
        for always in self.sums.is_finite.values():
            always.fill_(True)

    def record(self, state: PopulationState, batches: list[tuple[Tensor, ...]]) -> None:
        """Make the graphs that these batches need and that are not there yet."""
        for batch in batches:
            if _widths(batch) not in self.graphs:
                self.load(state)
                share = sum(_widths(batch)) / sum(each.n_trials for each in self.trials)
                self.graphs[_widths(batch)] = self._recorded(batch, share)

    def _recorded(self, batch: tuple[Tensor, ...], share: float) -> _Graph:
        indices = tuple(index.clone() for index in batch)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(side):
                self.advance(indices, share)  # compiles kernels, moves what is moved once
                with _nothing_waits():
                    self.advance(indices, share)
        finally:  # also after a refusal, which frees the memory that these steps still use
            torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        pool = next((each.graph.pool() for each in self.graphs.values()), None)
        with torch.cuda.graph(graph, pool=pool):
            self.advance(indices, share)
        return _Graph(graph, indices)

    def advance(self, indices: tuple[Tensor, ...], share: float) -> None:
        """One step of the stage's own population, all results written to fixed addresses."""
        own = self.state
        work = replace(own, clocks=Clocks(**own.clocks.as_dict()))
        # A tensor in the place of a number: the step adds to it where it is.
        work.step = self.step  # type: ignore[assignment]
        report = training_step(
            work, self.task, self.trials, indices, seed=self.seed, chain=self.chain
        )
        for name in _CHANGED:
            _write(getattr(own, name), getattr(work, name))
        _write(own.clocks.steps, work.clocks.steps)
        self.sums.add(report, share)

    def train(self, state: PopulationState, batches: list[tuple[Tensor, ...]]) -> Sums:
        self.load(state)
        for batch in batches:
            self.graphs[_widths(batch)].replay(batch)
        for name in _CHANGED:
            setattr(state, name, getattr(self.state, name).clone())
        state.clocks.steps = self.state.clocks.steps.clone()
        state.step += len(batches)
        return self.sums.copy()


@dataclass(frozen=True)
class _Graph:
    graph: Any  # a CUDAGraph, which a CPU build of PyTorch cannot make
    indices: tuple[Tensor, ...]

    def replay(self, batch: tuple[Tensor, ...]) -> None:
        for to, given in zip(self.indices, batch, strict=True):
            to.copy_(given)
        self.graph.replay()


@contextmanager
def _nothing_waits() -> Iterator[None]:
    """Raises RuntimeError where an operation would wait for the device.

    Found so, and not by a recording: one that fails leaves PyTorch's memory and generator as if it
    had never ended.
    """
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _widths(batch: tuple[Tensor, ...]) -> tuple[int, ...]:
    return tuple(index.shape[1] for index in batch)


def _write(to: Tensor, value: Tensor) -> None:
    if to is not value:
        to.copy_(value)
