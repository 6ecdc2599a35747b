"""Settings of training: optimiser, regularisation by noise, epochs, score and stopping."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lfads_torch.declare import OwnSettings, setting

__all__ = ["AugmentationSettings", "TrainingSettings"]

_ORDER = "sample_validation, temporal_shift, spike_jitter, coordinated_dropout"


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """Noise on data and activations, in training only."""

    dropout_rate: float = setting(
        0.1,
        "dropout on data, encoder states, factors and generator states",
        at_least=0.0,
        below=1.0,
    )
    coordinated_dropout_rate: float = setting(
        0.3,
        "entries hidden from the encoder, which alone then give gradient; 0 switches it off",
        at_least=0.0,
        below=1.0,
    )
    coordinated_dropout_pass_rate: float = setting(
        0.0,
        "share of the entries seen by the encoder that give gradient too",
        at_least=0.0,
        at_most=1.0,
    )
    coordinated_dropout_by: Literal["entry", "unit"] = setting(
        "entry", "what is hidden: single entries, or a unit in all bins of a trial"
    )
    spike_jitter_rate: float = setting(
        0.0,
        "share of the spikes that move, in input and target alike; 0 switches it off",
        at_least=0.0,
        at_most=1.0,
    )
    spike_jitter_bins: int = setting(
        2, "how far a spike moves at most, to either side", unit="bins", at_least=1
    )
    temporal_shift_rate: float = setting(
        0.0,
        "share of the trials that move as a whole, with their external inputs; 0 switches it off",
        at_least=0.0,
        at_most=1.0,
    )
    temporal_shift_bins: int = setting(
        2, "how far a trial moves at most, earlier or later", unit="bins", at_least=1
    )
    sample_validation_rate: float = setting(
        0.0,
        "share of the encoded entries of training trials that never train and are scored every "
        "epoch; 0 switches it off",
        at_least=0.0,
        below=1.0,
    )
    order: str = setting(
        _ORDER,
        "augmentations in the order in which they are applied; names of ours or "
        "package.module:Class, parted by commas",
    )
    own: OwnSettings = field(default_factory=OwnSettings)  # of plug-ins, in their own sections

    @property
    def has_sample_validation(self) -> bool:
        return self.sample_validation_rate > 0.0 and "sample_validation" in self.names

    @property
    def names(self) -> tuple[str, ...]:
        """The augmentations of `order`."""
        return _words(self.order)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """One model or a population; every member has its own rate, decay and clip."""

    train: str = setting(
        "",
        "parts of the model to train, parted by commas: groups (encoders, decoder, priors, readin, "
        "readout), single parts (generator, readin.monday) or patterns (readin.*); empty: all",
    )
    freeze: str = setting(
        "", "parts of the model that stay as they start, named in the same way; wins over train"
    )
    learning_rate: float = setting(4e-3, "AdamW's rate", above=0.0)
    beta1: float = setting(0.9, "AdamW's decay of the first moment", at_least=0.0, below=1.0)
    beta2: float = setting(0.999, "AdamW's decay of the second moment", at_least=0.0, below=1.0)
    epsilon: float = setting(1e-8, "AdamW's epsilon", above=0.0)
    weight_decay: float = setting(0.0, "AdamW's decay, ramped with L2", at_least=0.0)
    max_gradient_norm: float = setting(
        200.0, "a member's gradient is clipped to this norm", above=0.0
    )
    batch_size: int = setting(
        64, "trials per step at most (balanced over an epoch)", unit="trials", at_least=1
    )
    epochs: int = setting(1000, "epochs at most", unit="epochs", at_least=1)
    patience: int = setting(
        100,
        "epochs without a better score that end a fit, never before both ramps are over; 0: never",
        unit="epochs",
        at_least=0,
    )
    score_entries: Literal["all", "encoded", "held_out"] = setting(
        "all", "entries of the validation trials that the score counts"
    )
    score_latent: Literal["sample", "mean"] = setting(
        "sample", "score one posterior sample, or the posterior mean"
    )
    best_from: Literal["ramps", "start"] = setting(
        "ramps",
        "epochs that can be the best: those after both ramps, or (as lfads-torch does) all",
    )
    score_smoothing: float = setting(
        0.3, "weight of the past in the smoothed score", at_least=0.0, below=1.0
    )
    plateau_factor: float = setting(
        1.0,
        "the rate is multiplied by this when the score stalls; 1 switches it off",
        above=0.0,
        at_most=1.0,
    )
    plateau_patience: int = setting(6, "epochs of stall before that", unit="epochs", at_least=1)
    learning_rate_floor: float = setting(
        1e-5, "below this the plateau rule does not go", at_least=0.0
    )
    checkpoint_interval_s: float = setting(
        30.0, "time between checkpoints; the result does not depend on it", unit="s", at_least=0.0
    )

    @property
    def trained_parts(self) -> tuple[str, ...]:
        return _words(self.train)

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        return _words(self.freeze)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))
