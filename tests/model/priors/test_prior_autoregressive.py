"""The AR(1) term: a slow loop, the joint Gaussian's closed form, and what `factorised` means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from slow_model import step_wise_divergence
from torch.distributions import MultivariateNormal, kl_divergence

from lfads_torch.model.priors.autoregressive import AutoregressivePrior
from lfads_torch.model.priors.base import Posterior
from lfads_torch.model.priors.choose import input_prior
from lfads_torch.model.priors.normal import NormalPrior
from lfads_torch.model.settings import ModelSettings

STEPWISE = AutoregressivePrior(10.0, 0.1)
FACTORISED = AutoregressivePrior(10.0, 0.1, is_factorised=True)
TAU = torch.tensor([[4.0, 0.7]], dtype=torch.float64)  # [P, U], bins
V = torch.tensor([[0.2, 0.5]], dtype=torch.float64)


def weights(tau: torch.Tensor, v: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_prior.log_time_constant": tau.log(), "input_prior.log_variance": v.log()}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_bins", [1, 2, 33])
def test_the_term_is_the_slow_loop_along_the_sample(n_bins):
    shape = (3, n_bins, 4, 2)
    tau, v = drawn(3, 2, seed=5).exp() * 5, drawn(3, 2, seed=6).exp()
    mean, variance, sample = drawn(*shape), drawn(*shape, seed=1).exp(), drawn(*shape, seed=2)
    found = STEPWISE.divergence(Posterior(mean, variance, sample), weights(tau, v))
    assert found.shape == (3, 4)
    for p in range(3):
        for b in range(4):
            expected = step_wise_divergence(
                mean[p, :, b].numpy(),
                variance[p, :, b].numpy(),
                sample[p, :, b].numpy(),
                tau=tau[p].numpy(),
                v=v[p].numpy(),
            )
            assert float(found[p, b]) == pytest.approx(expected, rel=1e-11)


# A posterior that follows its own past: u_t | u_{t-1} ~ N(follow u_{t-1} + offset_t, spread_t^2).
N_BINS = 6
FOLLOW = torch.tensor([[0.9, -0.5], [0.4, 0.7]], dtype=torch.float64)
OFFSET = drawn(N_BINS, 2, seed=7) * 0.3
SPREAD = (0.3 * drawn(N_BINS, 2, seed=8)).exp() * 0.5


def followed(n_trials: int, *, seed: int = 9) -> Posterior:
    """Trajectories [1, T, B, U] with the conditional mean and variance of every bin."""
    noise = drawn(N_BINS, n_trials, 2, seed=seed)
    means, samples, u = [], [], torch.zeros(n_trials, 2, dtype=torch.float64)
    for t in range(N_BINS):
        mean = u @ FOLLOW.T + OFFSET[t]
        u = mean + SPREAD[t] * noise[t]
        means.append(mean)
        samples.append(u)
    mean, sample = torch.stack(means)[None], torch.stack(samples)[None]
    return Posterior(mean, SPREAD.square()[None, :, None].expand_as(mean), sample)


def joint_divergence() -> float:
    """KL of the posterior's joint Gaussian over all bins and dimensions from the prior's."""
    n = 2 * N_BINS
    # u = chain (offset + spread * noise): unroll both linear recurrences into one matrix.
    back = torch.zeros(n, n, dtype=torch.float64)
    prior_back, prior_noise = back.clone(), torch.zeros(n, dtype=torch.float64)
    decay = torch.exp(-1.0 / TAU[0])
    for t in range(N_BINS):
        here, before = slice(2 * t, 2 * t + 2), slice(2 * t - 2, 2 * t)
        prior_noise[here] = V[0] if t else V[0] / (1.0 - decay**2)
        if t:
            back[here, before], prior_back[here, before] = FOLLOW, torch.diag(decay)
    identity = torch.eye(n, dtype=torch.float64)
    chain, prior_chain = torch.linalg.inv(identity - back), torch.linalg.inv(identity - prior_back)
    posterior = MultivariateNormal(
        chain @ OFFSET.flatten(), chain @ torch.diag(SPREAD.flatten() ** 2) @ chain.T
    )
    prior = MultivariateNormal(
        torch.zeros(n, dtype=torch.float64), prior_chain @ torch.diag(prior_noise) @ prior_chain.T
    )
    return float(kl_divergence(posterior, prior))


def test_along_samples_the_term_is_unbiased_for_a_posterior_that_follows_its_own_past():
    values = STEPWISE.divergence(followed(40_000), weights(TAU, V))[0]
    standard_error = float(values.std()) / math.sqrt(len(values))
    exact = joint_divergence()
    assert standard_error < 0.01 * exact  # so that the next line can fail
    assert abs(float(values.mean()) - exact) < 3.0 * standard_error


def test_factorised_is_wrong_by_nats_where_means_follow_the_past():
    """The sampled conditional means know the past that the factorised posterior denies them."""
    values = FACTORISED.divergence(followed(40_000), weights(TAU, V))[0]
    standard_error = float(values.std()) / math.sqrt(len(values))
    gap = float(values.mean()) - joint_divergence()
    assert abs(gap) > max(1.0, 20.0 * standard_error)


def test_both_agree_in_expectation_where_the_posterior_does_not_follow():
    """Fixed means: the factorised posterior is the true one."""
    mean = OFFSET[None, :, None].expand(1, -1, 40_000, -1)
    variance = SPREAD.square()[None, :, None].expand_as(mean)
    sample = mean + variance.sqrt() * drawn(*mean.shape, seed=4)
    posterior = Posterior(mean, variance, sample)
    stepwise = STEPWISE.divergence(posterior, weights(TAU, V))[0]
    factorised = FACTORISED.divergence(posterior, weights(TAU, V))[0]
    assert float(factorised.std()) < 1e-12
    standard_error = float(stepwise.std()) / math.sqrt(len(stepwise))
    assert abs(float(stepwise.mean() - factorised[0])) < 3.0 * standard_error


def test_factorised_is_the_expectation_of_the_second_sample_estimator():
    """log q(w) - log p(w), w drawn anew from every bin's posterior, whatever the generator saw."""
    mean, variance = drawn(N_BINS, 2), drawn(N_BINS, 2, seed=1).exp() * 0.2
    decay = torch.exp(-1.0 / TAU[0])
    w = mean + variance.sqrt() * drawn(60_000, N_BINS, 2, seed=2)
    log_q = torch.distributions.Normal(mean, variance.sqrt()).log_prob(w)
    centre = torch.cat([torch.zeros_like(w[:, :1]), decay * w[:, :-1]], 1)
    scale = torch.cat([(V / (1 - decay**2)).sqrt(), V.sqrt().expand(N_BINS - 1, -1)])
    estimates = (log_q - torch.distributions.Normal(centre, scale).log_prob(w)).sum((1, 2))
    posterior = Posterior(
        mean[None, :, None], variance[None, :, None], torch.zeros(1, N_BINS, 1, 2)
    )
    found = float(FACTORISED.divergence(posterior, weights(TAU, V)))
    standard_error = float(estimates.std()) / math.sqrt(len(estimates))
    assert standard_error < 0.005 * found
    assert abs(float(estimates.mean()) - found) < 3.0 * standard_error


def test_the_divergence_of_the_prior_from_itself_is_zero_in_expectation():
    decay = torch.exp(-1.0 / TAU[0])
    first = V[0] / (1.0 - decay**2)
    noise = drawn(N_BINS, 20_000, 2, seed=3)
    samples, means = [first.sqrt() * noise[0]], [torch.zeros(20_000, 2, dtype=torch.float64)]
    for t in range(1, N_BINS):
        means.append(decay * samples[-1])
        samples.append(means[-1] + V[0].sqrt() * noise[t])
    variance = V[0].expand(N_BINS, 20_000, 2).clone()
    variance[0] = first
    posterior = Posterior(torch.stack(means)[None], variance[None], torch.stack(samples)[None])
    torch.testing.assert_close(
        STEPWISE.divergence(posterior, weights(TAU, V)),
        torch.zeros(1, 20_000, dtype=torch.float64),
        rtol=0.0,
        atol=1e-12,
    )


def test_the_first_bins_variance_is_the_stationary_one():
    found = STEPWISE.variance(weights(TAU, V))
    decay = np.exp(-1.0 / TAU.numpy())
    np.testing.assert_allclose(found.numpy(), V.numpy() / (1.0 - decay**2), rtol=1e-12)
    simulated = torch.zeros(4000, 2, dtype=torch.float64)
    noise = drawn(60, 4000, 2, seed=1)
    for step in noise:
        simulated = torch.as_tensor(decay) * simulated + V.sqrt() * step
    np.testing.assert_allclose(simulated.var(0).numpy(), found[0].numpy(), rtol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_time_constants_keep_their_digits(dtype):
    """1 - exp(-2/tau) cancels to nothing in float32 from tau of about 1e7 on."""
    tau, v = torch.tensor([[1e8]], dtype=dtype), torch.tensor([[0.1]], dtype=dtype)
    found = float(STEPWISE.variance(weights(tau, v)))
    assert found == pytest.approx(0.1 * 1e8 / 2.0, rel=1e-4)


def test_tau_and_v_start_where_the_settings_say():
    prior = input_prior(ModelSettings(), bin_width_s=0.005)
    starts = {spec.name: (spec.shape, float(torch.as_tensor(spec.constant).exp()))
              for spec in prior.specs(3)}  # fmt: skip
    assert starts["input_prior.log_time_constant"] == ((3,), pytest.approx(10.0))
    assert starts["input_prior.log_variance"] == ((3,), pytest.approx(0.1))
    assert len(starts) == 2


@pytest.mark.parametrize(("bin_width_s", "bins"), [(0.005, 8.0), (0.02, 2.0), (0.001, 40.0)])
def test_a_time_constant_in_ms_is_converted_by_the_bin_width(bin_width_s, bins):
    settings = ModelSettings(input_prior_time_constant=40.0, time_constant_unit="ms")
    prior = input_prior(settings, bin_width_s=bin_width_s)
    assert prior.start_time_constant_bins == pytest.approx(bins)


def test_the_settings_choose_the_prior():
    assert input_prior(ModelSettings(n_inferred_inputs=0), bin_width_s=0.01) is None
    normal = input_prior(ModelSettings(input_prior="normal"), bin_width_s=0.01)
    assert isinstance(normal, NormalPrior)
    factorised = input_prior(ModelSettings(), bin_width_s=0.01, is_factorised=True)
    assert factorised.is_factorised
    assert not input_prior(ModelSettings(), bin_width_s=0.01).is_factorised
