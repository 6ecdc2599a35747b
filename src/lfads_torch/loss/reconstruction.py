"""The reconstruction term: negative log-likelihood of the present entries, mean or sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from lfads_torch.model.layout import LinearWeights
from lfads_torch.plugin_returns import returned_tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.kernels.compiled.poisson import CompiledPoisson, IndexedCounts
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.model.sessions import ReadOut

__all__ = [
    "IndexedTarget",
    "Target",
    "indexed_reconstruction",
    "one_pass_reconstruction",
    "session_mean",
    "session_reconstruction",
]


@dataclass(frozen=True)
class Target:
    """What one session's part of a batch is to explain. Masks are None where all is present.

    `constant` is the sum over the present entries of each trial of the family's constant.
    """

    counts: Float[Tensor, "P B T N"]  # missing entries are 0
    constant: Float[Tensor, "P B"]
    is_present: Bool[Tensor, "P B T N"] | None = None
    has_gradient: Bool[Tensor, "P B T N"] | None = None  # coordinated dropout
    n_trial_bins: Int[Tensor, "P B"] | None = None  # generated bins of each trial; None: T
    # Where the family is Poisson of a linear read-out: `poisson_nats`, from factors in one pass.
    likelihood: Callable[..., Float[Tensor, " P"]] | None = None

    @property
    def n_trials(self) -> int:
        return self.counts.shape[1]


@dataclass(frozen=True)
class IndexedTarget:
    """The same where a kernel reads the counts from the recording and computes the likelihood."""

    counts: IndexedCounts
    constant: Float[Tensor, "P B"]
    likelihood: CompiledPoisson

    @property
    def n_trials(self) -> int:
        return self.constant.shape[1]


def indexed_reconstruction(
    target: IndexedTarget, readout: ReadOut, reduction: Literal["mean", "sum"]
) -> Float[Tensor, " P"]:
    """What `session_reconstruction` gives for Poisson counts, in one pass without parameters."""
    factors, weights = readout.factors, readout.weights
    assert isinstance(weights, LinearWeights)  # the kernel is chosen for linear read-outs alone
    total, n_present = target.likelihood(factors, weights.weight, weights.bias, target.counts)
    total = total + target.constant.double().sum(1)
    mean = (total / n_present.clamp_min(1.0)).to(factors.dtype)
    n_entries = float(factors.shape[1] * readout.session.n_units)
    return mean if reduction == "mean" else mean * n_entries


def session_reconstruction(
    observation: Observation,
    parameters: Float[Tensor, "P B T K N"],
    target: Target,
    reduction: Literal["mean", "sum"],
) -> Float[Tensor, " P"]:
    """Nats per present entry of the batch (none present: 0), or, as a sum, nats per trial.

    The sum is the mean times bins times units, so that missing entries do not weaken it; bins
    beyond the ends of trials count nowhere.
    Where `has_gradient` is False the value counts and the gradient does not.
    """
    nll = returned_tensor(
        observation,
        "negative_log_likelihood",
        observation.negative_log_likelihood(parameters, target.counts),
        target.counts.shape,
        axes="... N",
    )
    if target.has_gradient is not None:
        nll = torch.where(target.has_gradient, nll, nll.detach())
    if target.is_present is not None:
        nll = torch.where(target.is_present, nll, 0.0)
    return _reduced(nll.flatten(1).sum(1), target, reduction)


def one_pass_reconstruction(
    target: Target, readout: ReadOut, reduction: Literal["mean", "sum"]
) -> Float[Tensor, " P"]:
    """What `session_reconstruction` gives, by the target's own likelihood."""
    assert target.likelihood is not None
    weights = readout.weights
    assert isinstance(weights, LinearWeights)  # it is chosen for linear read-outs alone
    total = target.likelihood(
        readout.factors,
        weights.weight,
        weights.bias,
        counts=target.counts,
        is_present=target.is_present,
        has_gradient=target.has_gradient,
    )
    return _reduced(total, target, reduction).to(readout.factors.dtype)


def _reduced(
    total: Float[Tensor, " P"], target: Target, reduction: Literal["mean", "sum"]
) -> Float[Tensor, " P"]:
    """The nats of all trials, without the constant, as the mean or the sum."""
    if target.is_present is not None:
        n_present = target.is_present.flatten(1).sum(1).to(total.dtype)
    else:
        n_present = total.new_full((len(total),), float(target.counts[0].numel()))
    total = total + target.constant.sum(1)
    mean = total / n_present.clamp_min(1.0)
    if reduction == "mean":
        return mean
    n_units = float(target.counts.shape[3])
    if target.n_trial_bins is not None:
        return mean * target.n_trial_bins.to(total.dtype).mean(1) * n_units
    return mean * float(target.counts.shape[2]) * n_units


def session_mean(
    values: list[Float[Tensor, " P"]], n_trials: list[int], weights: Literal["trials", "equal"]
) -> Float[Tensor, " P"]:
    """The mean over sessions, each weighing by its trials in the batch, or one each."""
    share = [1.0 if weights == "equal" else float(n) for n in n_trials]
    weighted = [value * (w / sum(share)) for value, w in zip(values, share, strict=True)]
    return torch.stack(weighted).sum(0)
