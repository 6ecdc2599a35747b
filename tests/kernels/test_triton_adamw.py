"""Clip and AdamW in one Triton kernel against the PyTorch operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from triton_interpreter import require_interpreter

require_interpreter()

from training_cases import Case, state_tensors  # noqa: E402

from lfads_torch.kernels.choose import choose_kernels  # noqa: E402
from lfads_torch.kernels.triton.adamw import adamw  # noqa: E402
from lfads_torch.training.optimiser import adamw_step, gradient_norm  # noqa: E402


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_is_that_of_pytorch_and_inactive_members_stay_as_they_are(dtype):
    case = Case(dtype=dtype)
    state = case.state((0, 1, 2))
    n = state.weights.shape[1]
    state.hyperparameters.max_gradient_norm[0] = 0.1  # this one is clipped
    state.hyperparameters.weight_decay[2] = 0.2
    expected = state.copy()
    random = torch.Generator().manual_seed(0)
    start = state.copy()
    for _ in range(2):
        gradient = torch.randn(3, n, generator=random).to(dtype)
        gradient[1] = torch.nan
        kernels = replace(choose_kernels("reference"), adamw=adamw)
        for each, used in ((state, kernels), (expected, None)):
            adamw_step(
                each,
                gradient,
                decay_ramp=torch.ones(3, dtype=dtype),
                norm=gradient_norm(gradient),
                is_active=torch.tensor([True, False, True]),
                kernels=used,
            )
    torch.testing.assert_close(
        state_tensors(state), state_tensors(expected), rtol=1e-6, atol=1e-7, equal_nan=True
    )
    assert torch.equal(state.weights[1], start.weights[1])
    assert not torch.equal(state.weights[0], start.weights[0])
    assert state.clocks.steps.tolist() == [2, 0, 2]
