"""The model on one screen: counts of a batch -> initial condition -> factors -> parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.model.encoder import dropped_in_time, encode_in_time
from lfads_torch.model.generator import GeneratorInput, generate
from lfads_torch.model.inputs import known_inputs
from lfads_torch.model.priors.base import Posterior
from lfads_torch.model.sessions import ReadOut, read_in
from lfads_torch.model.trial_ends import is_before_end

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.kernels.decoder.reference import DecoderOutput
    from lfads_torch.model.noise import Noise
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.sizes import ModelSizes
    from lfads_torch.model.weights import ModelWeights

__all__ = ["ModelInput", "ModelOutput", "lfads"]


@dataclass(frozen=True)
class ModelInput:
    """The trials of one batch. Trials of several sessions stand one session after the other."""

    counts: tuple[Float[Tensor, "P _ E _"], ...]  # per session [P, B, E, N]; NaN already 0
    sessions: tuple[int, ...]  # which session each entry of `counts` is
    external_inputs: Float[Tensor, "P B L X"] | None = None  # of the recording's bins, all trials
    n_trial_bins: Int[Tensor, "P B"] | None = None  # recording bins of all trials; None: all bins
    trial_inputs: Float[Tensor, "P B C"] | None = None  # constant over a trial
    # What the encoder reads, where the trials of one session were gathered and dropped out at once;
    # `counts` are then not needed.
    encoder_input: Float[Tensor, "P E B I"] | None = None

    def n_trials(self) -> list[int]:
        """Of each session."""
        if self.encoder_input is not None:
            return [self.encoder_input.shape[2]]
        return [counts.shape[1] for counts in self.counts]


@dataclass(frozen=True)
class ModelOutput:
    """Every signal of the model, aligned to the generated bins."""

    readouts: tuple[ReadOut, ...]  # per session of the input
    generator_start: Float[Tensor, "P B G"]
    initial_condition: Posterior  # [P, B, Z]
    inputs: Posterior | None  # [P, T, B, U], time-major
    signals: DecoderOutput  # [P, T, B, .], time-major

    @property
    def parameters(self) -> tuple[Float[Tensor, "P _ T _ _"], ...]:
        """Per session of the input [P, B, T, K, N]; computed anew at every call."""
        return tuple(each.parameters() for each in self.readouts)


def lfads(
    given: ModelInput,
    weights: ModelWeights,
    noise: Noise,
    settings: ModelSettings,
    sizes: ModelSizes,
    *,
    kernels: Kernels,
) -> ModelOutput:
    """Infer and generate. `noise` decides whether posteriors are sampled, activations dropped."""
    n_generated = sizes.n_bins - settings.first_generated_bin
    known = known_inputs(given.external_inputs, given.trial_inputs, settings, sizes)
    x = given.encoder_input
    if x is None:
        x = dropped_in_time(known.beside(_read_in(given, weights, sizes)), noise)
    encoded = encode_in_time(
        x, weights, noise, settings,
        kernels=kernels, n_generated=n_generated, n_trial_bins=given.n_trial_bins,
    )  # fmt: skip
    standard = None
    if settings.variational:
        standard = noise.normal("sample.initial_condition", settings.initial_condition_size)
    z = encoded.mean if standard is None else encoded.mean + encoded.std * standard
    first, signals = generate(
        GeneratorInput(z, encoded.controller_states, known),
        weights,
        noise,
        settings=settings,
        kernels=kernels,
        n_generated=n_generated,
    )
    factors = signals.factors.split(given.n_trials(), 2)
    return ModelOutput(
        readouts=tuple(
            ReadOut(part, weights.readouts[s], sizes.sessions[s])
            for part, s in zip(factors, given.sessions, strict=True)
        ),
        generator_start=first,
        initial_condition=Posterior(encoded.mean, encoded.std.square(), z),
        inputs=_inputs_posterior(signals, _generated_ends(given, settings)),
        signals=signals,
    )


def _read_in(given: ModelInput, weights: ModelWeights, sizes: ModelSizes) -> Tensor:
    pairs = zip(given.counts, given.sessions, strict=True)
    x = [read_in(counts, sizes.sessions[s], weights.readins[s]) for counts, s in pairs]
    return x[0] if len(x) == 1 else torch.cat(x, 1)


def _generated_ends(given: ModelInput, settings: ModelSettings) -> Tensor | None:
    return None if given.n_trial_bins is None else given.n_trial_bins - settings.first_generated_bin


def _inputs_posterior(signals: DecoderOutput, ends: Tensor | None) -> Posterior | None:
    if signals.input_mean is None or signals.input_log_variance is None or signals.inputs is None:
        return None
    return Posterior(
        signals.input_mean,
        signals.input_log_variance.exp(),
        signals.inputs,
        is_counted=None if ends is None else is_before_end(signals.inputs.shape[1], ends),
    )
