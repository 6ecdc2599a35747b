"""What the inferred inputs carry, per dimension, and whether they meet known pulses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError
from lfads_torch.workflows.scores.measure import Measured, absent, measured
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.arrays import Numbers
    from lfads_torch.analysis.metrics.inferred_inputs import AutoregressivePrior
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["TrialMean", "TrialVariance", "divergence_per_trial", "input_scores", "pulse_times"]

N_SAMPLES = 10  # of the divergence: its spread over samples is small beside that over trials
TOLERANCE_S = 0.03
CONTENT_NOTE = (
    "what the generator could not predict; no proof of an anatomical input. Sign, rotation and "
    "scale of the inputs are arbitrary"
)
TIMING_NOTE = (
    "share of pulses within 30 ms of the largest input, in units of the prior's stationary width "
    "(by innovations: of what the prior would not expect from the bin before); unless it is causal "
    "the controller sees later bins, so an input may lead its event. Control: the same score on "
    "a matched recording without pulses"
)


@dataclass(frozen=True)
class TrialMean:
    """The mean of one number per trial."""

    values: NDArray[np.float64]  # [B]

    @property
    def n_trials(self) -> int:
        return len(self.values)

    @property
    def value(self) -> float:
        return float(self.values.mean())

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        w = np.asarray(weights, dtype=np.float64)
        return np.asarray(w @ self.values / w.sum(axis=1))


@dataclass(frozen=True)
class TrialVariance:
    """Variance over trials and bins, relative to a given one."""

    values: NDArray[np.float64]  # [B, T]
    reference: float

    @property
    def n_trials(self) -> int:
        return len(self.values)

    @property
    def value(self) -> float:
        return float(self.values.var() / self.reference)

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        w = np.asarray(weights, dtype=np.float64)
        centred = self.values - self.values.mean()
        n = w.sum(axis=1) * self.values.shape[1]
        mean, square = (w @ (centred**power).sum(axis=1) / n for power in (1, 2))
        return np.asarray((square - mean**2) / self.reference)


def input_scores(case: Case) -> Iterator[Score]:
    """Divergence and variance of each dimension, counted from 0; the timing of all together."""
    if case.model.settings.model.n_inferred_inputs == 0:
        for name in ("inferred_input_kl", "inferred_input_variance", "inferred_input_timing"):
            yield absent(case, name, "the model has no inferred inputs")
        return
    mean = np.asarray(case.evaluated.signals.input_mean, dtype=np.float64)
    if not case.model.settings.model.variational:
        for name in ("inferred_input_kl", "inferred_input_variance", "inferred_input_timing"):
            yield absent(case, name, "the model is not variational: its inputs have no prior")
        return
    prior = prior_of(case.model)
    divergence = divergence_per_trial(case.model, case.positions, seed=case.protocol.seed)
    for u in range(mean.shape[2]):
        name, nats = f"inferred_input_{u}", TrialMean(divergence[:, u])
        share = TrialVariance(mean[:, :, u], float(prior.stationary_variance[u]))
        yield measured(case, f"{name}_kl", partial(_content, nats, "nats/trial"))
        yield measured(case, f"{name}_variance", partial(_content, share, "of the prior's"))
    if case.evaluated.recording.true_inputs is None:
        yield absent(case, "inferred_input_timing", "true inputs are not known")
    else:
        yield measured(case, "inferred_input_timing", partial(_timing, case, mean, prior))


def _content(score: TrialMean | TrialVariance, unit: str) -> Measured:
    return Measured(
        trial_score=score, unit=unit, note=CONTENT_NOTE, is_comparable=False, is_of_rates=False
    )


def prior_of(model: TrainedModel) -> AutoregressivePrior:
    """The learned prior of the inferred inputs; independent normals have no memory."""
    from lfads_torch.analysis.metrics.inferred_inputs import AutoregressivePrior
    from lfads_torch.model.priors import autoregressive

    task = model.assembly.task
    named, prior = task.named(model.weights), task.priors.inputs
    if prior is None:
        raise DataError("the model has no inferred inputs")
    stationary = prior.variance(named)[0].double().cpu().numpy()
    time_constant = np.zeros(len(stationary))
    if isinstance(prior, autoregressive.AutoregressivePrior):
        time_constant = named[prior.time_constant_name][0].double().exp().cpu().numpy()
    decay = np.where(
        time_constant > 0, np.exp(-1 / np.where(time_constant > 0, time_constant, 1)), 0
    )
    return AutoregressivePrior(
        time_constant_bins=time_constant, variance=stationary * (1 - decay**2)
    )


def divergence_per_trial(
    model: TrainedModel, positions: NDArray[np.int64], *, seed: int
) -> NDArray[np.float64]:
    """Step-wise divergence along the generator's own samples, nats [B, U]; mean over samples."""
    import torch

    from lfads_torch.model.priors.autoregressive import AutoregressivePrior
    from lfads_torch.model.weights import ModelWeights
    from lfads_torch.training.filed import at_hand
    from lfads_torch.training.noise import StreamNoise
    from lfads_torch.training.score import forward, trials_at_once
    from lfads_torch.training.streams import Streams

    task = model.assembly.task
    prior = task.priors.inputs
    if prior is None:
        raise DataError("the model has no inferred inputs")
    if isinstance(prior, AutoregressivePrior):  # also of a model that was trained otherwise
        prior = replace(prior, is_factorised=False)
    trials = model.assembly.trials.take(torch.as_tensor(positions, device=task.device))
    named = task.named(model.weights)
    weights = ModelWeights.arrange(named, task.session_names, task.parts)
    streams = Streams(seed, torch.tensor([model.member], device=task.device))
    size, chunks = trials_at_once(task, 1), []
    for start in range(0, trials.n_trials, size):
        chunk = torch.arange(start, min(start + size, trials.n_trials), device=task.device)[None]
        (held,), (index,) = at_hand((trials,), (chunk,))
        total = np.zeros((index.shape[1], model.settings.model.n_inferred_inputs))
        for sample in range(N_SAMPLES):
            noise = StreamNoise(streams, "divergence", sample, held.rows[index], task.dtype)
            with torch.no_grad():
                inputs = forward(task, held, index, 0, weights, noise).inputs
                assert inputs is not None  # there is a prior of them
                terms = prior.terms(inputs, named)[0].double()
            if inputs.is_counted is not None:
                terms = torch.where(inputs.is_counted[0, ..., None], terms, 0.0)
            total += terms.sum(0).cpu().numpy() / N_SAMPLES
        chunks.append(total)
    return np.concatenate(chunks)


def _timing(case: Case, mean: NDArray[np.float64], prior: AutoregressivePrior) -> Measured:
    from lfads_torch.analysis.metrics.inferred_inputs import (
        lead_lag_histogram,
        pulse_timing,
        whitened_magnitude,
    )

    own = case.evaluated
    times = pulse_times(np.asarray(own.recording.true_inputs), own.recording.time_s)
    times = np.where(times >= own.time_s[0] - 0.5 * case.bin_width_s, times, np.nan)
    timed = partial(pulse_timing, time_s=own.time_s, pulse_time_s=times, tolerance_s=TOLERANCE_S)
    score = timed(whitened_magnitude(mean, prior, whiten="stationary"))
    by_innovations = timed(whitened_magnitude(mean, prior, whiten="innovations"))
    edges, counts = lead_lag_histogram(score, bin_width_s=case.bin_width_s)
    return Measured(
        trial_score=score,
        note=TIMING_NOTE,
        beside={
            "chance (random bin)": score.chance_uniform,
            "chance (other trials' pulses)": score.chance_permuted,
            "by innovations": by_innovations.value,
        },
        details={
            "scaled_by": "stationary width of the prior",
            "lead_lag_edges_s": edges,
            "lead_lag_counts": counts,
            "median_lead_lag_s": float(np.median(score.error_s)),
            "n_without_pulse": score.n_without_pulse,
        },
        is_scored=np.isfinite(times),
        is_of_rates=False,
    )


def pulse_times(
    true_inputs: NDArray[np.floating], time_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Onset of each trial's pulse, s, NaN where there is none, [B]; inputs are [B, L, D].

    A pulse is one run of bins in which any dimension is not 0. Anything else is no pulse, and then
    nothing can be timed: DataError.
    """
    is_on = (np.nan_to_num(true_inputs) != 0).any(axis=2)
    starts = is_on & ~np.pad(is_on, ((0, 0), (1, 0)))[:, :-1]
    n_pulses = starts.sum(axis=1)
    if (n_pulses > 1).any() or is_on.all(axis=1).any() or not n_pulses.any():
        raise DataError(
            "the true inputs are not pulses (at most one run of bins per trial that are not 0, and "
            "some trial with one), so there is no moment to time"
        )
    return np.where(n_pulses == 1, time_s[np.argmax(starts, axis=1)], np.nan)
