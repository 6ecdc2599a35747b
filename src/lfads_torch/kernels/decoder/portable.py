"""The generation recurrence with a hand-written backward pass, in PyTorch operations.

Axes as in reference.py. Without a controller the generator is a scan over what is known in
advance; with one, generator, factors and controller advance bin by bin together (controlled.py).
"""

from __future__ import annotations

from lfads_torch.kernels.decoder.controlled import generate
from lfads_torch.kernels.decoder.reference import (
    DecoderInput,
    DecoderOutput,
    DecoderWeights,
    unit_rows,
)
from lfads_torch.kernels.gru.portable import scan_from
from lfads_torch.kernels.gru.reference import GRUWeights

__all__ = ["decoder_scan"]


def decoder_scan(given: DecoderInput, weights: DecoderWeights, *, clip: float) -> DecoderOutput:
    """The same as `reference.decoder_scan`, which defines it. No second derivatives."""
    if given.n_bins < 1:
        raise ValueError("decoder_scan needs at least one bin to generate")
    if weights.controller is None or given.encoder_states is None:
        return _generate_freely(given, weights, clip)
    return generate(given, weights, weights.controller, clip=clip)


def _generate_freely(given: DecoderInput, weights: DecoderWeights, clip: float) -> DecoderOutput:
    """Generation without inferred inputs: all factors are one product after the scan."""
    n_members, n_trials, _ = given.generator_state.shape
    external = given.external_inputs
    if external is None:
        external = given.generator_state.new_zeros(n_members, given.n_bins, n_trials, 0)
    generator = weights.generator
    n_ignored = generator.input.shape[1] - external.shape[-1]
    one_direction = GRUWeights(
        generator.input[:, None, n_ignored:], generator.recurrent[:, None], generator.bias[:, None]
    )
    start = given.generator_state[:, None]
    states = scan_from(external, start, one_direction, reverse=(False,), clip=clip)[:, 0]
    dropped = states if given.generator_mask is None else states * given.generator_mask
    factors = dropped.flatten(1, 2) @ unit_rows(weights.factors).mT
    factors = factors.view(n_members, given.n_bins, n_trials, -1)
    return DecoderOutput(factors, states, None, None, None, None)
