"""The reconstruction against a slow loop: present entries, reductions, blocked gradients."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.reconstruction import Target, session_mean, session_reconstruction

P, B, T, N = 2, 3, 4, 5


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def case(missing_share: float) -> tuple[torch.Tensor, Target]:
    parameters = torch.randn(P, B, T, 1, N, generator=random(0), dtype=torch.float64)
    counts = torch.poisson(torch.full((P, B, T, N), 1.3, dtype=torch.float64), random(1))
    is_present = torch.rand(P, B, T, N, generator=random(2)) >= missing_share
    counts = torch.where(is_present, counts, 0.0)
    constant = torch.where(is_present, torch.lgamma(counts + 1.0), 0.0).sum((2, 3))
    return parameters, Target(counts, constant, is_present if missing_share else None)


def slow(parameters: torch.Tensor, target: Target, p: int) -> tuple[float, int]:
    """Total nats over present entries, and how many there are."""
    total, n_present = 0.0, 0
    for b in range(B):
        for t in range(T):
            for n in range(N):
                if target.is_present is not None and not target.is_present[p, b, t, n]:
                    continue
                rate = math.exp(float(parameters[p, b, t, 0, n]))
                total -= float(stats.poisson.logpmf(float(target.counts[p, b, t, n]), rate))
                n_present += 1
    return total, n_present


@pytest.mark.parametrize("missing_share", [0.0, 0.4])
def test_the_mean_is_over_present_entries_of_the_batch(missing_share):
    parameters, target = case(missing_share)
    found = session_reconstruction(Poisson(), parameters, target, "mean")
    for p in range(P):
        total, n_present = slow(parameters, target, p)
        assert float(found[p]) == pytest.approx(total / n_present, rel=1e-12)


def test_the_sum_is_nats_per_trial():
    parameters, target = case(0.0)
    found = session_reconstruction(Poisson(), parameters, target, "sum")
    for p in range(P):
        assert float(found[p]) == pytest.approx(slow(parameters, target, p)[0] / B, rel=1e-12)


def test_the_sum_of_trials_of_unequal_length_is_nats_per_trial_too():
    parameters, whole = case(0.0)
    ends = torch.tensor([[1, 4, 2], [3, 3, 4]])  # P, B
    is_present = (torch.arange(T) < ends[:, :, None])[..., None].expand(P, B, T, N)
    counts = torch.where(is_present, whole.counts, 0.0)
    constant = torch.where(is_present, torch.lgamma(counts + 1.0), 0.0).sum((2, 3))
    target = Target(counts, constant, is_present, n_trial_bins=ends)
    found = session_reconstruction(Poisson(), parameters, target, "sum")
    for p in range(P):
        assert float(found[p]) == pytest.approx(slow(parameters, target, p)[0] / B, rel=1e-12)


def test_missing_entries_do_not_weaken_the_sum():
    parameters, target = case(0.4)
    found = session_reconstruction(Poisson(), parameters, target, "sum")
    for p in range(P):
        total, n_present = slow(parameters, target, p)
        assert float(found[p]) == pytest.approx(total / n_present * T * N, rel=1e-12)


def test_missing_entries_give_no_gradient_and_leave_no_trace():
    parameters, target = case(0.4)
    leaf = parameters.clone().requires_grad_()
    loss = session_reconstruction(Poisson(), leaf, target, "mean")
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    assert torch.equal(gradient[:, :, :, 0] != 0, target.is_present)
    other = torch.where(target.is_present, target.counts, 9.0)
    changed = Target(other, target.constant, target.is_present)
    assert torch.equal(session_reconstruction(Poisson(), parameters, changed, "mean"), loss)


def test_a_member_whose_batch_is_all_missing_has_a_loss_of_zero_and_no_gradient():
    parameters, target = case(0.4)
    nothing = target.is_present.clone()
    nothing[1] = False
    constant = target.constant.clone()
    constant[1] = 0.0
    leaf = parameters.clone().requires_grad_()
    for reduction in ("mean", "sum"):
        loss = session_reconstruction(
            Poisson(), leaf, Target(target.counts, constant, nothing), reduction
        )
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        assert loss.detach()[1] == 0.0
        assert not gradient[1].any()
        assert gradient[0].any()


def test_blocking_gradients_changes_no_value():
    parameters, target = case(0.4)
    allowed = torch.rand(P, B, T, N, generator=random(3)) < 0.5
    blocked = Target(target.counts, target.constant, target.is_present, allowed)
    leaf = parameters.clone().requires_grad_()
    free = session_reconstruction(Poisson(), leaf, target, "mean")
    held = session_reconstruction(Poisson(), leaf, blocked, "mean")
    assert torch.equal(free, held)
    (all_of_it,) = torch.autograd.grad(free.sum(), leaf)
    (some_of_it,) = torch.autograd.grad(held.sum(), leaf)
    assert torch.equal(some_of_it, torch.where(allowed[:, :, :, None], all_of_it, 0.0))


def test_sessions_weigh_by_their_trials_or_one_each():
    values = [torch.tensor([1.0, 2.0]), torch.tensor([5.0, 11.0])]
    assert session_mean(values, [1, 3], "trials").tolist() == [4.0, 8.75]
    assert session_mean(values, [1, 3], "equal").tolist() == [3.0, 6.5]
