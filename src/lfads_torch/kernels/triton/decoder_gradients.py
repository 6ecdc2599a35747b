"""The gradients of the decoder's weights and known inputs: long products over bins and trials.

The kernel left the gradient before every nonlinearity; see decoder/README.md for the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lfads_torch.kernels.triton.decoder import Leaves
    from lfads_torch.kernels.triton.device_decoder import Arrays
    from lfads_torch.kernels.triton.device_decoder_backward import BackArrays
    from lfads_torch.kernels.triton.precision import Products

__all__ = ["gradients"]


def gradients(
    products: Products,
    leaves: Leaves,
    made: Arrays,
    walked: BackArrays,
    first_mask: Tensor | None,
    needs: Mapping[str, bool],
) -> dict[str, Tensor | None]:
    """By the name of each leaf; of signals known in advance only those in `needs`."""
    of_control = walked.of_controller_gates.flatten(1, 2)
    of_generator = walked.of_generator_gates.flatten(1, 2)
    of_posterior = walked.of_posterior.flatten(1, 2)
    control_after = made.controller_states[:, 1:].flatten(1, 2)
    n_encoded, U = leaves.encoder_states.shape[-1], leaves.n_inferred
    seen = made.seen if made.seen.shape[-1] else made.factors[:, :-1]
    times = products.batched

    def projected(name: str, weight: Tensor, of_gates: Tensor) -> tuple[Tensor, Tensor | None]:
        given = getattr(leaves, name)
        if given is None:
            return weight.new_zeros(weight.shape), None
        of_weight = times(given.flatten(1, 2).mT, of_gates)
        of_given = times(of_gates, weight.mT).view(given.shape) if needs[name] else None
        return of_weight, of_given

    of_encoder_rows, of_encoder = projected(
        "encoder_states", leaves.controller_input[:, :n_encoded], of_control
    )
    of_external_rows, of_external = projected(
        "external_inputs", leaves.generator_input[:, U:], of_generator
    )
    of_factor_rows = times(seen.flatten(1, 2).mT, of_control)
    of_input_rows = times(made.inputs.flatten(1, 2).mT, of_generator)
    of_first = times(walked.of_factors[:, 0], leaves.to_factors)
    return {
        "generator_state": walked.generator_carry
        + (of_first if first_mask is None else of_first * first_mask),
        "encoder_states": of_encoder,
        "external_inputs": of_external,
        "controller_input": torch.cat([of_encoder_rows, of_factor_rows], 1),
        "controller_recurrent": _of_recurrent(
            products, made.controller_states, made.controller_resets, of_control
        ),
        "controller_bias": of_control.sum(1),
        "controller_state": walked.controller_carry.sum(1),
        "output_weight": times(control_after.mT, of_posterior),
        "output_bias": of_posterior.sum(1),
        "generator_input": torch.cat([of_input_rows, of_external_rows], 1),
        "generator_recurrent": _of_recurrent(
            products, made.generator_states, made.generator_resets, of_generator
        ),
        "generator_bias": of_generator.sum(1),
        "to_factors": _of_readout(products, made, walked, first_mask),
    }


def _of_recurrent(products: Products, states: Tensor, resets: Tensor, of_gates: Tensor) -> Tensor:
    """Update and reset gate read the state, the candidate reads it after the reset gate."""
    size = states.shape[-1]
    before = states[:, :-1].flatten(1, 2)
    of_both = products.batched(before.mT, of_gates[..., : 2 * size])
    of_candidate = products.batched(resets.flatten(1, 2).mT, of_gates[..., 2 * size :])
    return torch.cat([of_both, of_candidate], -1)


def _of_readout(
    products: Products, made: Arrays, walked: BackArrays, first_mask: Tensor | None
) -> Tensor:
    """From the factors of all bins and of the initial state: [P, F, G]."""
    after = made.dropped if made.dropped.shape[-1] else made.generator_states[:, 1:]
    first = made.generator_states[:, 0]
    first = first if first_mask is None else first * first_mask
    return products.batched(
        walked.of_factors[:, 1:].flatten(1, 2).mT, after.flatten(1, 2)
    ) + products.batched(walked.of_factors[:, 0].mT, first)
