"""Counts to the initial condition's posterior, and to what the controller sees.

Source: Sussillo et al. 2016 (arXiv:1608.06315), sections on the encoder; MODEL: `docs/model.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.gru import fits
from lfads_torch.model.parts import OwnEncoder
from lfads_torch.model.trial_ends import is_before_end, state_at_end, states_to_ends

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.model.noise import Noise
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.weights import EncoderWeights, ModelWeights

__all__ = ["Encoded", "dropped_in_time", "encode", "encode_in_time", "lagged"]


@dataclass(frozen=True)
class Encoded:
    """Posterior of the initial condition, and the encoder states for the controller."""

    mean: Float[Tensor, "P B Z"]
    std: Float[Tensor, "P B Z"]
    controller_states: Float[Tensor, "P T B E"] | None  # forward, then backward; lagged


def encode(
    x: Float[Tensor, "P B E I"],
    weights: ModelWeights,
    noise: Noise,
    settings: ModelSettings,
    *,
    kernels: Kernels,
    n_generated: int,
    n_trial_bins: Int[Tensor, "P B"] | None = None,
) -> Encoded:
    """Drop out, and read the encoded bins; see `encode_in_time`."""
    return encode_in_time(
        dropped_in_time(x, noise), weights, noise, settings,
        kernels=kernels, n_generated=n_generated, n_trial_bins=n_trial_bins,
    )  # fmt: skip


def dropped_in_time(x: Float[Tensor, "P B E I"], noise: Noise) -> Float[Tensor, "P E B I"]:
    """What the encoders read: dropout on the data, bins first."""
    mask = noise.dropout_mask("dropout.data", *x.shape[2:])
    return (x if mask is None else x * mask).transpose(1, 2).contiguous()


def encode_in_time(
    x: Float[Tensor, "P E B I"],
    weights: ModelWeights,
    noise: Noise,
    settings: ModelSettings,
    *,
    kernels: Kernels,
    n_generated: int,
    n_trial_bins: Int[Tensor, "P B"] | None = None,
) -> Encoded:
    """Read the encoded bins in both directions; for a causal controller forward alone.

    `std = sqrt(exp(logvar) + floor)`. With `ic_bins` set, the initial condition sees those bins
    alone and the controller's encoder the ones after them. A trial that ends before others
    (`n_trial_bins`, more than `ic_bins`) is read to its own end, as if it stood alone.
    """
    first = x[:, : settings.ic_bins] if settings.ic_bins else x
    rest = x[:, settings.ic_bins :]
    ends = None if n_trial_bins is None else n_trial_bins.clamp(max=x.shape[1])
    first_ends = None if settings.ic_bins else ends
    last = _summary(first, weights.ic_encoder, settings, kernels, first_ends)
    mask = noise.dropout_mask("dropout.ic_encoder", last.shape[-1])
    mean, log_variance = weights.initial_condition(last if mask is None else last * mask).chunk(
        2, -1
    )
    std = torch.sqrt(log_variance.exp() + settings.initial_condition_variance_floor)
    if weights.controller_encoder is None:
        return Encoded(mean, std, None)
    rest_ends = None if ends is None else ends - settings.ic_bins
    states = _states(rest, weights.controller_encoder, settings, kernels, rest_ends)
    first_read = settings.ic_bins - settings.first_generated_bin
    lag, n_seen = settings.controller_lag_bins, n_generated - first_read
    if kernels.fused is not None and fits(states) and states.shape[1] == 2:
        seen = kernels.fused.lagged(states, None, lag=lag, n_generated=n_seen)
    else:
        seen = lagged(states, lag, n_seen)
    if first_read:
        seen = torch.nn.functional.pad(seen, (0, 0, 0, 0, first_read, 0))
    return Encoded(mean, std, seen)


def lagged(
    states: Float[Tensor, "P D E B H"], lag: int, n_generated: int
) -> Float[Tensor, "P T B H2"]:
    """What the controller sees at each generated bin.

    At bin t: the forward state of bin t-lag and the backward state of bin t+lag, zeros where there
    is none; zeros at forward bins (after the last encoded one). Of one direction, the forward
    state alone.
    """
    n_members, n_directions, n_encoded, n_trials, size = states.shape
    seen = states.new_zeros(n_members, n_generated, n_trials, n_directions * size)
    if lag < n_encoded:
        seen[:, lag:n_encoded, :, :size] = states[:, 0, : n_encoded - lag]
        if n_directions == 2:
            seen[:, : n_encoded - lag, :, size:] = states[:, 1, lag:]
    return seen


def _summary(
    x: Float[Tensor, "P E B I"],
    weights: EncoderWeights | OwnEncoder,
    settings: ModelSettings,
    kernels: Kernels,
    ends: Int[Tensor, "P B"] | None,
) -> Float[Tensor, "P B H2"]:
    """What the initial condition is inferred from: of the GRU, the last states of both ways."""
    if isinstance(weights, OwnEncoder):
        return weights.states(x, _inside(x, ends)).summary
    return _last_states(x, weights, settings, kernels, ends)


def _inside(
    x: Float[Tensor, "P E B I"], ends: Int[Tensor, "P B"] | None
) -> Bool[Tensor, "P E B"] | None:
    return None if ends is None else is_before_end(x.shape[1], ends)


def _states(
    x: Float[Tensor, "P E B I"],
    weights: EncoderWeights | OwnEncoder,
    settings: ModelSettings,
    kernels: Kernels,
    ends: Int[Tensor, "P B"] | None,
) -> Float[Tensor, "P D E B H"]:
    if isinstance(weights, OwnEncoder):
        inside = _inside(x, ends)
        found = weights.states(x, inside)
        own = torch.stack([found.past, found.future][: settings.n_controller_directions], 1)
        return own if inside is None else torch.where(inside[:, None, ..., None], own, 0.0)
    if ends is not None:
        return states_to_ends(x, weights, ends, kernels=kernels, clip=settings.cell_clip)
    reverse = (False, True)[: weights.initial_state.shape[1]]
    return kernels.gru_scan(
        x, weights.initial_state, weights.cell, reverse=reverse, clip=settings.cell_clip
    )


def _last_states(
    x: Float[Tensor, "P E B I"],
    weights: EncoderWeights,
    settings: ModelSettings,
    kernels: Kernels,
    ends: Int[Tensor, "P B"] | None,
) -> Float[Tensor, "P B H2"]:
    """The forward state of each trial's last bin, then the backward one of its first."""
    if ends is None and kernels.gru_ends is not None:
        found = kernels.gru_ends(
            x, weights.initial_state, weights.cell, reverse=(False, True), clip=settings.cell_clip
        )
        return found.transpose(1, 2).flatten(2)
    states = _states(x, weights, settings, kernels, ends)
    forward = states[:, 0, -1] if ends is None else state_at_end(states[:, 0], ends)
    return torch.cat([forward, states[:, 1, 0]], -1)
