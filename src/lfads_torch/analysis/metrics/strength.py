"""The weight of a divergence in units of the evidence bound."""

from __future__ import annotations

from lfads_torch.errors import SettingsError

__all__ = ["effective_beta", "weight_of_beta"]


def effective_beta(
    weight: float,
    *,
    n_bins: int,
    n_units: int,
    present_fraction: float = 1.0,
    gradient_fraction: float = 1.0,
) -> float:
    """`beta = k * T * N` under the mean reduction, with T generated bins and N reconstructed units.

    The evidence bound sums the log-likelihood where the loss takes a mean, so a weight k on nats
    per trial means beta. Only present entries enter the mean: missing ones make it `k * T * N *
    present_fraction`. Where coordinated dropout lets a share of all entries give gradient
    (`gradient_fraction`; the mean still divides by all of them), the divergence weighs that much
    more against it. Under the sum reduction beta is k itself.
    """
    _check(n_bins, n_units, present_fraction, gradient_fraction)
    return weight * n_bins * n_units * present_fraction / gradient_fraction


def weight_of_beta(
    beta: float,
    *,
    n_bins: int,
    n_units: int,
    present_fraction: float = 1.0,
    gradient_fraction: float = 1.0,
) -> float:
    """The weight k that has this beta: the inverse of `effective_beta`."""
    _check(n_bins, n_units, present_fraction, gradient_fraction)
    return beta * gradient_fraction / (n_bins * n_units * present_fraction)


def _check(n_bins: int, n_units: int, present_fraction: float, gradient_fraction: float) -> None:
    if min(n_bins, n_units) < 1 or not (0 < present_fraction <= 1 and 0 < gradient_fraction <= 1):
        raise SettingsError(
            f"beta of {n_bins} bins, {n_units} units, present share {present_fraction:g}, share "
            f"with gradient {gradient_fraction:g}: at least one bin and unit, and shares above 0 "
            "and at most 1, are needed."
        )
