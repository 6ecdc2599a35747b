"""Posterior averages: mean over samples of rates, factors and every other signal, for one member.

All samples of a chunk of trials are drawn in one batched pass: the encoders run once per trial,
generation runs for trial x sample. Chunks keep memory bounded for any number of trials; a trial's
numbers depend on (seed, member, trial, sample) alone, not on the chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.model.encoder import encode
from lfads_torch.model.generator import GeneratorInput, generate
from lfads_torch.model.inputs import known_inputs
from lfads_torch.model.noise import Silence
from lfads_torch.model.sessions import is_encoded_unit, read_in, read_out
from lfads_torch.model.trial_ends import is_before_end
from lfads_torch.model.weights import ModelWeights
from lfads_torch.plugin_returns import returned_tensor
from lfads_torch.training.filed import at_hand
from lfads_torch.training.score import trials_at_once
from lfads_torch.training.step import external_inputs, gather, trial_inputs
from lfads_torch.training.streams import Streams
from lfads_torch.training.trial_ends import trial_ends

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.model.encoder import Encoded
    from lfads_torch.model.inputs import KnownInputs
    from lfads_torch.training.filed import Trials
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.task import Task

__all__ = [
    "PosteriorAverages",
    "PosteriorOptions",
    "SampleNoise",
    "posterior_averages",
    "trials_per_chunk",
]

_BYTES_AT_ONCE = 2**30


@dataclass(frozen=True, kw_only=True)
class PosteriorOptions:
    """How a posterior is averaged."""

    n_samples: int = 50  # 0: the posterior mean, no sampling
    seed: int = 0
    batch_size: int = 0  # trials at once; 0: as many as fit in about 1 GiB
    has_generator_states: bool = False
    phase: str = "posterior"  # prefix of the random sites


@dataclass(frozen=True, kw_only=True)
class PosteriorAverages:
    """Averages over samples for a chunk of trials, in the order of the trials given.

    `mean_counts` is the mean of the observation model per bin, `mean_counts_std` its spread over
    samples (population standard deviation; 0 without samples). Inputs: posterior mean and standard
    deviation, averaged over samples.
    """

    start: int
    mean_counts: Float[Tensor, "B T N"]
    mean_counts_std: Float[Tensor, "B T N"]
    factors: Float[Tensor, "B T F"]
    initial_condition_mean: Float[Tensor, "B Z"]
    initial_condition_std: Float[Tensor, "B Z"]
    generator_start: Float[Tensor, "B G"]
    input_mean: Float[Tensor, "B T U"] | None
    input_std: Float[Tensor, "B T U"] | None
    generator_states: Float[Tensor, "B T G"] | None


@dataclass(frozen=True)
class SampleNoise:
    """Sample s of a trial draws from step s of its site: [1, B * S, ...], samples side by side."""

    streams: Streams
    phase: str
    rows: Int[Tensor, "1 B"]
    n_samples: int
    dtype: torch.dtype

    def normal(self, site: str, *shape: int) -> Float[Tensor, "1 BS ..."]:
        n = int(torch.tensor(shape).prod())
        name = f"{self.phase}.{site}"
        drawn = [self.streams.normal(name, s, self.rows, n) for s in range(self.n_samples)]
        stacked = torch.stack(drawn, 2).to(self.dtype)
        return stacked.view(1, self.rows.shape[1] * self.n_samples, *shape)

    def dropout_mask(self, site: str, *shape: int) -> None:
        return None


def posterior_averages(
    weights: Float[Tensor, "1 n"],
    member: int,
    task: Task,
    trials: Trials,
    options: PosteriorOptions,
    *,
    session: int = 0,
    is_visible: Bool[Tensor, "B E N"] | None = None,
) -> Iterator[PosteriorAverages]:
    """Averages chunk by chunk for one member and one session.

    `is_visible` hides entries from the encoder and scales the rest of each trial up by the share
    that is hidden, as coordinated dropout does in training (so not before the first generated bin).
    """
    arranged = ModelWeights.arrange(task.named(weights), task.session_names, task.parts)
    streams = Streams(options.seed, torch.tensor([member], device=task.device))
    options = _without_sampling(options) if not task.model.variational else options
    copies = max(options.n_samples, 1)
    size = trials_per_chunk(task, options)
    for start in range(0, trials.n_trials, size):
        chunk = torch.arange(start, min(start + size, trials.n_trials), device=task.device)
        noise = (
            Silence()
            if options.n_samples == 0
            else SampleNoise(streams, options.phase, trials.rows[chunk][None], copies, task.dtype)
        )
        visible = None if is_visible is None else is_visible[chunk]
        with torch.no_grad():
            (held,), (index,) = at_hand((trials,), (chunk[None],))
            encoded, known = _encode(arranged, task, held, index[0], session, visible)
            averages = _generate(
                arranged, task, encoded, known=known, noise=noise, session=session, options=options
            )
            yield replace(averages, start=start)


def _without_sampling(options: PosteriorOptions) -> PosteriorOptions:
    """Of a model that is not variational there is only the mean."""
    return replace(options, n_samples=0)


def trials_per_chunk(task: Task, options: PosteriorOptions) -> int:
    """How many trials `posterior_averages` takes at once."""
    copies = max(options.n_samples, 1)
    return options.batch_size or trials_at_once(task, copies, bytes_at_once=_BYTES_AT_ONCE)


def _encode(
    weights: ModelWeights,
    task: Task,
    trials: ResidentTrials,
    chunk: Tensor,
    session: int,
    visible: Tensor | None,
) -> tuple[Encoded, KnownInputs]:
    """The posterior given the counts, and the known inputs."""
    counts = gather(trials, chunk[None], task, session=session).encoded
    ends = trial_ends((trials,), (chunk[None],))
    if visible is not None:
        counts = _hidden(counts, visible, ends=ends, task=task, session=session)
    known = known_inputs(
        external_inputs((trials,), (chunk[None],), task),
        trial_inputs((trials,), (chunk[None],), task),
        task.model,
        task.sizes,
    )
    x = known.beside(read_in(counts, task.sizes.sessions[session], weights.readins[session]))
    n_generated = task.sizes.n_bins - task.model.first_generated_bin
    encoded = encode(
        x, weights, Silence(), task.model, kernels=task.kernels, n_generated=n_generated,
        n_trial_bins=ends,
    )  # fmt: skip
    return encoded, known


def _hidden(
    counts: Tensor, visible: Tensor, *, ends: Tensor | None, task: Task, session: int
) -> Tensor:
    """The counts without the hidden entries, the rest of each trial scaled up by their share.

    Bins before the first generated one are never hidden in training; they are neither hidden nor
    scaled here. The share is that of a trial's own bins: `ends` [1, trials], None where all are.
    """
    start = task.model.first_generated_bin
    shown = visible[:, start:]
    is_counted = is_encoded_unit(task.sizes.sessions[session], counts.device).expand_as(shown)
    if ends is not None:
        is_own = is_before_end(counts.shape[2], ends)[0, start:].mT
        is_counted = is_counted & is_own[..., None]
    n_shown, n_counted = (shown & is_counted).sum((1, 2)), is_counted.sum((1, 2))
    share = n_shown.to(counts.dtype) / n_counted.clamp_min(1)
    after = counts[:, :, start:] * shown / share.clamp_min(1e-6)[:, None, None]
    return torch.cat([counts[:, :, :start], after], 2)


def _generate(
    weights: ModelWeights,
    task: Task,
    encoded: Encoded,
    *,
    known: KnownInputs,
    noise: Silence | SampleNoise,
    session: int,
    options: PosteriorOptions,
) -> PosteriorAverages:
    """Generate every sample of trials and average over samples."""
    copies = max(options.n_samples, 1)
    n_trials = encoded.mean.shape[1]
    mean, std = encoded.mean, encoded.std
    standard = noise.normal("sample.initial_condition", mean.shape[-1])
    repeated = mean.repeat_interleave(copies, 1)
    z = repeated if standard is None else repeated + std.repeat_interleave(copies, 1) * standard
    states = encoded.controller_states
    given = GeneratorInput(
        z,
        None if states is None else states.repeat_interleave(copies, 2),
        known.repeated(copies),
    )
    first, signals = generate(
        given,
        weights,
        noise,
        settings=task.model,
        kernels=task.kernels,
        n_generated=task.sizes.n_bins - task.model.first_generated_bin,
    )

    def averaged(value: Tensor) -> Tensor:
        """From [1, T, B*S, D] to the mean over samples, [B, T, D]."""
        mean: Tensor = value[0].unflatten(1, (n_trials, copies)).mean(2)
        return mean.transpose(0, 1)

    parameters = read_out(signals.factors, task.sizes.sessions[session], weights.readouts[session])
    family = task.observations[session]
    shape = (*parameters.shape[:-2], parameters.shape[-1])
    mean_counts = returned_tensor(family, "mean", family.mean(parameters), shape, axes="... N")
    counts = mean_counts[0].unflatten(0, (n_trials, copies))
    log_variance = signals.input_log_variance
    return PosteriorAverages(
        start=0,
        mean_counts=counts.mean(1),
        mean_counts_std=counts.std(1, unbiased=False),
        factors=averaged(signals.factors),
        initial_condition_mean=mean[0],
        initial_condition_std=std[0],
        generator_start=first[0].unflatten(0, (n_trials, copies)).mean(1),
        input_mean=None if signals.input_mean is None else averaged(signals.input_mean),
        input_std=None if log_variance is None else averaged(torch.exp(0.5 * log_variance)),
        generator_states=averaged(signals.generator_states)
        if options.has_generator_states
        else None,
    )
