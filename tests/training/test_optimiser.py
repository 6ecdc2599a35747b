"""AdamW and clipping per member, against torch's own optimiser run member by member."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from training_cases import same_bits, state_tensors

from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.optimiser import adamw_step, gradient_norm
from lfads_torch.training.settings import TrainingSettings
from lfads_torch.training.state import Clocks, PopulationState

N, SETTINGS = 7, TrainingSettings()
RATE, DECAY, CLIP = [4e-3, 0.1, 1e-5], [0.0, 0.3, 2.0], [200.0, 1.5, 0.2]


def population(dtype: torch.dtype = torch.float64) -> PopulationState:
    weights = normal(0).to(dtype)
    own = {name: torch.zeros(3, dtype=dtype) for name in Hyperparameters.names()}
    own |= {
        "learning_rate": torch.tensor(RATE, dtype=dtype),
        "weight_decay": torch.tensor(DECAY, dtype=dtype),
        "max_gradient_norm": torch.tensor(CLIP, dtype=dtype),
        "beta1": torch.full((3,), SETTINGS.beta1, dtype=dtype),
        "beta2": torch.full((3,), SETTINGS.beta2, dtype=dtype),
        "epsilon": torch.full((3,), SETTINGS.epsilon, dtype=dtype),
    }
    return PopulationState(
        weights=weights,
        moment1=torch.zeros_like(weights),
        moment2=torch.zeros_like(weights),
        best_weights=weights.clone(),
        hyperparameters=Hyperparameters(**own),
        clocks=Clocks.start(3, torch.device("cpu")),
        members=torch.arange(3),
    )


def normal(seed: int) -> Tensor:
    return torch.randn(
        3, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ) * 10.0 ** (seed % 3)


def ramp_at(step: int) -> float:
    return min(1.0, (step + 1) / 9)


def update(state: PopulationState, gradient: Tensor, step: int, active: list[bool]) -> None:
    adamw_step(
        state,
        gradient,
        decay_ramp=torch.full((3,), ramp_at(step), dtype=gradient.dtype),
        norm=gradient_norm(gradient),
        is_active=torch.tensor(active),
    )


@pytest.mark.parametrize("skipped", [(), (2, 5)], ids=str)
def test_every_member_moves_as_under_torch(skipped):
    """Rates, decays and clips differ; a step that member 1 leaves out does not count for it."""
    state = population()
    alone = [w.clone().requires_grad_() for w in state.weights]
    optimisers = [torch.optim.AdamW([w], lr=RATE[p], weight_decay=0.0) for p, w in enumerate(alone)]
    n_clipped = 0
    for step in range(12):
        gradient = normal(step + 1)
        n_clipped += int((gradient_norm(gradient) > torch.tensor(CLIP)).sum())
        update(state, gradient, step, [True, step not in skipped, True])
        for p, (weight, optimiser) in enumerate(zip(alone, optimisers, strict=True)):
            if p == 1 and step in skipped:
                continue
            weight.grad = gradient[p].clone()
            torch.nn.utils.clip_grad_norm_([weight], CLIP[p])
            optimiser.param_groups[0]["weight_decay"] = DECAY[p] * ramp_at(step)
            optimiser.step()
        torch.testing.assert_close(state.weights, torch.stack(alone), rtol=1e-12, atol=1e-13)
    assert 0 < n_clipped < 36
    assert state.clocks.steps.tolist() == [12, 12 - len(skipped), 12]
    for name, ours in (("exp_avg", state.moment1), ("exp_avg_sq", state.moment2)):
        theirs = torch.stack([o.state[w][name] for o, w in zip(optimisers, alone, strict=True)])
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_member_without_a_finite_gradient_stays_and_harms_nobody(broken):
    state, whole = population(torch.float32), population(torch.float32)
    update(state, normal(1).float(), 0, [True] * 3)
    update(whole, normal(1).float(), 0, [True] * 3)
    before = state_tensors(state, 1)
    gradient = normal(2).float()
    update(whole, gradient, 1, [True] * 3)
    gradient = gradient.clone()
    gradient[1, 3] = broken
    update(state, gradient, 1, gradient_norm(gradient).isfinite().tolist())
    assert same_bits(state_tensors(state, 1), before) == []
    for p in (0, 2):
        assert same_bits(state_tensors(state, p), state_tensors(whole, p)) == []


def test_a_changed_rate_changes_the_very_next_step():
    state = population()
    update(state, normal(1), 0, [True] * 3)
    faster = state.copy()
    faster.hyperparameters.learning_rate[0] *= 3.0
    start = state.weights.clone()
    for each in (state, faster):
        update(each, normal(2), 1, [True] * 3)
    # Member 0 has no decay, so that its step is proportional to the rate.
    torch.testing.assert_close(faster.weights[0] - start[0], 3.0 * (state.weights[0] - start[0]))
    assert torch.equal(faster.weights[1:], state.weights[1:])


def test_a_zero_gradient_leaves_only_the_decay():
    state = population()
    start = state.weights.clone()
    update(state, torch.zeros(3, N, dtype=torch.float64), 8, [True] * 3)
    shrink = 1.0 - torch.tensor(
        [r * d for r, d in zip(RATE, DECAY, strict=True)], dtype=torch.float64
    )
    torch.testing.assert_close(state.weights, start * shrink[:, None], rtol=1e-14, atol=0.0)
