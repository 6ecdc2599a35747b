"""Settings of the model. Sizes of the data are never set: they are read off the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lfads_torch.declare import OwnSettings, setting

__all__ = ["ModelSettings", "SessionSettings"]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Sizes and constants of encoders, controller, generator and priors."""

    ic_encoder_size: int = setting(
        100, "hidden units of each direction of the initial-condition encoder", at_least=1
    )
    controller_encoder_size: int = setting(
        80, "hidden units of each direction of the controller's encoder", at_least=1
    )
    controller_size: int = setting(80, "hidden units of the controller", at_least=1)
    generator_size: int = setting(100, "hidden units of the generator", at_least=1)
    n_factors: int = setting(40, "factors", at_least=1)
    n_inferred_inputs: int = setting(
        4, "inferred inputs; 0 leaves out the controller and its encoder", at_least=0
    )
    initial_condition_size: int = setting(
        100, "dimensions of the inferred initial condition", at_least=1
    )
    generator: str = setting(
        "gru", "cell of the generator: gru, or package.module:Class of a GeneratorCell"
    )
    ic_encoder: str = setting(
        "gru", "the initial condition's encoder: gru, or package.module:Class of an Encoder"
    )
    controller_encoder: str = setting(
        "gru", "the controller's encoder: gru, or package.module:Class of an Encoder"
    )
    read_out: str = setting(
        "linear",
        "factors to parameters of the observation: linear, or package.module:Class of a ReadOut",
    )
    ic_bins: int = setting(
        0,
        "the initial condition is inferred from these first bins alone, and generation starts "
        "after them; 0: from all encoded bins, generation from the first bin",
        unit="bins",
        at_least=0,
    )
    generate_initial_segment: bool = setting(
        False,
        "generate the first ic_bins bins too, as lfads-torch does; the controller sees nothing of "
        "the data there",
    )
    causal_controller: bool = setting(
        False,
        "the controller sees the past alone: its encoder reads forward only; with ic_bins rates "
        "then follow from earlier bins alone",
    )
    external_inputs_to: str = setting(
        "generator",
        "what gets the external inputs: any of generator, controller, encoders, parted by commas; "
        "none: nothing does",
    )
    trial_inputs_to: str = setting(
        "generator",
        "what gets the inputs that are constant over a trial: any of generator, controller, "
        "encoders, initial_condition (a learned shift of the generator's first state), or none",
    )
    controller_lag_bins: int = setting(
        1,
        "at bin t the controller sees its encoder's forward state of bin t-lag and backward state "
        "of bin t+lag",
        unit="bins",
        at_least=0,
    )
    cell_clip: float = setting(
        5.0, "states of every recurrent cell stay within +- this value", above=0.0
    )
    update_gate_bias: float = setting(
        1.0,
        "where the biases of the update gates start (they are learned), in encoders, controller "
        "and generator: an untrained cell remembers about 1 + exp(bias) bins, so narrow bins want "
        "a larger one",
        at_least=0.0,
        at_most=10.0,
    )
    initial_condition_variance_floor: float = setting(
        1e-4, "added to the posterior variance of the initial condition", at_least=0.0
    )
    variational: bool = setting(
        True,
        "infer distributions of initial condition and inferred inputs and sample them; false: "
        "their means alone, nothing is sampled and no divergence weighs",
    )
    initial_condition_prior: str = setting(
        "normal",
        "prior of the initial condition, its location learned from 0: normal, student_t, laplace, "
        "or package.module:Class",
    )
    initial_condition_prior_variance: float = setting(
        0.1, "variance of the initial condition's prior", above=0.0
    )
    initial_condition_prior_scale: Literal["fixed", "learned"] = setting(
        "fixed", "whether that variance stays or is where a learned one starts"
    )
    input_prior: str = setting(
        "autoregressive",
        "prior of the inferred inputs: autoregressive (AR(1) per dimension), or independent in "
        "time: normal, student_t, laplace, or package.module:Class",
    )
    prior_degrees_of_freedom: float = setting(
        5.0, "of student_t priors (fixed): the fewer, the heavier their tails", above=2.0
    )
    input_prior_time_constant: float = setting(
        10.0,
        "where the AR(1) time constant starts (it is learned)",
        unit="bins or ms, see time_constant_unit",
        above=0.0,
    )
    time_constant_unit: Literal["bins", "ms"] = setting("bins", "unit of input_prior_time_constant")
    input_prior_variance: float = setting(
        0.1,
        "where the variance of the inferred inputs' prior starts (it is learned); autoregressive: "
        "that of its innovations",
        above=0.0,
    )
    own: OwnSettings = field(default_factory=OwnSettings)  # of plug-ins, in their own sections

    @property
    def external_destinations(self) -> frozenset[str]:
        return _words(self.external_inputs_to)

    @property
    def trial_destinations(self) -> frozenset[str]:
        return _words(self.trial_inputs_to)

    @property
    def n_controller_directions(self) -> int:
        """In which the controller's encoder reads: forward alone, or both."""
        return 1 if self.causal_controller else 2

    @property
    def is_causal(self) -> bool:
        """Whether rates follow from earlier bins (and, at lag 0, their own) alone."""
        sees_the_past = self.causal_controller or self.n_inferred_inputs == 0
        return self.ic_bins > 0 and sees_the_past and not self.generate_initial_segment

    @property
    def first_generated_bin(self) -> int:
        """Recording bin of the first generated one."""
        return 0 if self.generate_initial_segment else self.ic_bins


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """Several recordings in one model: read-ins, read-outs, and batches."""

    readin_size: int = setting(
        0,
        "size that a read-in maps the units of each session to; 0: as many as factors (at most "
        "the encoded units of all sessions), and no read-in where there is one recording",
        at_least=0,
    )
    initialisation: Literal["auto", "conditions", "trial_average", "random"] = setting(
        "auto",
        "read-ins and read-outs start from principal-component regression on condition averages, "
        "or on the average trial, or at random; auto: conditions where all sessions have the same",
    )
    readout_initialisation: Literal["pseudo_inverse", "transpose", "random"] = setting(
        "pseudo_inverse", "how a linear read-out starts from the regression of its read-in"
    )
    smoothing_ms: float = setting(
        30.0,
        "standard deviation of the Gaussian that smooths the averages of that regression",
        unit="ms",
        at_least=0.0,
    )
    train_readin: bool = setting(True, "train the read-ins; otherwise they stay as they start")
    train_readout: bool = setting(True, "train the read-outs; otherwise they stay as they start")
    batches: Literal["mixed", "alternating"] = setting(
        "mixed", "every batch has trials of all sessions, or each of one session in turn"
    )


def _words(text: str) -> frozenset[str]:
    words = {word.strip() for word in text.split(",")}
    return frozenset(words - {"", "none"})
