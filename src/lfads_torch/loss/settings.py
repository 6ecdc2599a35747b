"""Settings of the loss: the observation model, the weights of its terms and their ramps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lfads_torch.declare import OwnSettings, setting

__all__ = ["LossSettings"]


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """`scale * (reconstruction + ramp_l2 * L2 + ramp_kl * (k_ic KL_ic + k_u KL_u))`."""

    observation: str = setting(
        "poisson",
        "observation model of the counts: poisson, poisson_softplus, negative_binomial, bernoulli, "
        "zero_inflated_poisson, gaussian, gaussian_fixed_variance, gamma, zero_inflated_gamma, or "
        "package.module:Class",
    )
    unit_observation: str = setting(
        "",
        "units with an observation of their own, as FAMILY=UNITS; FAMILY=UNITS, where UNITS are "
        "ids, patterns of ids (emg*) or positions (20:24), parted by commas; over what the "
        "recording says of its units and `observation`",
    )
    fixed_variance: float = setting(
        1.0,
        "variance of a gaussian_fixed_variance observation, in the square of the signal's own unit",
        above=0.0,
    )
    zero_inflated_gamma_location: float = setting(
        0.0,
        "events of a zero_inflated_gamma observation exceed it, in the signal's own unit (the "
        "smallest event that the deconvolution can give)",
        at_least=0.0,
    )
    reconstruction: Literal["mean", "sum"] = setting(
        "mean", "reduction of the reconstruction over bins and units (over trials: always the mean)"
    )
    scale: float = setting(1e4, "multiplies the whole loss", above=0.0)
    kl_initial_condition_scale: float = setting(
        1e-5, "weight of the initial condition's divergence (unit: see kl_scale_unit)", at_least=0.0
    )
    kl_input_scale: float = setting(
        1e-5, "weight of the inferred inputs' divergence (unit: see kl_scale_unit)", at_least=0.0
    )
    kl_scale_unit: Literal["published", "beta"] = setting(
        "published",
        "published: as in the literature, beside a mean reconstruction; beta: in units of the "
        "evidence bound (published = beta / (bins * units))",
    )
    l2_ic_encoder_scale: float = setting(0.0, "L2 weight, initial-condition encoder", at_least=0.0)
    l2_controller_encoder_scale: float = setting(
        0.0, "L2 weight, controller's encoder", at_least=0.0
    )
    l2_controller_scale: float = setting(1e-3, "L2 weight, controller", at_least=0.0)
    l2_generator_scale: float = setting(1e-3, "L2 weight, generator", at_least=0.0)
    ramp_unit: Literal["epochs", "steps"] = setting(
        "epochs", "unit of the four ramp settings below"
    )
    kl_ramp_start: int = setting(
        0, "where the weight of both divergences starts to rise", at_least=0
    )
    kl_ramp_increase: int = setting(80, "how long it rises", at_least=0)
    l2_ramp_start: int = setting(
        0, "where the weights of L2 and weight decay start to rise", at_least=0
    )
    l2_ramp_increase: int = setting(80, "how long they rise", at_least=0)
    input_divergence: Literal["stepwise", "factorised"] = setting(
        "stepwise",
        "divergence of the inferred inputs: along the generator's own sample (unbiased), or with "
        "the posterior treated as factorised (as lfads-torch does; for comparison only)",
    )
    session_weights: Literal["trials", "equal"] = setting(
        "trials", "weight of a session in the loss: its trials, or one each"
    )
    own: OwnSettings = field(default_factory=OwnSettings)  # of plug-ins, in their own sections
